"""Activity: what a customer did, one row an order or a day of contacts, refunds settled by the policy."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import RefundPolicy
from rfm_spark.schemas import MONEY
from rfm_spark.sql import negated


def activity(events: DataFrame, policy: RefundPolicy, as_of: date) -> DataFrame:
    """One row an order, or a customer's day of contacts and of refunds that belong to no order.

    Reads: events.
    Returns: customer_key, activity_date (null: nothing that counts, the customer exists), orders (1 for a counted
        order, else 0), amount (net), contacts, engagements, duration_seconds.
    Rules: only events of business dates before as_of are seen. An order is (customer_key, order_id), without an
        order_id a customer's purchases of one date; it is dated by its first purchase. net_on_order_date: refunds
        reduce their order, at 0 or less it does not count; net_on_refund_date: refunds are amounts of their own day;
        ignore: they change nothing.
    One shuffle, of events by customer_key; the result stays partitioned by it.
    """
    months = events.filter(F.col("event_month") <= F.lit(as_of.replace(day=1)))
    return settled(by_customer(months.filter(F.col("event_date") < F.lit(as_of))), policy, as_of)


def by_customer(events: DataFrame) -> DataFrame:
    """The events as `settled` reads them: narrow, and each customer's in one place.

    One shuffle, of events by customer_key.
    """
    columns = ("customer_key", "order_id", "event_date", "event_type", "amount", "duration_seconds")
    return events.select(*columns).repartition("customer_key")


def settled(rows: DataFrame, policy: RefundPolicy, as_of: date) -> DataFrame:
    """As `activity`, of rows of `by_customer`. No shuffle."""
    return _told(_grouped(rows.filter(F.col("event_date") < F.lit(as_of)), policy), policy)


def by_day(rows: DataFrame, policy: RefundPolicy) -> DataFrame:
    """What is the same as of every date after it: activity whose events are all of one date, summed by date.

    Reads: rows of `by_customer`. Returns: one row a customer and two dates: as `activity`, and seen_date, that of the
        events. What is not in here is that of `of_several_days`.
    No shuffle.
    """
    dates = (F.min("event_date").alias("first_date"), F.max("event_date").alias("seen_date"))
    grouped = _grouped(rows, policy, *dates).filter(F.col("first_date") == F.col("seen_date"))
    told = _told(grouped, policy, "seen_date")
    sums = (F.sum(name).alias(name) for name in ("orders", "amount", "contacts", "engagements", "duration_seconds"))
    return told.groupBy("customer_key", "activity_date", "seen_date").agg(*sums)


def of_several_days(rows: DataFrame, policy: RefundPolicy) -> DataFrame:
    """The rows of orders that have rows of several dates, among them those of refunds that reduce them.

    Reads: rows of `by_customer`. No shuffle.
    """
    of_orders, key = rows.filter(_of_order(policy)), ["customer_key", "order_id"]
    dates = of_orders.groupBy(*key).agg((F.min("event_date") < F.max("event_date")).alias("_several"))
    return of_orders.join(dates.filter("_several").select(*key), key, "left_semi")


def _of_order(policy: RefundPolicy) -> Column:
    """Whether a row is one of an order's: a purchase, or a refund that reduces it."""
    nets = (F.col("event_type") == "refund") & F.lit(policy == "net_on_order_date")
    return ((F.col("event_type") == "purchase") | nets) & F.col("order_id").isNotNull()


def _grouped(rows: DataFrame, policy: RefundPolicy, *more: Column) -> DataFrame:
    """One row an order or a customer's day, with the aggregates that are asked for beside."""
    nets = policy == "net_on_order_date"
    purchase, refund = F.col("event_type") == "purchase", F.col("event_type") == "refund"
    nets_order = refund & F.col("order_id").isNotNull() & F.lit(nets)
    nets_day = refund & F.lit(policy == "net_on_refund_date")
    negative = negated("amount", MONEY)
    keyed = rows.select(
        "customer_key",
        F.col("order_id").alias("order_key"),  # of a day's rows too, which its date tells from their orders
        F.when(~_of_order(policy), F.col("event_date")).alias("day_key"),
        F.when(purchase, F.col("event_date")).alias("purchase_date"),
        F.when(purchase, F.col("amount")).when(nets_order | nets_day, negative).alias("amount"),
        *([nets_order.alias("refunded")] if nets else []),
        (F.col("event_type") == "contact").cast("int").alias("contact"),
        (F.col("event_type") == "engagement").cast("int").alias("engagement"),
        "duration_seconds",
        *(["event_date"] if more else []),
    )
    return keyed.groupBy("customer_key", "order_key", "day_key").agg(
        F.min("purchase_date").alias("order_date"),
        F.coalesce(F.sum("amount"), F.lit(0)).alias("amount"),
        *([F.max("refunded").alias("refunded")] if nets else []),
        F.sum("contact").alias("contacts"),
        F.sum("engagement").alias("engagements"),
        F.coalesce(F.sum("duration_seconds"), F.lit(0)).alias("duration_seconds"),
        *more,
    )


def _told(grouped: DataFrame, policy: RefundPolicy, *more: str) -> DataFrame:
    counts = F.col("order_date").isNotNull()
    if policy == "net_on_order_date":
        counts &= ~F.col("refunded") | (F.col("amount") > 0)
    return grouped.select(
        "customer_key",
        F.coalesce("order_date", "day_key").alias("activity_date"),
        counts.cast("int").alias("orders"),
        "amount",
        "contacts",
        "engagements",
        "duration_seconds",
        *more,
    )

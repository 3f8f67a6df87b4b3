"""Metrics: per customer recency, frequency, monetary value and the rest, as of one date."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.scoring import Criterion
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.order_statistics import cleaned
from rfm_spark.schemas import MONEY, customer_metrics
from rfm_spark.sql import quoted, type_of

TOO_MUCH_MONEY = f"a customer's amounts of a period sum to more than {MONEY} holds"


def metrics(activity: DataFrame, profiles: DataFrame | None, boundaries: list[date]) -> DataFrame:
    """One row a customer with any event or profile before as_of, as `customer_metrics` without the user's criteria.

    Reads: `activity.activity`; `profiles` (customers with the attributes to copy); `boundaries` of the sub-periods,
        the last of them as_of.
    Returns: the columns of `schemas.customer_metrics`, then the attributes.
    Rules: without a counted order in the reference period, frequency and monetary values are 0, whatever was
        refunded in it. average_order_value = monetary / frequency; mean_gap_days = days from the first to the last
        counted order of the period / (frequency - 1); momentum = (b - a) / (|a| + |b|) for the monetary values a, b
        of the last two sub-periods. Null where its denominator is 0. has_events tells who has an event from whom a
        profile alone is known.
    Raises: when it is executed, TOO_MUCH_MONEY where a sum does not fit its column: never a null or a wrong sum.
    No shuffle but the join of profiles, which moves the profiles alone.
    """
    return from_sums(sums(activity, boundaries), profiles, boundaries)


def sums(activity: DataFrame, boundaries: list[date]) -> DataFrame:
    """One row a customer with any event before as_of: what their activity sums to, and its first and last dates.

    Reads: as `metrics`. Returns: customer_key, first_order_date, last_order_date, last_contact_date; of the reference
        period _first_in_period (the first order's date), _contacts, _engagements, _duration_seconds; and _orders_i,
        _monetary_i of sub-period i.
    Rules: null where there is nothing to sum. No shuffle.
    """
    return activity.groupBy("customer_key").agg(*_aggregates(boundaries))


def from_sums(summed: DataFrame, profiles: DataFrame | None, boundaries: list[date]) -> DataFrame:
    """The metrics of customers whose sums are known.

    Reads: frames of `sums`, or of `moved_sums.moved`; else as `metrics`, and with the same rules, columns and faults.
    No shuffle but the join of profiles, of either side that is not partitioned by customer_key.
    """
    per_customer = summed.withColumn("has_events", F.lit(True))
    attributes: list[str] = []
    if profiles is not None:
        attributes = [name for name in profiles.columns if name not in ("customer_key", "profile_date")]
        known = profiles.filter(F.col("profile_date").isNull() | (F.col("profile_date") < F.lit(boundaries[-1])))
        joined = per_customer.join(known.drop("profile_date"), "customer_key", "full_outer")
        per_customer = joined.withColumn("has_events", F.coalesce("has_events", F.lit(False)))
    names = customer_metrics(len(boundaries) - 1).column_names()
    return _calculated(per_customer, boundaries).select(*names, *attributes)


def with_criteria(frame: DataFrame, criteria: Mapping[str, Criterion]) -> DataFrame:
    """The same customers with one double column for each criterion that is SQL.

    Rules: a condition is 1 or 0; NaN becomes null and -0.0 becomes 0.0.
    Raises: ConfigError where the SQL or the metric of a criterion does not resolve or is no number.
    No shuffle.
    """
    for name, criterion in criteria.items():
        if criterion.sql is not None:
            _check_number(frame, criterion.sql, f"criteria.{name}.sql")
        else:
            _check_number(frame, quoted(str(criterion.metric)), f"criteria.{name}.metric")
    return with_criteria_resolved(frame, criteria)


def with_criteria_resolved(frame: DataFrame, criteria: Mapping[str, Criterion]) -> DataFrame:
    """As `with_criteria`, of criteria that are known to resolve."""
    columns = {name: cleaned(F.expr(one.sql)) for name, one in criteria.items() if one.sql is not None}
    return frame.withColumns(columns) if columns else frame


def _check_number(frame: DataFrame, sql: str, path: str) -> None:
    try:
        data_type = type_of(frame, sql)
    except SqlFault as fault:
        raise ConfigError([Fault(path, str(fault))]) from None
    if not isinstance(data_type, T.NumericType | T.BooleanType):
        raise ConfigError(
            [Fault(path, f"found a {data_type.simpleString()}, expected a number; cast it or map it with case")]
        )


def _aggregates(boundaries: list[date]) -> list[Column]:
    day = F.col("activity_date")
    ordered = F.col("orders") > 0
    in_period = day >= F.lit(boundaries[0])
    spans = [(day >= F.lit(start)) & (day < F.lit(end)) for start, end in pairwise(boundaries)]
    touched = (F.col("contacts") > 0) | (F.col("engagements") > 0)
    sums = [F.sum(F.when(span, F.col("orders"))).alias(f"_orders_{i}") for i, span in enumerate(spans, 1)]
    sums += [F.sum(F.when(span, F.col("amount"))).alias(f"_monetary_{i}") for i, span in enumerate(spans, 1)]
    return [
        F.min(F.when(ordered, day)).alias("first_order_date"),
        F.max(F.when(ordered, day)).alias("last_order_date"),
        F.min(F.when(ordered & in_period, day)).alias("_first_in_period"),
        F.max(F.when(touched, day)).alias("last_contact_date"),
        F.sum(F.when(in_period, F.col("contacts"))).alias("_contacts"),
        F.sum(F.when(in_period, F.col("engagements"))).alias("_engagements"),
        F.sum(F.when(in_period, F.col("duration_seconds"))).alias("_duration_seconds"),
        *sums,
    ]


def _calculated(per_customer: DataFrame, boundaries: list[date]) -> DataFrame:
    """The sums of a customer as metrics, in three steps: what several metrics are made of is calculated once."""
    n, as_of = len(boundaries) - 1, F.lit(boundaries[-1])
    zero, no_money = F.lit(0).cast("bigint"), F.lit(0).cast(MONEY)
    sums = {f"orders_q{i}": F.coalesce(F.col(f"_orders_{i}"), zero) for i in range(1, n + 1)}
    sums |= {f"_spent_{i}": _money(F.coalesce(F.col(f"_monetary_{i}"), no_money)) for i in range(1, n + 1)}
    orders = [F.col(f"orders_q{i}") for i in range(1, n + 1)]
    summed = per_customer.withColumns(sums).withColumn("frequency", sum(orders[1:], orders[0]).cast("bigint"))
    buyer = F.col("frequency") > 0
    quarters = {f"monetary_q{i}": F.when(buyer, F.col(f"_spent_{i}")).otherwise(no_money) for i in range(1, n + 1)}
    monetary = [F.col(name) for name in quarters]
    spent = summed.withColumns(quarters).withColumn("monetary", _money(sum(monetary[1:], monetary[0])))
    gap_days = F.when(
        F.col("frequency") > 1, F.datediff("last_order_date", "_first_in_period") / (F.col("frequency") - 1)
    )
    return spent.withColumns(
        {
            "snapshot_date": as_of,
            "recency_days": _days(as_of, "last_order_date"),
            "contact_recency_days": _days(as_of, "last_contact_date"),
            "contacts": F.coalesce("_contacts", zero).cast("bigint"),
            "engagements": F.coalesce("_engagements", zero).cast("bigint"),
            "duration_seconds": F.coalesce("_duration_seconds", zero).cast("bigint"),
            "tenure_days": _days(as_of, "first_order_date"),
            "average_order_value": F.when(buyer, F.col("monetary").cast("double") / F.col("frequency")),
            "mean_gap_days": gap_days,
            "momentum": _momentum(monetary),
        }
    )


def _days(end: Column, start: str) -> Column:
    return F.datediff(end, F.col(start)).cast("int")


def _money(amount: Column) -> Column:
    """A sum as the table holds it. Not null, or the richest customer would score worst."""
    return F.coalesce(amount.try_cast(MONEY), F.raise_error(F.lit(TOO_MUCH_MONEY)).cast(MONEY))


def _momentum(monetary: list[Column]) -> Column:
    if len(monetary) < 2:
        return F.lit(None).cast("double")
    before, last = monetary[-2], monetary[-1]
    scale = F.abs(before) + F.abs(last)
    return F.when(scale > 0, (last - before).cast("double") / scale.cast("double"))

"""Moved sums: what customers' activity sums to as of a later date, from an earlier snapshot and what happened since.

When as_of moves from A to B, every boundary a_i of the sub-periods moves to b_i. Only what is dated within a window
[a_i, b_i) enters a sum or leaves it. Contacts and engagements are added and subtracted; a customer with an order or a
refund in a window has their whole history summed anew, since an order's rows may lie on days that no window holds.
"""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import RefundPolicy

_WIDE_MONEY = "decimal(38,2)"  # of a sum, as `metrics.sums` has it


def touched(
    events: DataFrame, policy: RefundPolicy, before: list[date], after: list[date], unseen: frozenset[str]
) -> DataFrame:
    """One row a customer whose sums are not those of the earlier snapshot.

    Reads: events; `before` and `after`, the boundaries of the earlier snapshot and of this one, as many; `unseen`, the
        runs that brought events since the earlier snapshot read them.
    Returns: customer_key; recompute, whether the whole history must be summed anew; else by how much contacts,
        engagements and duration_seconds of the reference period change, and last_contact_date (null: as it was); late,
        whether an event came late: dated before the earlier as_of, brought by an unseen run.
    Rules: recomputed is who has a purchase, or a refund unless the policy ignores them, in any window, or a late event.
    One shuffle, of a row a customer and task. Reads the months that windows lie in, and the files of unseen runs.
    """
    day, month = F.col("event_date"), F.col("event_month")
    is_order = F.col("event_type").isin(["purchase"] if policy == "ignore" else ["purchase", "refund"])
    enters, leaves = _within(before[-1], after[-1]), _within(before[0], after[0])
    inner = [_within(start, end) & is_order for start, end in zip(before[1:-1], after[1:-1], strict=True)]
    moving = enters | leaves
    for window in inner:
        moving |= window
    contact, engagement = F.col("event_type") == "contact", F.col("event_type") == "engagement"
    times = enters.cast("bigint") - leaves.cast("bigint")
    none = F.lit(0).cast("bigint")
    moves = events.filter(moving & month.isin(_months(before, after))).select(
        "customer_key",
        is_order.alias("recompute"),
        F.when(contact, times).otherwise(none).alias("contacts"),
        F.when(engagement, times).otherwise(none).alias("engagements"),
        (times * F.coalesce("duration_seconds", none)).alias("duration_seconds"),
        F.when(enters & (contact | engagement), day).alias("last_contact_date"),
        F.lit(False).alias("late"),
    )
    if unseen:
        is_late = F.col("ingested_run_id").isin(sorted(unseen)) & (day < F.lit(before[-1]))
        late = events.filter(is_late).select("customer_key")
        flagged = late.withColumns(dict.fromkeys(("recompute", "late"), F.lit(True)))
        moves = moves.unionByName(flagged, allowMissingColumns=True)
    return moves.groupBy("customer_key").agg(
        *(F.max(name).alias(name) for name in ("recompute", "last_contact_date", "late")),
        *(F.sum(name).alias(name) for name in ("contacts", "engagements", "duration_seconds")),
    )


def moved(earlier: DataFrame, touched: DataFrame, sub_periods: int) -> DataFrame:
    """One row a customer with any event before as_of, but for those to recompute, as `metrics.sums`.

    Reads: `earlier`, the snapshot of customer_metrics that `touched` was made against; a frame of `touched`.
    Rules: who has no order in a window keeps the sums of orders and money; who was known by a profile alone, or not at
        all, has what happened since. The first order of the period is counted back from the mean gap.
    Shuffles where `touched` is not small; else it is broadcast to the earlier snapshot.
    """
    with_events = earlier.filter("has_events")
    changes = touched.select(
        "customer_key",
        "recompute",
        *(F.col(name).alias(f"_{name}") for name in _MOVED),
        F.col("last_contact_date").alias("_last_contact_date"),
    )
    nothing = F.lit(0).cast("bigint")
    stayed = (
        with_events.join(changes, "customer_key", "left")
        .filter(~F.coalesce("recompute", F.lit(False)))
        .select(
            "customer_key",
            "first_order_date",
            "last_order_date",
            F.greatest("last_contact_date", "_last_contact_date").alias("last_contact_date"),
            _first_in_period().alias("_first_in_period"),
            *((F.col(name) + F.coalesce(f"_{name}", nothing)).alias(f"_{name}") for name in _MOVED),
            *(F.col(f"orders_q{i}").alias(f"_orders_{i}") for i in range(1, sub_periods + 1)),
            *(F.col(f"monetary_q{i}").cast(_WIDE_MONEY).alias(f"_monetary_{i}") for i in range(1, sub_periods + 1)),
        )
    )
    known = with_events.select("customer_key").join(changes, "customer_key", "left_semi")
    came = changes.filter(~F.col("recompute")).join(known, "customer_key", "left_anti")
    came = came.drop("recompute").withColumnRenamed("_last_contact_date", "last_contact_date")
    return stayed.unionByName(came, allowMissingColumns=True)


_MOVED = ("contacts", "engagements", "duration_seconds")


def _first_in_period() -> Column:
    """The first order of the reference period, so many mean gaps before the last one."""
    orders = F.col("frequency")
    days = F.round(F.coalesce("mean_gap_days", F.lit(0.0)) * (orders - 1)).cast("int")
    return F.when(orders > 0, F.date_sub("last_order_date", days))


def _within(start: date, end: date) -> Column:
    return (F.col("event_date") >= F.lit(start)) & (F.col("event_date") < F.lit(end))


def _months(before: list[date], after: list[date]) -> list[date]:
    """First days of all months that a window has a day in."""
    found: set[date] = set()
    for start, end in zip(before, after, strict=True):
        month, last = start.replace(day=1), end - timedelta(days=1)
        while month <= last and start < end:
            found.add(month)
            month = (month + timedelta(days=31)).replace(day=1)
    return sorted(found)

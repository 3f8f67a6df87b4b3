"""Migrations: who went from which segment to which between two snapshots, and what alone made them go."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.schemas import GONE, NEW, SUM_OF_MONEY, UNASSIGNED

IDENTITY, LATE, CUTS, RULES = "identity", "late_data", "cut_points", "rules"
TIME, BEHAVIOUR = "time_passing", "behaviour"
ORDER = (IDENTITY, LATE, CUTS, RULES, TIME, BEHAVIOUR)  # in which a cause is looked for
STAYED, NEWCOMER, RETURNED, DEPARTED = "none", "new", "returned", "departed"

_KEY = ["segmentation", "customer_key"]
_CHANGE = [*_KEY, "from_segment", "to_segment"]


def changes(now: DataFrame, before: DataFrame | None) -> DataFrame:
    """One row a customer and segmentation that is new or elsewhere than before: segmentation, customer_key,
    from_segment, to_segment.

    Reads: `now`, rows of `customer_segments` of one snapshot; `before`, those of the snapshot that their
        previous_segment is of, None where all there were in a segment.
    Rules: a newcomer comes from `(new)`; no segment is `(none)`. Who is gone is found by `departed`.
    No shuffle, or where `before` is given one of those without a previous segment.
    """
    differs = F.col("previous_segment").isNull() | ~F.col("segment").eqNullSafe(F.col("previous_segment"))
    rows, origin = now.filter(differs), F.lit(NEW)
    if before is not None:
        unassigned = before.filter(F.col("segment").isNull()).select(*_KEY, F.lit(True).alias("_was_there"))
        rows = rows.join(unassigned, _KEY, "left")
        origin = F.when(F.col("_was_there"), F.lit(UNASSIGNED)).otherwise(origin)
    ends = rows.select(
        *_KEY, F.coalesce("previous_segment", origin).alias("from_segment"), _named("segment").alias("to_segment")
    )
    return ends.filter(F.col("from_segment") != F.col("to_segment"))


def departed(before: DataFrame, now: DataFrame) -> DataFrame:
    """The same columns, for who is in no row of `now` any more. One shuffle of either side, by customer."""
    gone = before.join(now.select(*_KEY), _KEY, "left_anti")
    return gone.select(*_KEY, _named("segment").alias("from_segment"), F.lit(GONE).alias("to_segment"))


def differences(before: DataFrame, now: DataFrame) -> DataFrame:
    """The same columns between any two frames of `customer_segments`, each of one snapshot, the departed too.

    One shuffle of either side, by segmentation and customer.
    """
    theirs = before.select(*_KEY, _named("segment").alias("from_segment"))
    ours = now.select(*_KEY, _named("segment").alias("to_segment"))
    both = theirs.join(ours, _KEY, "full_outer").select(
        *_KEY,
        F.coalesce("from_segment", F.lit(NEW)).alias("from_segment"),
        F.coalesce("to_segment", F.lit(GONE)).alias("to_segment"),
    )
    return both.filter(F.col("from_segment") != F.col("to_segment"))


def moved() -> Column:
    """Whether a change is a move within the population, which has a cause to be looked for."""
    return (F.col("from_segment") != NEW) & (F.col("to_segment") != GONE)


def in_turn(cause: str) -> str:
    """The name of the variant where it and all before it in ORDER are as they are now."""
    return f"turn_{cause}"


def with_causes(movers: DataFrame) -> DataFrame:
    """The movers with `cause`: the first of ORDER that alone changes the segment.

    Reads: changes within the population, with the segment that the mover would be in where one thing alone is as it is
        now, in a column named by it, and where all up to it are, in a column `in_turn`; a column that is not there, or
        null, changes nothing.
    Rules: where nothing alone changes the segment, it is the first that does so together with all before it; the last
        of them, `behaviour`, takes the rest. So every move has one cause. No shuffle.
    """
    looked_for = [*((cause, cause) for cause in ORDER), *((in_turn(cause), cause) for cause in ORDER)]
    changes_it = [
        F.when(F.col(name) != F.col("from_segment"), F.lit(cause))
        for name, cause in looked_for
        if name in movers.columns
    ]
    return movers.select(*_CHANGE, F.coalesce(*changes_it, F.lit(BEHAVIOUR)).alias("cause"))


def by_identity(movers: DataFrame, rekeyed: DataFrame | None) -> DataFrame:
    """The movers whose key was merged or split since: what would look like late events is told as `identity`.

    Reads: movers, with the column `late_data` if anything was late; `rekeyed` (customer_key) of keys that were merged
        or split since the earlier snapshot, None where there are none. One shuffle of both, or a broadcast of the
        rekeyed.
    """
    if rekeyed is None or LATE not in movers.columns:
        return movers
    told = movers.join(rekeyed.withColumn("_rekeyed", F.lit(True)), "customer_key", "left")
    late = F.col(LATE)
    return told.withColumns(
        {IDENTITY: F.when(F.col("_rekeyed"), late), LATE: F.when(F.col("_rekeyed").isNull(), late)}
    ).drop("_rekeyed")


def came_by_identity(told: DataFrame, rekeyed: DataFrame | None) -> DataFrame:
    """Comings and goings with `cause`: identity of those whose key was merged or split since. As `by_identity`."""
    if rekeyed is None:
        return told
    marked = told.join(rekeyed.withColumn("_rekeyed", F.lit(True)), "customer_key", "left")
    cause = F.when(F.col("_rekeyed"), F.lit(IDENTITY)).otherwise(F.col("cause"))
    return marked.select(*_CHANGE, cause.alias("cause"))


def with_comings_and_goings(changed: DataFrame, known_before: DataFrame | None) -> DataFrame:
    """Who is new or gone, with `cause`: `new`, `returned` where known before, `departed`.

    Reads: changes that are no moves; `known_before` (segmentation, customer_key) of snapshots before the earlier one,
        None where nobody can have returned. One shuffle of both sides, where known_before is given.
    """
    newcomer: Column = F.lit(NEWCOMER)
    if known_before is not None:
        newcomers = changed.filter(F.col("from_segment") == NEW).select(*_KEY)
        known = known_before.join(newcomers, _KEY, "left_semi").distinct().withColumn("_known", F.lit(True))
        changed = changed.join(known, _KEY, "left")
        newcomer = F.when(F.col("_known"), F.lit(RETURNED)).otherwise(F.lit(NEWCOMER))
    cause = F.when(F.col("to_segment") == GONE, F.lit(DEPARTED)).otherwise(newcomer)
    return changed.select(*_CHANGE, cause.alias("cause"))


def totals(changed: DataFrame) -> DataFrame:
    """One row a segmentation, pair of segments and cause: customers and monetary.

    Reads: changes with `cause` and `monetary`. One shuffle, of a row a pair, cause and task.
    """
    grouped = changed.groupBy("segmentation", "from_segment", "to_segment", "cause")
    return grouped.agg(
        F.count(F.lit(1)).alias("customers"),
        F.coalesce(F.sum("monetary"), F.lit(0)).cast(SUM_OF_MONEY).alias("monetary"),
    )


def present(placed: DataFrame, measured: DataFrame) -> DataFrame:
    """One row a segmentation and segment that anybody is in, `(none)` too: customers and monetary.

    Reads: `customer_segments` and `customer_metrics` of one snapshot. One shuffle of both, by customer.
    """
    known = placed.select("segmentation", "customer_key", _named("segment").alias("segment"))
    grouped = known.join(measured.select("customer_key", "monetary"), "customer_key").groupBy("segmentation", "segment")
    return grouped.agg(F.count(F.lit(1)).alias("customers"), F.sum("monetary").cast(SUM_OF_MONEY).alias("monetary"))


def with_stayers(changed: Sequence[Mapping[str, Any]], profiles: Sequence[Mapping[str, Any]]) -> list[tuple]:
    """All moves, sorted: (segmentation, from_segment, to_segment, cause, customers, monetary), stayers with cause none.

    Reads: rows of `totals`; `profiles`, customers and monetary of each segmentation and segment now, `(none)` too.
    Rules: who stays is who is there now and has not come: so the rows but the departed sum to the population, exactly.
    """
    rows = [
        (r["segmentation"], r["from_segment"], r["to_segment"], r["cause"], r["customers"], r["monetary"])
        for r in changed
    ]
    for now in profiles:
        came = [row for row in rows if (row[0], row[2]) == (now["segmentation"], now["segment"])]
        customers = now["customers"] - sum(row[4] for row in came)
        if customers:
            monetary = now["monetary"] - sum(row[5] for row in came)
            rows.append((now["segmentation"], now["segment"], now["segment"], STAYED, customers, monetary))
    return sorted(rows, key=lambda row: row[:4])


def _named(segment: str) -> Column:
    return F.coalesce(F.col(segment), F.lit(UNASSIGNED))

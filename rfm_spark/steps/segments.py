"""Segments: the first rule that holds, over scores, metrics and attributes."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.models import Segment, Segmentation
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.sql import type_of


def assign(scored: DataFrame, segmentation: Segmentation) -> DataFrame:
    """The same customers with `segment` and `rule`, the condition that fired.

    Reads: one row a customer with its metrics, attributes and one column a criterion holding its score.
    Rules: in the config's order, the first whose condition is true wins; `otherwise` takes the rest; null where
        nothing holds. No shuffle.
    Raises: ConfigError where a condition does not resolve.
    """
    for i, segment in enumerate(segmentation.segments):
        _resolve(scored, segment, f"segmentations.{segmentation.name}.segments[{i}].when")
    conditions = [segment.when or "otherwise" for segment in segmentation.segments]
    names = [segment.name for segment in segmentation.segments]
    return (
        scored.withColumn("_position", _position(segmentation.segments))
        .withColumns({"segment": _pick(names), "rule": _pick(conditions)})
        .drop("_position")
    )


def with_previous(assigned: DataFrame, previous: DataFrame | None) -> DataFrame:
    """Add previous_segment and segment_since from the newest earlier complete snapshot.

    Reads: assigned (snapshot_date, segmentation, customer_key, segment, …); previous (segmentation, customer_key,
        segment, segment_since) or None for the first snapshot. One join by customer_key.
    """
    if previous is None:
        return assigned.withColumns(
            {"previous_segment": F.lit(None).cast("string"), "segment_since": F.col("snapshot_date")}
        )
    before = previous.select(
        "segmentation",
        "customer_key",
        F.col("segment").alias("previous_segment"),
        F.col("segment_since").alias("_since"),
    )
    stayed = F.col("segment").eqNullSafe(F.col("previous_segment")) & F.col("_since").isNotNull()
    return (
        assigned.join(before, ["segmentation", "customer_key"], "left")
        .withColumn("segment_since", F.when(stayed, F.col("_since")).otherwise(F.col("snapshot_date")))
        .drop("_since")
    )


def moves(placed: DataFrame) -> DataFrame:
    """One row a segmentation and pair of segments: segmentation, from (`(new)` for newcomers), to, customers.

    Reads: a frame of `with_previous`. One small aggregate; the rows sum to the population.
    """
    before = F.coalesce("previous_segment", F.lit("(new)")).alias("from")
    grouped = placed.groupBy("segmentation", before, F.col("segment").alias("to"))
    return grouped.agg(F.count(F.lit(1)).alias("customers"))


def _position(segments: Sequence[Segment]) -> Column:
    position = F.lit(None).cast("int")
    for i, segment in reversed(list(enumerate(segments, 1))):
        condition = F.lit(True) if segment.otherwise else F.expr(str(segment.when))
        position = F.when(condition, F.lit(i)).otherwise(position)
    return position


def _pick(values: Sequence[str]) -> Column:
    return F.get(F.array(*(F.lit(value) for value in values)), F.col("_position") - 1)


def _resolve(scored: DataFrame, segment: Segment, path: str) -> None:
    if segment.when is None:
        return
    try:
        type_of(scored, f"cast({segment.when} as boolean)")
    except SqlFault as fault:
        raise ConfigError([Fault(path, str(fault))]) from None

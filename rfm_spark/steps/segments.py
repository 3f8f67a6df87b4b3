"""Segments: the first rule that holds, over scores, metrics and attributes."""

from collections.abc import Iterable, Iterator, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.scoring import Segment, Segmentation
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.schemas import NEW
from rfm_spark.sql import type_of


def assign(scored: DataFrame, segmentation: Segmentation) -> DataFrame:
    """The same customers with `segment` and `rule`, the condition that fired.

    Reads: one row a customer with its metrics, attributes and one column a criterion holding its score.
    Rules: in the config's order, the first whose condition is true wins; `otherwise` takes the rest; both null where
        nothing holds. A condition that is a text or a number holds where that is true as a boolean.
    Raises: ConfigError where a condition does not resolve.
    No shuffle.
    """
    _resolve(scored, segmentation)
    return assign_resolved(scored, segmentation)


def assign_resolved(scored: DataFrame, segmentation: Segmentation) -> DataFrame:
    """As `assign`, by rules that are known to resolve."""
    conditions = [segment.when or "otherwise" for segment in segmentation.segments]
    names = [segment.name for segment in segmentation.segments]
    return (
        scored.withColumn("_position", _position(segmentation.segments))
        .withColumns({"segment": _pick(names), "rule": _pick(conditions)})
        .drop("_position")
    )


def narrow(
    assigned: DataFrame, segmentation: str, rfm_score: Column, scored: Sequence[str], criteria: Sequence[str]
) -> DataFrame:
    """One row a customer and segmentation, as `customer_segments` without the previous segment.

    Reads: a frame of `assign`; `scored`, the criteria that the segmentation scores; `criteria`, those that any does.
    Returns: snapshot_date, segmentation, customer_key, segment, rfm_score, rule, `<criterion>_score` of each of
        `criteria`, null where it is not scored. No shuffle.
    """
    null = F.lit(None).cast("int")
    return assigned.select(
        "snapshot_date",
        F.lit(segmentation).alias("segmentation"),
        "customer_key",
        "segment",
        rfm_score.alias("rfm_score"),
        "rule",
        *((F.col(f"`{name}`") if name in scored else null).alias(f"{name}_score") for name in criteria),
    )


def with_previous(assigned: DataFrame, previous: DataFrame | None) -> DataFrame:
    """The same customers with `previous_segment` and `segment_since` from the newest earlier complete snapshot.

    Reads: assigned (snapshot_date, segmentation, customer_key, segment, …); previous (segmentation, customer_key,
        segment, segment_since) or None for the first snapshot.
    Rules: a newcomer has no previous segment; who is in the same one, or in none again, keeps the date.
    One shuffle of either side, by segmentation and customer, where neither is small.
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

    Reads: a frame of `with_previous`. Rules: who stays is a pair too, so the rows sum to the population.
    One shuffle, of a row a pair and task.
    """
    before = F.coalesce("previous_segment", F.lit(NEW)).alias("from")
    grouped = placed.groupBy("segmentation", before, F.col("segment").alias("to"))
    return grouped.agg(F.count(F.lit(1)).alias("customers"))


def _position(segments: Sequence[Segment]) -> Column:
    position = F.lit(None).cast("int")
    for i, segment in reversed(list(enumerate(segments, 1))):
        condition = F.lit(True) if segment.otherwise else F.expr(_as_boolean(str(segment.when)))
        position = F.when(condition, F.lit(i)).otherwise(position)
    return position


def _pick(values: Sequence[str]) -> Column:
    return F.get(F.array(*(F.lit(value) for value in values)), F.col("_position") - 1)


def _resolve(scored: DataFrame, segmentation: Segmentation) -> None:
    """All conditions at once; where that fails, each, to tell which of them do not."""
    path = f"segmentations.{segmentation.name}.segments"
    conditions = [(f"{path}[{i}].when", one.when) for i, one in enumerate(segmentation.segments) if one.when]
    if not conditions:
        return
    try:
        type_of(scored, f"struct({', '.join(_as_boolean(when) for _, when in conditions)})")
    except SqlFault as together:
        raise ConfigError(list(_faults(scored, conditions)) or [Fault(path, str(together))]) from None


def _faults(scored: DataFrame, conditions: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    for path, when in conditions:
        try:
            type_of(scored, _as_boolean(when))
        except SqlFault as fault:
            yield Fault(path, str(fault))


def _as_boolean(condition: str) -> str:
    return f"try_cast({condition} as boolean)"

"""What segments are expected to do and to become, as `predict` publishes it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.local import local_frame
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps.prediction import scores
from rfm_spark.steps.prediction.choice import SegmentForecast
from rfm_spark.steps.prediction.transitions import Move, Transitions, transitions


def write(run: Run, earlier: Published, predicted: DataFrame) -> dict[str, SegmentForecast]:
    """Write `segment_forecasts` and `segment_transitions`, of the newest snapshot at or before as_of.

    Reads: `predicted`, one row a customer, of the chosen model. Without a snapshot both slices are empty.
    One join of the customers with their segments, and one aggregate over the published moves.
    """
    chains = _chains(run, earlier)
    day = earlier.newest_until(run.as_of)
    segments = earlier.read("customer_segments", day) if day is not None else None
    totals = [row.asDict() for row in scores.totals(predicted, segments).collect()] if segments is not None else []
    found = {
        name: SegmentForecast(_rows(run, name, day, totals, chains.get(name)), chains.get(name))
        for name in dict.fromkeys(row["segmentation"] for row in totals)
    }
    names = schemas.SEGMENT_FORECASTS.column_names()
    _replace(
        run, schemas.SEGMENT_FORECASTS, [tuple(row[n] for n in names) for one in found.values() for row in one.rows]
    )
    _replace(
        run, schemas.SEGMENT_TRANSITIONS, [row for name in sorted(chains) for row in _matrix(run, name, chains[name])]
    )
    return found


def _chains(run: Run, earlier: Published) -> dict[str, Transitions]:
    """The chain of each segmentation, of all moves published for snapshots at or before as_of."""
    moves = earlier.read("segment_migrations")
    if moves is None:
        return {}
    key = ("segmentation", "from_snapshot", "to_snapshot", "from_segment", "to_segment")
    seen = (
        moves.filter(F.col("to_snapshot") <= F.lit(run.as_of)).groupBy(*key).agg(F.sum("customers").alias("customers"))
    )
    by_name: dict[str, list[Move]] = {}
    for name, *move in sorted(tuple(row) for row in seen.collect()):
        by_name.setdefault(name, []).append(Move(*move))
    chains = {s.name: transitions(by_name.get(s.name, ())) for s in run.config.segmentations}
    return {name: chain for name, chain in chains.items() if chain is not None}


def _rows(
    run: Run, name: str, day: date | None, totals: list[dict[str, Any]], chain: Transitions | None
) -> list[Mapping[str, Any]]:
    """In the config's order, then those it does not have; with empty segments that the chain leads into."""
    mine = {row["segment"]: row for row in totals if row["segmentation"] == name}
    config = next((s for s in run.config.segmentations if s.name == name), None)
    ordered = [segment.name for segment in config.segments] if config else []
    current = chain if chain is not None and chain.until == day else None  # the chain ends at those segments
    known = dict.fromkeys([*ordered, *sorted(mine), *(sorted(current.expected) if current else ())])
    nothing = {"customers": 0, "alive": 0.0, "buyers": 0.0, "expected_orders": 0.0, "expected_value": 0.0}
    return [
        {"segments_of": day, **nothing, **mine.get(segment, {})}
        | {
            "snapshot_date": run.as_of,
            "segmentation": name,
            "segment": segment,
            "period_days": current.period_days if current else None,
            "next_customers": current.expected.get(segment, 0.0) if current else None,
            "backtest_customers": current.tested.get(segment, 0.0) if current and current.tested else None,
        }
        for segment in known
    ]


def _matrix(run: Run, name: str, chain: Transitions) -> list[tuple]:
    shares = chain.probabilities()
    return [
        (run.as_of, name, *pair, customers, shares.get(pair), chain.periods, chain.period_days)
        for pair, customers in sorted(chain.flows.items())
    ]


def _replace(run: Run, spec: schemas.TableSpec, rows: list[tuple]) -> None:
    run.lake.replace(spec, local_frame(run.spark, rows, spec.types()), {"snapshot_date": run.as_of})

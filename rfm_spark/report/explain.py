"""`explain`: why one customer is where they are, from the published tables alone."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console

from rfm_spark.config.models import ProjectConfig, Segmentation
from rfm_spark.errors import InputError
from rfm_spark.report import tables
from rfm_spark.report.show import of_snapshot

_SHOWN = (
    "recency_days", "contact_recency_days", "frequency", "monetary", "duration_seconds", "tenure_days",
    "average_order_value", "mean_gap_days", "momentum", "first_order_date", "last_order_date",
)  # fmt: skip


def explain(
    console: Console,
    config: ProjectConfig,
    as_of: date,
    customer: str,
    metrics: DataFrame,
    cuts: DataFrame,
    segments: DataFrame,
) -> None:
    """Print a customer's inputs, cut-points, scores with the distance to the next, and the rule that fired.

    Raises: InputError where there is no such snapshot, or it does not hold the customer.
    """
    here = (F.col("snapshot_date") == F.lit(as_of)) & (F.col("customer_key") == customer)
    found = metrics.filter(here).head()
    if found is None:
        of_snapshot(metrics, as_of)  # it may be the snapshot that is missing
        raise InputError(f"no such customer in the snapshot of {as_of}; give a customer_key of customer_metrics")
    values = found.asDict()
    names = [name for name in _SHOWN if name in values]
    names += [name for name in values if name not in names and not name.startswith(("orders_q", "monetary_q"))]
    rows = [
        (name, values[name])
        for name in names
        if name not in ("snapshot_date", "customer_key") and values[name] is not None
    ]
    console.print(tables.plain(f"Inputs as of {as_of}", ("metric", "value"), rows))
    stored = [row.asDict() for row in cuts.filter(F.col("snapshot_date") == F.lit(as_of)).collect()]
    for placed in segments.filter(here).orderBy("segmentation").collect():
        segmentation = next((s for s in config.segmentations if s.name == placed["segmentation"]), None)
        if segmentation is not None:
            _segmentation(console, config, segmentation, values, stored, placed.asDict())


def _segmentation(
    console: Console,
    config: ProjectConfig,
    segmentation: Segmentation,
    values: Mapping[str, Any],
    stored: Sequence[Mapping[str, Any]],
    placed: Mapping[str, Any],
) -> None:
    rows = []
    for name, criterion in config.criteria_of(segmentation).items():
        group_by = _group_by(segmentation, name)
        group = "all" if group_by is None else str(values[group_by]) if values.get(group_by) is not None else "(none)"
        mine = [
            r for r in stored if (r["segmentation"], r["criterion"], r["group"]) == (segmentation.name, name, group)
        ]
        cuts = [row["value"] for row in sorted(mine, key=lambda row: row["position"])]
        value = values[criterion.metric or name]
        told = "; ".join(map(tables.number, cuts)) or "none"
        rows.append(
            (
                name,
                criterion.metric or name,
                value,
                told,
                placed[f"{name}_score"],
                distance(value, cuts, criterion.better),
            )
        )
    headers = ("criterion", "metric", "value", "cut-points", "score", "to the next score")
    console.print(tables.plain(f"{segmentation.name}: {segmentation.question}", headers, rows))
    passed = [s.name for s in segmentation.segments]
    before = passed[: passed.index(placed["segment"])] if placed["segment"] in passed else passed
    if before:
        console.print(f"Rules that did not hold: {', '.join(before)}")
    console.print(f"Segment [bold]{placed['segment']}[/bold], by the rule: {placed['rule']}")
    if placed["previous_segment"]:
        console.print(f"Before: {placed['previous_segment']}; in this segment since {placed['segment_since']}")


def distance(value: Any, cuts: Sequence[float], better: str) -> str:
    """What a value lacks to the next better score, in words."""
    if value is None:
        return "has no value, so scores 1"
    number = float(value)
    if better == "high":
        nearest = next((cut for cut in cuts if cut >= number), None)
        if nearest is None:
            return "the best score"
        lacking = f"over {tables.number(nearest - number)} more" if nearest > number else "any more"
        return f"{lacking} (above {tables.number(nearest)})"
    nearest = next((cut for cut in reversed(cuts) if cut < number), None)
    if nearest is None:
        return "the best score"
    return f"{tables.number(number - nearest)} less (at most {tables.number(nearest)})"


def _group_by(segmentation: Segmentation, criterion: str) -> str | None:
    own = segmentation.scoring.criteria.get(criterion)
    return (own.group_by if own else None) or segmentation.scoring.group_by

"""`explain`: why one customer is where they are, from the published tables alone."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console

from rfm_spark.config.identity import OWN_ID
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segmentation
from rfm_spark.errors import InputError
from rfm_spark.order_statistics import ALL, group_column
from rfm_spark.report import tables
from rfm_spark.report.snapshot import Read, config_of

_SHOWN = (
    "recency_days", "contact_recency_days", "frequency", "monetary", "duration_seconds", "tenure_days",
    "average_order_value", "mean_gap_days", "momentum", "first_order_date", "last_order_date",
)  # fmt: skip
_GROUP = "_group_of:"
_ID_OF_ONE = "an id in a source that is one person's alone; `rfm-spark identity --id TYPE:VALUE` says whose an id is"


def explain(console: Console, read: Read, as_of: date, customer: str) -> None:
    """Print a customer's inputs, cut-points, scores with the distance to the next, and the rule that fired.

    All by the project file that the snapshot was made by. `customer` is a customer_key, or where ids were joined an id
    in a source that is one person's alone. Raises: InputError where there is no such snapshot, or it does not hold the
    customer.
    """
    config = config_of(read("runs"), as_of)
    of_day = F.col("snapshot_date") == F.lit(as_of)
    here = of_day & (F.col("customer_key") == customer)
    groups_of = [group_column(name).alias(f"{_GROUP}{name}") for name in _grouped_by(config)]
    metrics = read("customer_metrics").select("*", *groups_of)
    found = metrics.filter(here).head()
    if found is None and config.identity is not None:
        here = of_day & (F.col("customer_key") == _person(read("identities"), customer))
        found = metrics.filter(here).head()
    if found is None:
        told = f"no such customer in the snapshot of {as_of}; give a customer_key of customer_metrics"
        raise InputError(told if config.identity is None else f"{told}, or {_ID_OF_ONE}")
    values = found.asDict()
    groups = {name: values.pop(f"{_GROUP}{name}") for name in _grouped_by(config)}
    console.print(tables.plain(f"Inputs as of {as_of}", ("metric", "value"), _inputs(values)))
    cuts = read("cut_points").filter(F.col("snapshot_date") == F.lit(as_of)).collect()
    segmentations = {segmentation.name: segmentation for segmentation in config.segmentations}
    for placed in read("customer_segments").filter(here).orderBy("segmentation").collect():
        segmentation = segmentations[placed["segmentation"]]
        mine = [row.asDict() for row in cuts if row["segmentation"] == segmentation.name]
        rows = scores(config, segmentation, values, groups, mine, placed.asDict())
        _segmentation(console, segmentation, rows, placed.asDict())


def _person(identities: DataFrame, id_: str) -> str | None:
    """The key of the one person who has an id in any source; None where nobody has. Raises: InputError of several."""
    mine = identities.filter((F.col("id_type") == OWN_ID) & (F.col("id_value") == id_))
    keys = [row["customer_key"] for row in mine.select("customer_key").distinct().limit(2).collect()]
    if len(keys) > 1:
        raise InputError(f"found several people with this id in their sources, expected a customer_key or {_ID_OF_ONE}")
    return keys[0] if keys else None


def scores(
    config: ProjectConfig,
    segmentation: Segmentation,
    values: Mapping[str, Any],
    groups: Mapping[str, str],
    cuts: Sequence[Mapping[str, Any]],
    placed: Mapping[str, Any],
) -> list[tuple[Any, ...]]:
    """(criterion, metric, value, cut-points, score, distance to the next) of a customer in one segmentation.

    Reads: `values`, a row of `customer_metrics`; `groups`, by each group_by its group as `cut_points` names it;
        `cuts`, the segmentation's rows of `cut_points`; `placed`, a row of `customer_segments`.
    """
    rows: list[tuple[Any, ...]] = []
    for name, criterion in config.criteria_of(segmentation).items():
        metric = criterion.metric or name
        mine = _cuts(segmentation, name, groups, cuts)
        told = "; ".join(map(tables.number, mine)) or "none"
        away = distance(values[metric], mine, criterion.better)
        rows.append((name, metric, values[metric], told, placed[f"{name}_score"], away))
    return rows


def distance(value: Any, cuts: Sequence[float], better: str) -> str:
    """What a value lacks to the next better score, in words."""
    if value is None:
        return "has no value, so scores 1"
    if not cuts:
        return "no cut-points to compare with, so scores 1"
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


def _inputs(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = [name for name in _SHOWN if name in values]
    own = [name for name in values if name not in known and not name.startswith(("orders_q", "monetary_q"))]
    return [
        (name, values[name])
        for name in (*known, *own)
        if name not in ("snapshot_date", "customer_key", "has_events") and values[name] is not None
    ]


def _segmentation(
    console: Console,
    segmentation: Segmentation,
    rows: Sequence[tuple[Any, ...]],
    placed: Mapping[str, Any],
) -> None:
    headers = ("criterion", "metric", "value", "cut-points", "score", "to the next score")
    console.print(tables.plain(f"{segmentation.name}: {segmentation.question}", headers, rows))
    names = [segment.name for segment in segmentation.segments]
    before = names[: names.index(placed["segment"])] if placed["segment"] in names else names
    if before:
        console.print(f"Rules that did not hold: {', '.join(before)}")
    if placed["segment"] is None:
        console.print("Segment: none, since no rule holds")
    else:
        console.print(f"Segment {placed['segment']}, by the rule: {placed['rule']}")
    if placed["previous_segment"]:
        console.print(f"Before: {placed['previous_segment']}; in this segment since {placed['segment_since']}")


def _grouped_by(config: ProjectConfig) -> list[str]:
    """What any criterion's cut-points are grouped by."""
    asked = [s.scoring.of(name).group_by for s in config.segmentations for name in config.criteria_of(s)]
    return [name for name in dict.fromkeys(asked) if name is not None]


def _cuts(
    segmentation: Segmentation, criterion: str, groups: Mapping[str, str], cuts: Sequence[Mapping[str, Any]]
) -> list[float]:
    """The cut-points that a customer was scored by: those of its group, or `all` where they are not grouped."""
    group_by = segmentation.scoring.of(criterion).group_by
    mine = [row for row in cuts if row["criterion"] == criterion]
    group = ALL if group_by is None or all(row["group"] == ALL for row in mine) else groups[group_by]
    return [row["value"] for row in sorted(mine, key=lambda row: row["position"]) if row["group"] == group]

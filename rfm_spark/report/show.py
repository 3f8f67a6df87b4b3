"""`show`: what a published table says, for people."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.words import did_you_mean
from rfm_spark.errors import ConfigError
from rfm_spark.report import tables
from rfm_spark.report.snapshot import Read, config_of, of_snapshot
from rfm_spark.schemas import SEGMENT_HISTORY, TABLES

_SPECS = {"current_segments": TABLES["customer_segments"], "segment_history": SEGMENT_HISTORY, **TABLES}
SHOWN = ("segments", *_SPECS)


def show(console: Console, read: Read, table: str, as_of: date) -> None:
    """Print a table: the segments of a snapshot, the quarantine by reason, the cut-points, the runs.

    Tables of customers are described, not listed: a person's rows are for `explain`.

    Raises: InputError where the table or the snapshot is not published.
    """
    if table in ("segments", "segment_profiles"):
        _segments(console, read, as_of)
    elif table == "quarantine":
        _quarantine(console, read(table))
    elif table == "cut_points":
        _cut_points(console, read(table), as_of)
    elif table == "models":
        _models(console, read(table), as_of)
    elif table == "runs":
        names = ["started_at", "run_id", "job", "as_of", "status", "message"]
        rows = read(table).orderBy(F.desc("started_at")).select(*names).limit(20).collect()
        console.print(tables.plain("Newest runs", names, rows))
    else:
        frame = read(table)
        types = {field.name: field.dataType.simpleString() for field in frame.schema}
        console.print(tables.described(_SPECS[table], types))
        console.print(f"{frame.count():,} rows")


def known_table(name: str) -> str:
    """The name, if `show` knows it. Raises: ConfigError."""
    if name not in SHOWN:
        hint = did_you_mean(name, SHOWN) or f"; expected one of {', '.join(SHOWN)}"
        raise ConfigError(f"show: no table {name}{hint}")
    return name


def print_segments(console: Console, config: ProjectConfig, profiles: Sequence[Mapping[str, Any]]) -> None:
    """Print each segmentation with its segments in the config's order, and say which of them are empty."""
    for segmentation in config.segmentations:
        mine = {row["segment"]: row for row in profiles if row["segmentation"] == segmentation.name}
        ordered = [mine[segment.name] for segment in segmentation.segments if segment.name in mine]
        console.print(tables.segments(ordered, config, segmentation, wide=console.width >= tables.WIDE))
        vacant = ", ".join(row["segment"] for row in ordered if not row["customers"])
        if vacant:
            console.print(f"Nobody is in: {vacant}. Ties can leave scores unattainable; see `show cut_points`.")


def _segments(console: Console, read: Read, as_of: date) -> None:
    profiles = of_snapshot(read("segment_profiles"), as_of).collect()  # before its run is asked: it may be dropped
    config = config_of(read("runs"), as_of)
    print_segments(console, config, [row.asDict() for row in profiles])


def _cut_points(console: Console, cuts: DataFrame, as_of: date) -> None:
    key = ["segmentation", "criterion", "group", "position"]
    names = [*key, "value", "method", "customers", "distinct_values", "attainable_scores"]
    rows = of_snapshot(cuts, as_of).orderBy(*key).select(*names).collect()
    console.print(tables.plain(f"Cut-points of {as_of}", names, rows))


def _models(console: Console, models: DataFrame, as_of: date) -> None:
    rows = of_snapshot(models, as_of).orderBy("model").collect()
    names = ["model", "chosen", "customers", "backtest_actual", "backtest_forecast", "backtest_rmse"]
    shown = [[*(row[name] for name in names), _shown(row["refit_parameters"]), row["problem"]] for row in rows]
    title = f"Models of {as_of}: parameters of all days, in {rows[0]['unit']}s"
    console.print(tables.plain(title, (*names, "parameters", "problem"), shown))


def _shown(parameters: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in parameters.items())


def _quarantine(console: Console, quarantine: DataFrame) -> None:
    by_reason = (
        quarantine.select("source", F.explode("reasons").alias("reason"), "record")
        .groupBy("source", "reason")
        .agg(F.count(F.lit(1)).alias("rows"), F.min("record").alias("example"))
        .orderBy("source", F.desc("rows"), "reason")
        .collect()
    )
    rows = [(row["source"], row["reason"], row["rows"], tables.masked(row["example"])) for row in by_reason]
    title = "Quarantine: a row counts under each of its reasons"
    console.print(tables.plain(title, ("source", "reason", "rows", "example, masked"), rows))

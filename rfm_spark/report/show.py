"""`show`: what a published table says, for people."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.words import did_you_mean
from rfm_spark.errors import ConfigError, InputError
from rfm_spark.report import tables
from rfm_spark.schemas import TABLES

SHOWN = ("segments", *TABLES)


def show(console: Console, config: ProjectConfig, table: str, frame: DataFrame, as_of: date) -> None:
    """Print a table: the segments of a snapshot, the quarantine by reason, the cut-points, the runs.

    Tables of customers are described, not listed: a person's rows are for `explain`.
    """
    if table in ("segments", "segment_profiles"):
        _segments(console, config, frame, as_of)
    elif table == "quarantine":
        _quarantine(console, frame)
    elif table == "cut_points":
        names = [
            "segmentation",
            "criterion",
            "group",
            "position",
            "value",
            "method",
            "customers",
            "distinct_values",
            "attainable_scores",
        ]
        rows = (
            of_snapshot(frame, as_of).orderBy("segmentation", "criterion", "group", "position").select(*names).collect()
        )
        console.print(tables.plain(f"Cut-points of {as_of}", names, rows))
    elif table == "runs":
        names = ["started_at", "run_id", "job", "as_of", "status", "message"]
        rows = frame.orderBy(F.desc("started_at")).select(*names).limit(20).collect()
        console.print(tables.plain("Newest runs", names, rows))
    else:
        types = {field.name: field.dataType.simpleString() for field in frame.schema}
        console.print(tables.described(TABLES[table], types))
        console.print(f"{frame.count():,} rows")


def stored_table(name: str) -> str:
    """The table behind a name that `show` takes. Raises: ConfigError."""
    if name not in SHOWN:
        hint = did_you_mean(name, SHOWN) or f"; expected one of {', '.join(SHOWN)}"
        raise ConfigError(f"show: no table {name}{hint}")
    return "segment_profiles" if name == "segments" else name


def of_snapshot(frame: DataFrame, as_of: date) -> DataFrame:
    """The rows of one snapshot. Raises: InputError where there is none, with those that are published."""
    rows = frame.filter(F.col("snapshot_date") == F.lit(as_of))
    if rows.isEmpty():
        days = [
            str(row[0])
            for row in frame.select("snapshot_date").distinct().orderBy(F.desc("snapshot_date")).limit(5).collect()
        ]
        raise InputError(f"no snapshot of {as_of}; published: {', '.join(days)}")
    return rows


def _segments(console: Console, config: ProjectConfig, frame: DataFrame, as_of: date) -> None:
    rows = [row.asDict() for row in of_snapshot(frame, as_of).collect()]
    for segmentation in config.segmentations:
        order = {segment.name: i for i, segment in enumerate(segmentation.segments)}
        mine = [row for row in rows if row["segmentation"] == segmentation.name and row["segment"] in order]
        if mine:
            print_segments(console, config, segmentation.name, sorted(mine, key=lambda row: order[row["segment"]]))


def print_segments(console: Console, config: ProjectConfig, name: str, profiles: list[dict]) -> None:
    """Print one segmentation, and say which of its segments are empty."""
    console.print(tables.segments(profiles, config, name))
    vacant = tables.empty_segments(profiles)
    if vacant:
        console.print(f"Nobody is in: {', '.join(vacant)}. Ties can leave scores unattainable; see `show cut_points`.")


def _quarantine(console: Console, frame: DataFrame) -> None:
    by_reason = (
        frame.select("source", F.explode("reasons").alias("reason"), "record")
        .groupBy("source", "reason")
        .agg(F.count(F.lit(1)).alias("rows"), F.min("record").alias("example"))
        .orderBy("source", F.desc("rows"), "reason")
        .collect()
    )
    rows = [(row["source"], row["reason"], row["rows"], tables.masked(row["example"])) for row in by_reason]
    console.print(tables.reasons(rows))

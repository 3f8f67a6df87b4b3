"""What a run changed of a snapshot that was published before: the same date, as two runs left it."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark.errors import InputError
from rfm_spark.lake import Lake, where_files_are_gone
from rfm_spark.pipelines.published import SNAPSHOT_JOBS, Published, published
from rfm_spark.steps import migrations


@dataclass(frozen=True)
class Restatement:
    """Two runs of one date, and rows of (segmentation, from_segment, to_segment, customers, before, after), where
    `before` and `after` are the money of these customers in either."""

    as_of: date
    earlier_run: str
    later_run: str
    rows: list[dict[str, Any]]


def restatement(lake: Lake, run_id: str, as_of: date | None = None) -> Restatement:
    """The snapshot of a run beside the one it replaced; of the run that made it first, beside the one published now.

    `run_id` may be cut short, as long as one run alone begins so. One shuffle of both, by segmentation and customer.
    Raises: InputError where there is no such run, it is of another date than `as_of`, there is nothing to compare with,
        or its tables are vacuumed.
    """
    now = published(lake)
    own = _run(now, run_id)
    if as_of not in (None, own["as_of"]):
        raise InputError(
            f"--diff: run {own['run_id']} made the snapshot of {own['as_of']}, and --as-of is {as_of}; ask with "
            f"--as-of {own['as_of']}"
        )
    alike = [row for row in now.runs if row["job"] in SNAPSHOT_JOBS and row["as_of"] == own["as_of"]]
    if len(alike) < 2:
        raise InputError(f"run {own['run_id']} is the only one that made the snapshot of {own['as_of']}")
    at = alike.index(own)
    earlier, later = (alike[at - 1], own) if at else (own, alike[-1])
    with where_files_are_gone(f"the tables of run {earlier['run_id']} are not kept any more"):
        before, after = _placed(lake, earlier, "from_segment", "before"), _placed(lake, later, "to_segment", "after")
        both = before.join(after, ["segmentation", "customer_key"], "full_outer").withColumns(
            {
                "from_segment": F.coalesce("from_segment", F.lit(migrations.NEW)),
                "to_segment": F.coalesce("to_segment", F.lit(migrations.GONE)),
            }
        )
        grouped = both.groupBy("segmentation", "from_segment", "to_segment").agg(
            F.count(F.lit(1)).alias("customers"), F.sum("before").alias("before"), F.sum("after").alias("after")
        )
        rows = [row.asDict() for row in grouped.collect()]
    ordered = sorted(rows, key=lambda row: (row["segmentation"], row["from_segment"], row["to_segment"]))
    return Restatement(own["as_of"], earlier["run_id"], later["run_id"], ordered)


def _run(now: Published, run_id: str) -> Row:
    found = [row for row in now.runs if row["run_id"].startswith(run_id) and row["job"] in SNAPSHOT_JOBS]
    if len(found) != 1:
        what = f"{len(found)} complete runs" if found else "no complete run"
        raise InputError(f"--diff: found {what} of a snapshot that begins with {run_id}; `show runs` lists them")
    return found[0]


def _placed(lake: Lake, run: Row, segment: str, monetary: str) -> DataFrame:
    def of(table: str) -> DataFrame:
        frame = lake.read(table, run["table_versions"][table])
        return frame.filter(F.col("snapshot_date") == F.lit(run["as_of"]))

    named = F.coalesce("segment", F.lit(migrations.UNASSIGNED)).alias(segment)
    spent = of("customer_metrics").select("customer_key", F.col("monetary").alias(monetary))
    return of("customer_segments").select("segmentation", "customer_key", named).join(spent, "customer_key")

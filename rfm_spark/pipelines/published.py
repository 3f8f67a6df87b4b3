"""What readers see: every table as the complete runs left it.

A run commits its slices before its row of `runs`, and they stay in the tables if it dies. So a snapshot is read at
a version that holds it as its own newest complete run left it, and one that no complete run made is not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.lake import Lake
from rfm_spark.local import local_frame
from rfm_spark.sql import union

COMPLETE = "complete"
CURRENT = "current_segments"
_SNAPSHOT_JOBS = ("run", "segment")


@dataclass(frozen=True)
class Published:
    """The complete runs of a lake, as they were when asked.

    `versions` is each table's greatest of all of them, since versions only grow: the newest run's alone would miss
    what a run beside it published in the meantime. `snapshots` holds the versions of each published as_of, ascending.
    """

    lake: Lake
    run_ids: frozenset[str]
    versions: Mapping[str, int]
    snapshots: Mapping[date, Mapping[str, int]]

    def read(self, table: str, as_of: date | None = None) -> DataFrame | None:
        """A table with all its published snapshots or only that of `as_of`; None where no complete run has it."""
        version = self.versions.get(table)
        if version is None:
            return None
        whole, day = self.lake.read(table, version), F.col("snapshot_date")
        if table == schemas.INGESTED_FILES.name:  # what a run that died has read counts for nothing
            return whole.join(complete_runs(self.lake).select("run_id"), "run_id", "left_semi")
        if "snapshot_date" not in schemas.TABLES[table].partitioned_by:
            return whole
        own = {each: at[table] for each, at in self.snapshots.items() if table in at and as_of in (None, each)}
        torn = self._torn(table, version, own)
        frames = [whole.filter(day.isin([each for each in own if each not in torn]))]
        frames += [self.lake.read(table, own[each]).filter(day == F.lit(each)) for each in torn]
        return union(frames).select(whole.columns)

    def current_segments(self) -> DataFrame | None:
        """The newest snapshot of each segmentation, or None where none is published."""
        segments = self.read("customer_segments")
        if segments is None:
            return None
        newest = segments.groupBy("segmentation").agg(F.max("snapshot_date").alias("snapshot_date"))
        key = ["segmentation", "snapshot_date"]
        return segments.join(F.broadcast(newest), key, "left_semi").select(segments.columns)

    def _torn(self, table: str, version: int, own: Mapping[date, int]) -> list[date]:
        """Snapshots that a run which never completed has replaced since they were published."""
        replaced = self.lake.replaced_last(table, version, min(own.values(), default=version), self.run_ids)
        return [day for day, at in replaced.items() if at > own.get(day, at)]


def complete_runs(lake: Lake) -> DataFrame:
    """One row a complete run, as table `runs`."""
    runs = lake.read("runs") if lake.exists("runs") else local_frame(lake.spark, [], schemas.RUNS.types())
    return runs.filter(F.col("status") == COMPLETE)


def published(lake: Lake) -> Published:
    """What the complete runs have published until now. One job over `runs`, a row a run."""
    rows = complete_runs(lake).select("run_id", "job", "as_of", "table_versions").collect()
    snapshots: dict[date, dict[str, int]] = {}
    for row in sorted((row for row in rows if row["job"] in _SNAPSHOT_JOBS), key=lambda row: row["as_of"]):
        snapshots[row["as_of"]] = greatest(snapshots.get(row["as_of"], {}), row["table_versions"])
    versions: dict[str, int] = reduce(greatest, (row["table_versions"] for row in rows), {})
    return Published(lake, frozenset(row["run_id"] for row in rows), versions, snapshots)


def greatest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The greater version of each table."""
    return {table: max(one.get(table, -1), other.get(table, -1)) for table in one.keys() | other.keys()}


def define_current_segments(lake: Lake) -> None:
    """Make `current_segments` a view of the catalog, of the newest published snapshot of each segmentation.

    It names the version that holds them, so that a later run that dies does not show in it.
    """
    now = published(lake)
    segments = now.current_segments()
    if segments is None:
        return
    slices = segments.select("segmentation", "snapshot_date").distinct().collect()
    wanted = [f"(segmentation = '{s}' AND snapshot_date = DATE'{day}')" for s, day in sorted(map(tuple, slices))]
    lake.define_view(CURRENT, "customer_segments", now.versions["customer_segments"], " OR ".join(wanted))

"""What readers see: every table as the complete runs left it.

A run commits its slices before its row of `runs`, and they stay in the tables if it dies, until `maintain` puts back
what was there. So a snapshot is read at a version that holds it as its own newest complete run left it, and one that no
complete run made is not there. Nor is one that a complete `maintain` has dropped, until a later run makes it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark import config as configs
from rfm_spark import schemas
from rfm_spark.config.models import ProjectConfig
from rfm_spark.lake import Lake, define_view
from rfm_spark.local import local_frame
from rfm_spark.pipelines.counts import DROPPED, MARK
from rfm_spark.sql import union
from rfm_spark.steps import segment_history

COMPLETE = "complete"
CURRENT, HISTORY = "current_segments", "segment_history"
SNAPSHOT_JOBS, PREDICT = ("run", "segment"), "predict"
PREDICTED = tuple(
    spec.name for spec in (schemas.PREDICTIONS, schemas.MODELS, schemas.SEGMENT_FORECASTS, schemas.SEGMENT_TRANSITIONS)
)
_OF_RUNS = tuple(
    spec.name
    for spec in (schemas.INGESTED_FILES, schemas.INGESTED_TABLES, schemas.IDENTITY_CHANGES, schemas.SEGMENT_CHANGES)
)


@dataclass(frozen=True)
class Published:
    """The complete runs of a lake, as they were when asked.

    `runs` are they, in the order they ended: run_id, job, as_of, ended_at, code_version, table_versions, counts.
    `versions` is each table's greatest of all of them, since versions only grow: the newest run's alone would miss
    what a run beside it published in the meantime. `snapshots` holds the versions of each published as_of, ascending,
    `dropped` the dates that are published no more; `predicted` the same as snapshots of what `predict` published.
    """

    lake: Lake
    runs: Sequence[Row]
    versions: Mapping[str, int]
    snapshots: Mapping[date, Mapping[str, int]]
    dropped: frozenset[date] = frozenset()
    predicted: Mapping[date, Mapping[str, int]] = field(default_factory=dict)

    @property
    def run_ids(self) -> frozenset[str]:
        """The ids of the complete runs."""
        return frozenset(row["run_id"] for row in self.runs)

    @property
    def snapshot_runs(self) -> frozenset[str]:
        """The ids of those that made a snapshot."""
        return frozenset(row["run_id"] for row in self.runs if row["job"] in SNAPSHOT_JOBS)

    def made(self, as_of: date) -> Row:
        """The newest complete run that made a published snapshot."""
        return [row for row in self.runs if row["job"] in SNAPSHOT_JOBS and row["as_of"] == as_of][-1]

    def newest_before(self, day: date) -> date | None:
        """The newest published snapshot before a day."""
        return max((each for each in self.snapshots if each < day), default=None)

    def newest_until(self, day: date) -> date | None:
        """The newest published snapshot at or before a day."""
        return max((each for each in self.snapshots if each <= day), default=None)

    def config(self, run_id: str) -> ProjectConfig:
        """The project as it was when a run was made: today's file may hold other rules and criteria."""
        (row,) = complete_runs(self.lake).filter(F.col("run_id") == run_id).select("config").collect()
        return configs.from_resolved(row["config"])

    def read(self, table: str, as_of: date | None = None) -> DataFrame | None:
        """A table with all its published snapshots or only that of `as_of`; None where no complete run has it."""
        version = self.versions.get(table)
        if version is None:
            return None
        whole, spec = self.lake.read(table, version), schemas.TABLES[table]
        if table in _OF_RUNS:  # what a run that died has appended counts for nothing
            return whole.filter(F.col("run_id").isin(sorted(self.run_ids)))
        if spec.snapshot is None:
            return whole
        day = F.col(spec.snapshot)
        own = {each: at for each, at in self._own(table).items() if as_of in (None, each)}
        torn = self._torn(table, version, own)
        as_published = whole.filter(day.isin([each for each in own if each not in torn]))
        if not torn:
            return as_published
        others = [self.lake.read(table, at).filter(day == F.lit(each)) for each, at in torn.items()]
        return union([as_published, *others]).select(whole.columns)

    def current_segments(self) -> DataFrame | None:
        """The newest snapshot of each segmentation, or None where none is published."""
        segments = self.read("customer_segments")
        if segments is None:
            return None
        newest = segments.groupBy("segmentation").agg(F.max("snapshot_date").alias("snapshot_date"))
        key = ["segmentation", "snapshot_date"]
        return segments.join(F.broadcast(newest), key, "left_semi").select(segments.columns)

    def history(self) -> DataFrame | None:
        """One row a customer, segmentation and unbroken stay in a segment; None where no snapshot is published."""
        segments = self.read("customer_segments")
        return segment_history.stays(segments) if segments is not None else None

    def holding(self, table: str, days: Iterable[date]) -> dict[date, int]:
        """For each of some snapshots that a table publishes the version that holds it as its own run left it."""
        version = self.versions[table]
        torn = self._torn(table, version, self._own(table))
        return {day: torn.get(day, version) for day in days}

    def oldest(self, table: str) -> int | None:
        """The oldest version that readers of a table are sent to; None where no complete run has it."""
        version = self.versions.get(table)
        if version is None or schemas.TABLES[table].snapshot is None:
            return version
        return min([version, *self._torn(table, version, self._own(table)).values()])

    def torn(self, table: str, expired: Iterable[date]) -> dict[date, int]:
        """The snapshots, but those expired, that a table does not hold as published, and its last version that did."""
        newest, gone = self.lake.version(table), set(expired)
        own = {day: at for day, at in self._own(table).items() if day not in gone}
        return {} if newest is None else self._torn(table, newest, own)

    def not_published(self, table: str, days: Iterable[date], expired: Iterable[date]) -> list[date]:
        """The dates that a table may be rid of: those expired, and those that it does not publish."""
        own, gone = self._own(table), set(expired)
        return [day for day in days if day in gone or day not in own]

    def _own(self, table: str) -> dict[date, int]:
        snapshots = self.predicted if table in PREDICTED else self.snapshots
        return {day: at[table] for day, at in snapshots.items() if table in at}

    def _torn(self, table: str, version: int, own: Mapping[date, int]) -> dict[date, int]:
        """Those that a run which never completed has replaced since they were published, and where they still are."""
        return self.lake.last_with(table, version, own, self.run_ids)


def complete_runs(lake: Lake) -> DataFrame:
    """One row a complete run, as table `runs`."""
    runs = lake.read("runs") if lake.exists("runs") else local_frame(lake.spark, [], schemas.RUNS.types())
    return runs.filter(F.col("status") == COMPLETE)


def published(lake: Lake) -> Published:
    """What the complete runs have published until now. One job over `runs`, a row a run."""
    names = ("run_id", "job", "as_of", "ended_at", "code_version", "table_versions", "counts")
    found = complete_runs(lake).select(*names).collect()
    rows = sorted(found, key=lambda row: (row["ended_at"], row["run_id"]))
    dropped: dict[date, int] = {}
    for row in (row for row in rows if row["job"] == "maintain"):
        for name, version in row["counts"].items():
            if name.startswith(DROPPED):
                day = date.fromisoformat(name.removeprefix(DROPPED))
                dropped[day] = max(version, dropped.get(day, version))
    snapshots: dict[date, dict[str, int]] = {}
    for row in sorted((row for row in rows if row["job"] in SNAPSHOT_JOBS), key=lambda row: row["as_of"]):
        snapshots[row["as_of"]] = greatest(snapshots.get(row["as_of"], {}), row["table_versions"])
    kept = {day: at for day, at in snapshots.items() if day not in dropped or at.get(MARK, 0) > dropped[day]}
    versions: dict[str, int] = reduce(greatest, (row["table_versions"] for row in rows), {})
    return Published(lake, rows, versions, kept, frozenset(snapshots.keys() - kept.keys()), _predicted(rows))


def _predicted(rows: Sequence[Row]) -> dict[date, Mapping[str, int]]:
    """The versions that each date's newest complete prediction left, unless the date was dropped since."""
    found: dict[date, Mapping[str, int]] = {}
    for row in rows:
        if row["job"] == PREDICT:
            found[row["as_of"]] = row["table_versions"]
        for name in row["counts"] if row["job"] == "maintain" else ():
            if name.startswith(DROPPED):
                found.pop(date.fromisoformat(name.removeprefix(DROPPED)), None)
    return dict(sorted(found.items()))


def greatest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The greater version of each table."""
    return {table: max(one.get(table, -1), other.get(table, -1)) for table in one.keys() | other.keys()}


def define_views(lake: Lake) -> None:
    """Make `current_segments` and `segment_history` views of the catalog, of what is published now.

    They name the versions that hold it, so that no run that died shows in them, before or after.
    """
    now = published(lake)
    segments = now.current_segments()
    if segments is None:
        return
    table = schemas.CUSTOMER_SEGMENTS.name
    versions = now.holding(table, [day for day, at in now.snapshots.items() if table in at])
    newest = segments.select("segmentation", "snapshot_date").distinct().collect()
    current = [(day, f"segmentation = '{name}' AND snapshot_date = DATE'{day}'") for name, day in sorted(newest)]
    every = [(day, f"snapshot_date = DATE'{day}'") for day in versions]
    define_view(lake, CURRENT, table, _by_version(versions, current))
    define_view(lake, HISTORY, table, _by_version(versions, every), segment_history.STAYS)


def _by_version(versions: Mapping[date, int], rows: Iterable[tuple[date, str]]) -> dict[int, str]:
    """For each version one condition: any of those of the snapshots that it holds."""
    wanted: dict[int, list[str]] = {}
    for day, condition in rows:
        wanted.setdefault(versions[day], []).append(f"({condition})")
    return {version: " OR ".join(conditions) for version, conditions in wanted.items()}

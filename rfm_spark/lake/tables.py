"""The tables of a project, as one run reads and writes them.

Each write is one commit that carries the run id as its user metadata. Snapshot tables are replaced a slice at a time
(`replaceWhere`, and the frame filtered to the same slice); `events` is appended once per base version, so that of two
ingests that began at the same version only one gets in; rows of `runs` that others have to know of are appended in
turn. A run whose first slice another run has replaced stops before its next write, so of two runs on one slice one
wins. A dry lake writes nothing and hands the frames on.

`by_sql` and `by_delta_rs` make the commits. Under the latter three things differ: there is no mark of a write that may
happen once, so an append that lost a race is deleted again, and one in turn is only made as the next version; every
concurrent commit looks like a conflict, so a slice is written again unless somebody replaced that slice; a MERGE
carries no run id, and is recognised by its version.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import islice

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from rfm_spark import engines
from rfm_spark.config.lake import Lake as LakeConfig
from rfm_spark.errors import ConflictError
from rfm_spark.lake import history
from rfm_spark.lake.by_delta_rs import ByDeltaRs
from rfm_spark.lake.by_sql import USER_METADATA, BySql
from rfm_spark.lake.faults import translated
from rfm_spark.lake.history import Commit, newest_first, since
from rfm_spark.lake.place import Place
from rfm_spark.lake.shape import STATISTICS, conformed, with_statistics
from rfm_spark.local import local_frame
from rfm_spark.schemas import TableSpec

_TXN_APP, _TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
TRIES = 3
_TURNS = 10  # each lost one is another run's that got in
_MORE_THAN_A_RUN_LIVES_THROUGH = 1000  # commits of others
CHANGE_DATA_FEED = "delta.enableChangeDataFeed"


@dataclass(frozen=True)
class Written:
    """What a write left: the frame to go on with, its rows, and the version (None in a dry lake)."""

    frame: DataFrame
    rows: int
    version: int | None


@dataclass(frozen=True)
class _Own:
    """One write of this run; `slice_` is {column: date} that it replaced, empty for all of the table or an append."""

    version: int
    slice_: Mapping[str, str]


class Lake:
    """The tables of one project, at a path or in a catalog, as one run sees and writes them."""

    def __init__(self, spark: SparkSession, config: LakeConfig, run_id: str = "", *, dry: bool = False) -> None:
        self.spark, self.run_id, self.dry = spark, run_id, dry
        self.place = Place(spark, config)
        self._delta_sql = engines.of(spark).delta_sql
        self.delta: BySql | ByDeltaRs = (BySql if self._delta_sql else ByDeltaRs)(self.place, run_id)
        self.keep: Callable[[DataFrame], DataFrame] = DataFrame.persist  # of a dry lake; a run lets go of what it keeps
        self._used: dict[str, int] = {}
        self._commits: dict[str, _Own] = {}
        self._anew: set[str] = set()
        self._held: dict[str, int | None] = {}
        self._unnamed: set[tuple[str, int]] = set()
        self._dropped: dict[str, int] = {}

    # --- reading ---

    def exists(self, table: str) -> bool:
        """Whether the table is there."""
        return self.place.exists(table)

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table, at a version or as it is now."""
        return self.place.table(table, version)

    def version(self, table: str) -> int | None:
        """The newest version, or None where there is no table."""
        return self._history(table, 1)[0].version if self.exists(table) else None

    def commits(self, table: str) -> Iterator[Commit]:
        """The commits of a table, newest first."""
        return newest_first(lambda limit: self._history(table, limit))

    def last_with(self, table: str, version: int, own: Mapping[date, int], known: Container[str]) -> dict[date, int]:
        """Of snapshots, each with the version `own` that it was published at, those that the table at a version holds
        otherwise: the last version that holds them as published.

        A run other than the `known` has replaced them, or one has dropped them, and none of the known has put them
        back. Commits that the log no longer holds are not seen.
        """
        return history.last_with(self.commits(table), version, own, known)

    def appended_by(self, table: str, after: int, version: int) -> frozenset[str] | None:
        """The runs that appended rows between two versions.

        None where rows were also changed or removed, where nobody's name is on a commit, or the log no longer tells.
        """
        return history.appended_by(self.commits(table), after, version) if version != after else frozenset()

    def use(self, table: str, version: int | None = None) -> DataFrame:
        """The table at a version, or as it is now, for a run to work on: what its readers are to see as well.

        A run that died may have left rows that this one need not write again, but that no complete run published.
        """
        self._used[table] = self._history(table, 1)[0].version if version is None else version
        return self.read(table, self._used[table])

    def hold(self, table: str, version: int | None) -> None:
        """Say that what this run makes is of a table at a version (None: there is none), and no other run's to change.

        Where one has, this run neither replaces the table nor is it published.
        """
        self._held[table] = version

    def has_changed(self, table: str, after: int | None, version: int | None) -> bool:
        """Whether other runs have changed rows of a table between two versions; None is where there is no table."""
        if version is None or version == after:
            return False
        return any(one.version <= version for one in self._others_since(table, after))

    def wanted(self, spec: TableSpec) -> dict[str, str]:
        """The properties that a table is made with."""
        feed = {CHANGE_DATA_FEED: "true"} if self.place.config.change_data_feed else {}
        return {STATISTICS: with_statistics(spec), **feed}

    # --- writing ---

    def replace(
        self, spec: TableSpec, frame: DataFrame, slice_: Mapping[str, date] | None = None, *, anew: bool = False
    ) -> Written:
        """Replace one slice (all of the table without one) in one commit.

        The frame is filtered to the slice as well, since not every engine rejects a row outside of it. `anew`: every
        run makes all of it of what is in its sources, so that runs do not contend for who was last.
        Raises: ConflictError where this run holds the table and another has changed it.
        """
        frame = self._conformed(spec, frame, anew=anew)
        days = {name: value.isoformat() for name, value in (slice_ or {}).items()}
        predicate = " AND ".join(f"{name} = DATE'{day}'" for name, day in days.items())
        if predicate:
            frame = frame.filter(predicate)
        if self.dry:
            return self._kept(frame)
        if first := next((table for table, commit in self._commits.items() if commit.slice_), None):
            self._check_own(first)
        if spec.name in self._held:
            self._check_unchanged(spec.name, self._held[spec.name])
        options = {"replaceWhere": predicate} if predicate else {"overwriteSchema": "true"}
        self._overwrite(spec, frame, options, days)
        if anew:
            self._anew.add(spec.name)
        return self._committed(spec.name, days, or_none=True)

    def append_once(self, spec: TableSpec, frame: DataFrame, base: int | None) -> Written:
        """Append what was decided against version `base` (None: there was no table).

        Raises: ConflictError where another run changed the table since.
        """
        frame = self._conformed(spec, frame)
        if self.dry:
            return self._kept(frame)
        self._check_unchanged(spec.name, base)
        app, version = _once(spec.name, base)
        self._write(spec, frame, "append", {"txnAppId": app, "txnVersion": version})
        done = self._committed(spec.name, {})
        if isinstance(self.delta, ByDeltaRs):
            self._take_out_if_overtaken(self.delta, spec, base)
        return done

    def settled_version(
        self, spec: TableSpec, published: Callable[[], tuple[int | None, Container[str]]]
    ) -> int | None:
        """The newest version of a table of `append_once`, in which no key is twice; None where there is no table.

        A run that was overtaken may have died before it took its rows out again, on an engine that does that: they go.
        `published`, asked there alone: the version that complete runs have left, and these; what follows is of runs
        that died or still run.
        """
        newest = self.version(spec.name)
        if newest is None or self.dry or not isinstance(self.delta, ByDeltaRs):
            return newest
        after, complete = published()
        if newest == after:
            return newest
        later = list(since(-1 if after is None else after, self.commits(spec.name)))
        for one in reversed([one for one in later if one.appends and one.run_id not in complete]):
            there, its = self.read(spec.name, one.version), F.col(str(spec.written_by)).eqNullSafe(str(one.run_id))
            keys = there.filter(its).select(*spec.key)
            if not keys.join(there.filter(~its), list(spec.key), "left_semi").isEmpty():
                with translated(f"{spec.name} at {self.place}"):
                    self.delta.take_out(spec, str(one.run_id))
        return self.version(spec.name)

    def append_in_turn(self, spec: TableSpec, decide: Callable[[], tuple[DataFrame, Container[str]]]) -> Written:
        """Append the few rows that `decide` gives, which looks at the table and tells the runs that have appended so.

        Of two runs that have seen the same others one gets in; the other is asked again, and sees it. Whoever appends
        otherwise is in nobody's way. Raises: what `decide` does; ConflictError where others were first each time.
        """
        if self.dry:
            return self._kept(self._conformed(spec, decide()[0]))
        made = -1
        if not self.exists(spec.name):
            with suppress(ConflictError):  # another run has just made it
                self._write(spec, self._conformed(spec, local_frame(self.spark, [], spec.types())), "append", {})
            made = self._history(spec.name, 1)[0].version
        for left in reversed(range(_TURNS)):
            newest = self._history(spec.name, 1)[0].version if isinstance(self.delta, ByDeltaRs) else 0
            rows, seen = decide()
            frame = self._conformed(spec, rows)
            try:
                if isinstance(self.delta, ByDeltaRs):
                    self.place.forget_types(spec.name)
                    with translated(f"{spec.name} at {self.place}"):
                        self.delta.append_after(newest, spec, frame)
                else:
                    app, version = _once(spec.name, history.turn(self.commits(spec.name), seen))
                    self._write(spec, frame, "append", {"txnAppId": app, "txnVersion": version})
                return self._committed(spec.name, {}, after=made)
            except ConflictError:
                if not left:
                    raise
        raise _overtaken(spec.name, self.place)

    def append(self, spec: TableSpec, frame: DataFrame) -> Written:
        """Append rows that no other run can write or has to know of, such as that of a failed run in `runs`."""
        frame = self._conformed(spec, frame)
        if self.dry:
            return self._kept(frame)
        self._write(spec, frame, "append", {})
        return self._committed(spec.name, {}, or_none=True)

    def merge(
        self,
        spec: TableSpec,
        changes: DataFrame,
        clauses: str,
        base: int | None = None,
        on: Sequence[str] | None = None,
    ) -> Written:
        """One MERGE of `changes` (alias s) into the table (alias t) on its key, or `on` other columns; `clauses` are
        the WHEN parts.

        With `base`, the version that the changes were decided against, it is refused as `append_once` would be.
        """
        if self.dry:
            return self._kept(changes)
        settings = {USER_METADATA: self.run_id}
        if base is not None:
            settings |= dict(zip((_TXN_APP, _TXN_VERSION), _once(spec.name, base), strict=True))
        same = " AND ".join(f"t.`{name}` = s.`{name}`" for name in on or spec.key)
        into = "MERGE WITH SCHEMA EVOLUTION INTO" if "INSERT *" in clauses else "MERGE INTO"
        view = "changes_" + re.sub(r"\W", "_", self.run_id)
        before = None if self._delta_sql else self.version(spec.name)
        statement = f"{into} {self.place.identifier(spec.name)} t USING {view} s ON {same} {clauses}"

        def write() -> None:
            if base is not None:
                self._check_unchanged(spec.name, base)
            with translated(f"{spec.name} at {self.place}"), self.delta.settings(settings):
                changes.createOrReplaceTempView(view)
                try:
                    self.spark.sql(statement).collect()
                finally:
                    self.spark.catalog.dropTempView(view)

        self._beside_maintenance(spec.name, write)
        if before is not None:
            self._know_merge(spec.name, before)
        return self._committed(spec.name, {}, or_none=base is None)

    def complete_columns(self, spec: TableSpec, frame: DataFrame) -> DataFrame:
        """The conformed frame, with the table's further columns as null, for a MERGE of whole rows."""
        frame = self._conformed(spec, frame)
        present = {name.lower() for name in frame.columns}
        missing = [field for field in self.read(spec.name).schema if field.name.lower() not in present]
        return (
            frame.withColumns({field.name: F.lit(None).cast(field.dataType) for field in missing}) if missing else frame
        )

    def create(self, spec: TableSpec) -> None:
        """Make the table where it is missing, so that every run leaves every table readable."""
        if not self.dry and not self.exists(spec.name):
            empty = local_frame(self.spark, [], spec.types())
            self.append(spec, empty)

    def verify(self) -> None:
        """Check that no other run has replaced a slice that this run wrote, or changed a table that it holds.

        Raises: ConflictError; the other run is the one that readers will see.
        """
        for table in self._commits.keys() - self._anew:
            self._check_own(table)
        for table in self._held.keys() - self._commits.keys():
            self._check_unchanged(table, self._held[table])

    def dropped(self) -> dict[str, int]:
        """The versions of slices that `maintain` has dropped since this run wrote them, as `verify` has found.

        Readers of this run are sent there, and not to a later version as for all else.
        """
        return self._dropped

    def versions(self) -> dict[str, int]:
        """The version of each table that this run used or, where it wrote, left."""
        return self._used | {table: commit.version for table, commit in self._commits.items()}

    # --- inside ---

    def _kept(self, frame: DataFrame) -> Written:
        kept = self.keep(frame)
        return Written(kept, kept.count(), None)

    def _overwrite(
        self, spec: TableSpec, frame: DataFrame, options: Mapping[str, str], slice_: Mapping[str, str]
    ) -> None:
        tries = 1 if self._delta_sql else TRIES
        for left in reversed(range(tries)):
            before = None if self._delta_sql else self.version(spec.name)
            try:
                return self._write(spec, frame, "overwrite", options)
            except ConflictError:
                later = since(-1 if before is None else before, self.commits(spec.name))
                if not left or any(one.overwrote(slice_) for one in later):
                    raise
        return None

    def _check_own(self, table: str) -> None:
        mine = self._commits[table]
        for one in since(mine.version, self.commits(table)):
            if not self._is_own(table, one) and one.overwrote(mine.slice_):
                raise ConflictError(
                    f"another run replaced the same slice of {table} in {self.place} while this one was working; "
                    "its result stands, this one is not published: run again if it should be"
                )
            if not one.dropped.isdisjoint(mine.slice_.values()):
                self._dropped[table] = mine.version

    def _check_unchanged(self, table: str, base: int | None) -> None:
        if self.exists(table) and self._others_since(table, base):
            raise _overtaken(table, self.place)

    def _others_since(self, table: str, base: int | None) -> list[Commit]:
        """What other runs have changed since a version (None: since there was no table)."""
        later = since(-1 if base is None else base, self.commits(table))
        return [one for one in later if one.changes_rows and not self._is_own(table, one)]

    def _is_own(self, table: str, one: Commit) -> bool:
        return one.run_id == self.run_id or (table, one.version) in self._unnamed

    def _know_merge(self, table: str, before: int) -> None:
        """Remember the MERGE that this run has just made; of two at one time only one commits."""
        made = [one for one in since(before, self.commits(table)) if one.operation == "MERGE" and not one.run_id]
        if len(made) > 1:
            raise _overtaken(table, self.place)
        self._unnamed |= {(table, one.version) for one in made}

    def _take_out_if_overtaken(self, delta: ByDeltaRs, spec: TableSpec, base: int | None) -> None:
        """Undo an append where another run changed the table between the version it was decided against and its own."""
        mine = self._commits[spec.name].version
        if any(one.version < mine for one in self._others_since(spec.name, base)):
            with translated(f"{spec.name} at {self.place}"):
                delta.take_out(spec, self.run_id)
            raise _overtaken(spec.name, self.place)

    def _history(self, table: str, limit: int) -> list[Commit]:
        with translated(f"{table} at {self.place}"):
            return self.delta.history(table, limit)

    def _write(self, spec: TableSpec, frame: DataFrame, mode: str, options: Mapping[str, str]) -> None:
        def write() -> None:
            with translated(f"{spec.name} at {self.place}"):
                self.delta.write(spec, frame, mode, options, self.wanted(spec))

        self._beside_maintenance(spec.name, write)

    def _beside_maintenance(self, table: str, write: Callable[[], None]) -> None:
        """Write, and write again where the commit it lost to is one of maintenance: that left the rows as they were."""
        self.place.forget_types(table)
        for left in reversed(range(TRIES)):
            try:
                return write()
            except ConflictError:
                newest = next(self.commits(table), None) if left and self.exists(table) else None
                if newest is None or (newest.changes_rows and not newest.dropped):
                    raise
        return None

    def _committed(self, table: str, slice_: Mapping[str, str], *, or_none: bool = False, after: int = -1) -> Written:
        """Our newest commit on the table after a version; a write that Delta skipped as already done has none.

        With `or_none` neither has one that found nothing to do, no row to add or to remove: the table stays as it is.
        """
        for one in islice(since(after, self.commits(table)), _MORE_THAN_A_RUN_LIVES_THROUGH):
            if self._is_own(table, one):
                self._commits[table] = _Own(one.version, slice_)
                return Written(self.read(table, one.version), one.rows, one.version)
        if or_none:
            return Written(self.use(table), 0, None)
        raise _overtaken(table, self.place)

    def _conformed(self, spec: TableSpec, frame: DataFrame, *, anew: bool = False) -> DataFrame:
        return conformed(
            spec, frame, None if anew else self.place.types_of(spec.name), f"table {spec.name} in {self.place}"
        )


def _once(table: str, base: int | None) -> tuple[str, str]:
    """Delta's mark of a write that may happen once: of two that race with the same mark, one commits."""
    return f"rfm_spark.{table}", str(0 if base is None else base + 1)


def _overtaken(table: str, place: Place) -> ConflictError:
    return ConflictError(f"another run wrote {table} in {place} first; nothing of this one is published: run again")

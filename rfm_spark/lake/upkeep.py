"""Upkeep of tables: their declared shape, snapshots taken out or put back, few files, and none that nobody needs.

No commit of it changes a row but those that take snapshots out or put them back, and each carries the run id. Other
runs write on beside it: what loses a race is tried again, on either side, and a dry lake is only looked at.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from pyspark.sql import functions as F

from rfm_spark.errors import ConflictError
from rfm_spark.lake.faults import translated, where_files_are_gone
from rfm_spark.lake.history import since, vacuum_is_due
from rfm_spark.lake.shape import STATISTICS, Shape, partitions, with_statistics
from rfm_spark.lake.tables import CHANGE_DATA_FEED, TRIES, Lake
from rfm_spark.schemas import Column, TableSpec

FILES_A_PARTITION = 4
BYTES_A_FILE = 128 * 2**20
_A_RUN = timedelta(days=1)  # longer than any takes: what it left so long ago is a dead one's, what it looked at is seen
_DAYS_A_COMMIT = 10  # of more, the history does not spell out which
_T = TypeVar("_T")


@dataclass(frozen=True)
class Done:
    """One thing done to a table (to be done, where the lake is dry), and its numbers by name."""

    table: str
    action: str
    what: str
    counts: Mapping[str, int] = field(default_factory=dict)


class Upkeep:
    """Looks after the tables of a lake; each method gives what it did, nothing where nothing was to be done."""

    def __init__(self, lake: Lake) -> None:
        self._lake, self._delta = lake, lake.delta
        self._planned: dict[str, set[str]] = {}  # of a dry lake: tables that would lose files, and the dates they lose

    def mend(self, spec: TableSpec) -> list[Done]:
        """Bring a table that an older version made to its declared shape, and tell what cannot be mended.

        Rules: a missing column comes in as null where null is allowed; comments and the columns with statistics are
            set, and the change data feed where the project has it; types, partitions and columns that every row must
            have need the rows written again.
        """
        table, shape = spec.name, self._ask(spec.name, lambda: self._delta.shape(spec.name))
        have = {column.name: column for column in shape.columns}
        new = [column for column in spec.columns if column.name not in have and column.nullable]
        meant = [c for c in spec.columns if c.name in have and have[c.name].comment != c.comment]
        done = [Done(table, "cannot mend", fault, {"not_mended": 1}) for fault in _faults(spec, shape)]
        if new:
            self._change(table, lambda: self._delta.add_columns(table, new))
            done.append(Done(table, "add columns", _names(new), {"columns_added": len(new)}))
        for column in meant:
            self._change(table, partial(self._delta.comment, table, column.name, column.comment))
        if meant:
            done.append(Done(table, "mend comments", _names(meant)))
        declared = [column for column in shape.columns if column.name in spec.column_names()]
        whole = replace(spec, columns=(*declared, *new), partitioned_by=shape.partitioned_by)
        wanted = with_statistics(whole)
        if set(wanted.split(",")) != set(shape.properties.get(STATISTICS, "").split(",")):
            self._change(table, lambda: self._delta.set_property(table, STATISTICS, wanted))
            done.append(Done(table, "mend statistics", f"{STATISTICS} = {wanted}"))
        feeds = self._lake.wanted(spec).get(CHANGE_DATA_FEED)
        if feeds and shape.properties.get(CHANGE_DATA_FEED) != feeds:
            self._change(table, lambda: self._delta.set_property(table, CHANGE_DATA_FEED, feeds))
            done.append(Done(table, "record changes", f"{CHANGE_DATA_FEED} = {feeds}, from here on"))
        return done

    def drop(self, spec: TableSpec, days: Iterable[date]) -> list[Done]:
        """Take whole snapshots out, where they are; earlier versions hold them until their files are removed."""
        table, column = spec.name, spec.partitioned_by[-1]
        there = {_day(folder, column) for folder in self._partitions(table)}
        gone = sorted(day for day in map(str, days) if day in there)
        rows = 0
        for i in range(0, len(gone), _DAYS_A_COMMIT):
            some = gone[i : i + _DAYS_A_COMMIT]
            rows += self._change(table, partial(self._delta.drop, table, column, some)) or 0
        if not gone:
            return []
        self._plan(table, gone)
        told = f", {rows:,} rows" if rows else ""
        span = gone[0] if len(gone) == 1 else f"{len(gone)} snapshots, {gone[0]} to {gone[-1]}"
        return [Done(table, "drop", span + told, {"snapshots_dropped": len(gone), "rows_dropped": rows})]

    def put_back(self, spec: TableSpec, versions: Mapping[date, int], now: datetime) -> list[Done]:
        """Write snapshots again as they are at a version of the table, where a run that died has left others in it.

        Rules: what somebody wrote within a day may be of a run that is still at work, and stays. Until then readers
            are sent to the version; they know of it from the log, which is not kept for ever.
        Raises: InputError where a version is not kept any more.
        """
        table, before = spec.name, _millis(now - _A_RUN)
        left = [day for day in sorted(versions) if self._written_at(table, day) < before]
        if not self._lake.dry:
            left = [d for d in left if self._change(table, partial(self._put_back, spec, d, versions[d], before))]
        if not left:
            return []
        self._plan(table, map(str, left))
        return [Done(table, "put back", ", ".join(map(str, left)), {"snapshots_put_back": len(left)})]

    def compact(self, spec: TableSpec) -> list[Done]:
        """Write the files of crowded partitions again as few.

        Rules: a partition is crowded with more than FILES_A_PARTITION files. Afterwards it has at most that many, or
            where it is large, one and two for each BYTES_A_FILE. Partitions of other dates are not touched.
        """
        table, column = spec.name, spec.partitioned_by[-1] if spec.partitioned_by else None
        crowded = {folder: n for folder, n in self._partitions(table).items() if n > FILES_A_PARTITION}
        if column:
            crowded = {f: n for f, n in crowded.items() if _day(f, column) not in self._planned.get(table, ())}
        days = sorted({day for folder in crowded if column and (day := _day(folder, column))})
        if not crowded or (column and not days):
            return []
        where = f" in {len(crowded):,} partitions" if column else ""
        if self._lake.dry:
            self._plan(table)
            return [Done(table, "compact", f"{sum(crowded.values()):,} files{where}")]
        done = self._change(table, lambda: self._delta.compact(table, column, days, BYTES_A_FILE))
        if done is None or not done.files:
            return []
        told = f"{done.files:,} files{where} to {done.into:,}, {_size(done.bytes_)} to {_size(done.into_bytes)}"
        return [Done(table, "compact", told, {"files_compacted": done.files, "files_made": done.into})]

    def vacuum(self, spec: TableSpec, hours: int, needed: int | None, now: datetime) -> list[Done]:
        """Delete the files that no version younger than some hours needs, where any was removed since it was done last.

        `needed` is the oldest version that readers are sent to: where files it needs would go, none does.
        """
        table, oldest = spec.name, now - timedelta(hours=hours)
        later = [] if needed is None else since(needed, self._lake.commits(table))
        planned = needed is not None and table in self._planned and now < oldest + _A_RUN
        if planned or any(one.removes_files and one.at < _millis(oldest + _A_RUN) for one in later):
            left = f"left: readers use version {needed}; run maintain again, or first what did not complete"
            return [Done(table, "vacuum", left)]
        if not vacuum_is_due(_millis(oldest), self._lake.commits(table)):
            return []
        dry = self._lake.dry
        files = self._ask(table, lambda: self._delta.vacuum(table, hours, dry=dry))
        return [Done(table, "vacuum", f"{files:,} files", {"files_deleted": files})] if files else []

    def unchanged_until(self, table: str, version: int) -> int:
        """The newest version that has the same rows as a version: no commit in between changed any."""
        for one in reversed(list(since(version, self._lake.commits(table)))):
            if one.changes_rows:
                break
            version = one.version
        return version

    def _written_at(self, table: str, day: date) -> int:
        """When a snapshot was last replaced or dropped, as far as the log tells, in milliseconds since 1970."""
        commits = self._lake.commits(table)
        return next((one.at for one in commits if str(day) in {*one.slice_.values(), *one.dropped}), 0)

    def _put_back(self, spec: TableSpec, day: date, version: int, before: int) -> bool:
        """Whether a snapshot is as at a version again; not where somebody has written it since a time."""
        if self._written_at(spec.name, day) >= before:
            return False
        told = f"{spec.name}: a run that died has replaced the snapshot of {day}, which is not kept as it was published"
        with where_files_are_gone(f"{told}: make it again"):
            rows = self._lake.read(spec.name, version).filter(F.col(str(spec.snapshot)) == F.lit(day))
            columns = [Column(f.name, f.dataType.simpleString(), f.metadata.get("comment", "")) for f in rows.schema]
            then = replace(spec, columns=tuple(columns))
            options = {"replaceWhere": f"{spec.snapshot} = DATE'{day}'"}
            self._delta.write(then, self._lake.complete_columns(then, rows), "overwrite", options, {})
        return True

    def _plan(self, table: str, days: Iterable[str] = ()) -> None:
        """Remember of a dry lake what would be removed, as what comes after it would find it removed just now."""
        if self._lake.dry:
            self._planned.setdefault(table, set()).update(days)

    def _partitions(self, table: str) -> dict[str, int]:
        return partitions(self._ask(table, lambda: self._delta.files(table)))

    def _ask(self, table: str, ask: Callable[[], _T]) -> _T:
        with translated(f"{table} at {self._lake.place}"):
            return ask()

    def _change(self, table: str, change: Callable[[], _T]) -> _T | None:
        """Make a change, unless the lake is dry; against another writer's that came first it is tried again."""
        for left in reversed(range(0 if self._lake.dry else TRIES)):
            try:
                return self._ask(table, change)
            except ConflictError:
                if not left:
                    raise
        return None


def _faults(spec: TableSpec, shape: Shape) -> list[str]:
    have = {column.name: column.type for column in shape.columns}
    again = "write the table again with it, or move the table away and run again"
    faults = [
        f"found {name} of type {have[name]}, expected {type_}: no writer changes a type in place; {again}"
        for name, type_ in spec.types()
        if name in have and have[name] != type_
    ]
    faults += [
        f"found no column {c.name}, which every row must have; {again}"
        for c in spec.columns
        if c.name not in have and not c.nullable
    ]
    if shape.partitioned_by != spec.partitioned_by:
        found, expected = (", ".join(names) or "nothing" for names in (shape.partitioned_by, spec.partitioned_by))
        faults.append(f"found it partitioned by {found}, expected {expected}; {again}")
    return faults


def _names(columns: Iterable[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _day(folder: str, column: str) -> str | None:
    """The date of a partition, by its folder; None for one of no date."""
    found = re.search(rf"/{column}=(\d{{4}}-\d\d-\d\d)(/|$)", f"/{folder}")
    return found[1] if found else None


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _size(bytes_: int) -> str:
    return f"{bytes_ / 2**20:,.1f} MB"

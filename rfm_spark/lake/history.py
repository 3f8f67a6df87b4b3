"""The commits of a table, newest first: from Delta's SQL, or from the log by the `deltalake` package."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from operator import attrgetter
from typing import Any

from rfm_spark.schemas import SNAPSHOTS

_METADATA = (
    *("VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES"),
    *("ADD COLUMNS", "ADD COLUMN", "CHANGE COLUMN", "UPDATE FIELD METADATA"),
)
_MAINTENANCE = ("OPTIMIZE", "REORG", *_METADATA)
_DAY = r"\d{4}-\d\d-\d\d"


@dataclass(frozen=True)
class Commit:
    """One version of a table and how it came to be.

    `slice_` is what it replaced, as {column: date}; empty where it replaced all or nothing. `run_id` is None where a
    commit carries none: those of other programs, and a MERGE by Sail. `dropped` are the snapshots that it deleted
    whole; `at` is when it was made, and `vacuumed_before`, where it is a vacuum, when files had to be removed for it to
    delete them, in milliseconds since 1970.
    """

    version: int
    run_id: str | None
    operation: str
    overwrites: bool
    slice_: Mapping[str, str]
    rows: int
    dropped: frozenset[str] = frozenset()
    at: int = 0
    vacuumed_before: int | None = None

    @property
    def removes_files(self) -> bool:
        """Whether earlier versions may need files that this one does not; an append leaves them all."""
        return self.overwrites or not self.operation.startswith(("WRITE", "CREATE TABLE", *_METADATA))

    @property
    def changes_rows(self) -> bool:
        """Whether it may have changed what readers see."""
        return self.operation not in _MAINTENANCE

    @property
    def appends(self) -> bool:
        """Whether it added rows and left all others as they were."""
        return self.operation == "WRITE" and not self.overwrites

    def overwrote(self, slice_: Mapping[str, str]) -> bool:
        """Whether it replaced rows of a slice."""
        return self.overwrites and all(slice_[name] == self.slice_[name] for name in slice_.keys() & self.slice_.keys())


def commit(row: Mapping[str, Any]) -> Commit:
    """A commit from a row of DESCRIBE HISTORY, or of delta-rs, which names its columns alike."""
    parameters, metrics = row.get("operationParameters") or {}, row.get("operationMetrics") or {}
    operation = row.get("operation") or ""
    return Commit(
        row["version"],
        row.get("userMetadata"),
        operation,
        parameters.get("mode") == "Overwrite" or "REPLACE TABLE" in operation,
        equalities(parameters.get("predicate")),
        int(metrics.get("numOutputRows", 0)),
        snapshots(parameters.get("predicate")) if operation == "DELETE" else frozenset(),
        at := int(row.get("timestamp") or 0),
        at - _retention(parameters) if operation == "VACUUM START" else None,
    )


def equalities(predicate: str | None) -> dict[str, str]:
    """{column: date} of `column = DATE'2011-12-10'`, `(column = DATE '2011-12-10') AND …`, `'2011-12-10'::date`.

    The history spells a predicate in more than one way.
    """
    return dict(re.findall(rf"(\w+)\W* = (?:DATE ?)?'({_DAY})'", predicate or ""))


def _retention(parameters: Mapping[str, Any]) -> int:
    """Milliseconds for which a vacuum left what was removed."""
    return int(parameters.get("specifiedRetentionMillis") or parameters.get("defaultRetentionMillis") or 0)


def snapshots(predicate: str | None) -> frozenset[str]:
    """The dates of a predicate that names whole snapshots and nothing else, as `drop` writes it; else none."""
    spelled = rf"({'|'.join(SNAPSHOTS)})(#\d+)?|{_DAY}|::date|\b(DATE|IN|OR)\b|[\s\"'`\[\](),=]"
    return frozenset() if re.sub(spelled, "", predicate or "x") else frozenset(re.findall(_DAY, predicate or ""))


def newest_first(read: Callable[[int], list[Commit]]) -> Iterator[Commit]:
    """Commits, newest first; `read` gives at most so many, a few before all, since each is a file to read."""
    limit, seen = 20, 0
    while True:
        commits = sorted(read(limit), key=attrgetter("version"), reverse=True)
        yield from commits[seen:]
        if len(commits) < limit:
            return
        limit, seen = 10 * limit, limit


def since(version: int, commits: Iterator[Commit]) -> Iterator[Commit]:
    """Those after a version."""
    return takewhile(lambda one: one.version > version, commits)


def last_with(
    commits: Iterator[Commit], version: int, own: Mapping[date, int], known: Container[str]
) -> dict[date, int]:
    """See `Lake.last_with`."""
    found: dict[date, int] = {}
    settled: set[date] = set()
    for one in since(min(own.values(), default=version), commits):
        replaced = {date.fromisoformat(day) for day in one.slice_.values()} if one.overwrites else set()
        dropped = {date.fromisoformat(day) for day in one.dropped}
        if one.run_id in known:
            settled |= replaced
            replaced = set()
        for day in (replaced | dropped) - settled:
            if own.get(day, version) < one.version <= version:
                found[day] = one.version - 1
    return found


def appended_by(commits: Iterator[Commit], after: int, version: int) -> frozenset[str] | None:
    """See `Lake.appended_by`."""
    between = [one for one in since(after, commits) if one.version <= version]
    changes = [one for one in between if one.changes_rows]
    if len(between) != version - after or not all(one.appends and one.run_id for one in changes):
        return None
    return frozenset(str(one.run_id) for one in changes)


def turn(commits: Iterable[Commit], seen: Container[str]) -> int | None:
    """The version that those who append in turn follow: of the newest of the `seen`, or what was no append.

    It is the same for two that have seen the same, whoever else appends or maintains in between. Where the log no
    longer has it, the oldest that it has, which is later.
    """
    version = None
    for one in commits:
        version = one.version
        if one.changes_rows and (one.run_id in seen or not one.appends):
            return version
    return version or None


def vacuum_is_due(oldest: int, commits: Iterable[Commit]) -> bool:
    """Whether a commit before `oldest` has removed files, and no vacuum since would have deleted them."""
    done = 0
    for one in commits:
        done = max(done, one.vacuumed_before or 0)
        if one.at < done:
            return False
        if one.removes_files and one.at < oldest:
            return True
    return False

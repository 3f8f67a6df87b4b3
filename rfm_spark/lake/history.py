"""The commits of a table, newest first: from Delta's SQL, or from the log by the `deltalake` package."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter
from typing import Any

_MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "REORG", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES")


@dataclass(frozen=True)
class Commit:
    """One version of a table and how it came to be.

    `slice_` is what it replaced, as {column: date}; empty where it replaced all or nothing. `run_id` is None where a
    commit carries none: those of other programs, and a MERGE by Sail.
    """

    version: int
    run_id: str | None
    operation: str
    overwrites: bool
    slice_: Mapping[str, str]
    rows: int

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
    )


def equalities(predicate: str | None) -> dict[str, str]:
    """{column: date} of `column = DATE'2011-12-10'`, `(column = DATE '2011-12-10') AND …` and the like.

    The history spells a predicate in more than one way.
    """
    return dict(re.findall(r"(\w+)\W* = DATE ?'([\d-]+)'", predicate or ""))


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

"""`show --moves` and `show --diff`: how the segments of a snapshot came about from those of the one before."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console

from rfm_spark.config.models import ProjectConfig
from rfm_spark.errors import InputError
from rfm_spark.pipelines.restatement import Restatement
from rfm_spark.report import tables
from rfm_spark.report.snapshot import Read, config_of
from rfm_spark.steps.migrations import GONE, NEW, STAYED

IN_WORDS = {
    "identity": "ids of several sources were joined to one person, or taken apart",
    "late_data": "events of before came late or were corrected",
    "cut_points": "cut-points moved; nothing they did since was needed",
    "rules": "rules, criteria or the reference period changed",
    "time_passing": "time passed; nothing they did since was needed",
    "behaviour": "they did something",
    "new": "not in the snapshot before",
    "returned": "seen again, after they had been gone",
    "departed": "not in the data any more",
}
STABLE_WITHIN = 0.02  # a segment that grows or shrinks by less is stable
_SHOWN, _SNAPSHOTS = 15, 6


@dataclass(frozen=True)
class Flow:
    """One segment between two snapshots: customers before and after, who stayed, and why it grew or shrank."""

    segment: str
    before: int
    after: int
    stayed: int
    by_cause: Mapping[str, int]  # came less left

    @property
    def status(self) -> str:
        """Growing, shrinking or stable."""
        change = self.after - self.before
        if abs(change) <= STABLE_WITHIN * self.before:
            return "stable"
        return "growing" if change > 0 else "shrinking"

    @property
    def reason(self) -> str:
        """The cause that did most of it, in words."""
        change = self.after - self.before
        if self.status == "stable":
            return f"{self.before - self.stayed:,} left, {self.after - self.stayed:,} came"
        cause = max(self.by_cause, key=lambda name: (self.by_cause[name] * (1 if change > 0 else -1), name))
        return f"{change:+,}, of which {self.by_cause[cause]:+,}: {IN_WORDS[cause]}"


def published(read: Read, as_of: date) -> list[dict[str, Any]]:
    """The moves into a snapshot from the one before it.

    Raises: InputError where the snapshot is not published, or is the first.
    """
    rows = read("segment_migrations").filter(F.col("to_snapshot") == F.lit(as_of)).collect()
    if not rows:
        raise InputError(f"no moves into the snapshot of {as_of}: it is not published, or none is before it")
    return [row.asDict() for row in rows]


def show_moves(console: Console, read: Read, as_of: date, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print who moved into a snapshot and why, each segment's entry, exit and stay rates, and its value over time.

    Reads: rows of `segment_migrations` of one pair.
    """
    config, since = config_of(read("runs"), as_of), next((row["from_snapshot"] for row in rows), as_of)
    for segmentation in config.segmentations:
        mine = [row for row in rows if row["segmentation"] == segmentation.name]
        moved = [row for row in mine if row["cause"] != STAYED]
        console.print(f"{segmentation.name}: {segmentation.question}", highlight=False)
        console.print(_told(moved, mine, since, as_of), soft_wrap=True, highlight=False)
        largest = sorted(moved, key=lambda row: (-row["customers"], row["from_segment"], row["to_segment"]))
        headers = ("from_segment", "to_segment", "cause", "customers", "monetary")
        title = f"Moves, the {_SHOWN} largest of {len(moved)}" if len(moved) > _SHOWN else "Moves"
        names = ("from", "to", "cause", "customers", config.currency)
        console.print(tables.plain(title, names, [[row[name] for name in headers] for row in largest[:_SHOWN]]))
        console.print(_rates(flows(mine, [segment.name for segment in segmentation.segments])))
        console.print(_over_time(read, config, segmentation.name, as_of))


def show_restatement(console: Console, config: ProjectConfig, found: Restatement) -> None:
    """Print what a restatement changed. Reads: `found`, of `pipelines.restatement`."""
    told = f"The snapshot of {found.as_of}: run {found.earlier_run} beside run {found.later_run}"
    console.print(told, soft_wrap=True)
    for name in dict.fromkeys(row["segmentation"] for row in found.rows):
        mine = [row for row in found.rows if row["segmentation"] == name]
        customers, amounts = [0, 0], [Decimal(0), Decimal(0)]
        for row in mine:
            customers[0] += row["customers"] if row["from_segment"] != NEW else 0
            customers[1] += row["customers"] if row["to_segment"] != GONE else 0
            amounts[0] += row["before"] or 0
            amounts[1] += row["after"] or 0
        moved = [row for row in mine if row["from_segment"] != row["to_segment"]]
        told = f"{customers[0]:,} customers before, {customers[1]:,} after; {config.currency} {amounts[0]:,} before, "
        told += f"{amounts[1]:,} after; {sum(row['customers'] for row in moved):,} in another segment"
        console.print(f"{name}: {told}", soft_wrap=True, highlight=False)
        if moved:
            names = ("from_segment", "to_segment", "customers", "before", "after")
            headers = ("from", "to", "customers", f"{config.currency} before", f"{config.currency} after")
            console.print(tables.plain("Moves", headers, [[row[each] for each in names] for row in moved]))


def sankey(rows: Sequence[Mapping[str, Any]]) -> str:
    """The moves as nodes and links of a Sankey picture, JSON; stayers too, a link a pair of segments and cause."""
    ends = [(row["segmentation"], when, row[end]) for row in rows
            for when, end in (("from_snapshot", "from_segment"), ("to_snapshot", "to_segment"))]  # fmt: skip
    index = {end: i for i, end in enumerate(dict.fromkeys(sorted(ends)))}
    nodes = [
        {"segmentation": segmentation, "snapshot": str(rows[0][when]), "segment": segment}
        for segmentation, when, segment in index
    ]
    links = [
        {
            "source": index[row["segmentation"], "from_snapshot", row["from_segment"]],
            "target": index[row["segmentation"], "to_snapshot", row["to_segment"]],
            "value": row["customers"],
            "monetary": float(row["monetary"]),
            "cause": row["cause"],
        }
        for row in rows
    ]
    return json.dumps({"nodes": nodes, "links": links}, ensure_ascii=False, indent=1)


def flows(moves: Sequence[Mapping[str, Any]], segments: Iterable[str]) -> Iterator[Flow]:
    """Each segment between two snapshots, in the given order, then those that are no more.

    Reads: rows of `segment_migrations` of one pair and segmentation.
    """
    others = sorted({row[end] for row in moves for end in ("from_segment", "to_segment")} - {NEW, GONE})
    for name in dict.fromkeys([*segments, *others]):
        left = [row for row in moves if row["from_segment"] == name]
        came = [row for row in moves if row["to_segment"] == name]
        by_cause: dict[str, int] = {}
        for row, sign in [*((row, 1) for row in came), *((row, -1) for row in left)]:
            if row["cause"] != STAYED:
                by_cause[row["cause"]] = by_cause.get(row["cause"], 0) + sign * row["customers"]
        stayed = sum(row["customers"] for row in came if row["cause"] == STAYED)
        before, after = (sum(row["customers"] for row in rows) for rows in (left, came))
        if before or after:
            yield Flow(name, before, after, stayed, by_cause)


def _told(moved: Sequence[Mapping[str, Any]], mine: Sequence[Mapping[str, Any]], since: date, as_of: date) -> str:
    population = sum(row["customers"] for row in mine if row["to_segment"] != GONE)
    count = sum(row["customers"] for row in moved)
    lines = [f"{count:,} changes among {population:,} customers from {since} to {as_of}"]
    for cause, words in IN_WORDS.items():
        n = sum(row["customers"] for row in moved if row["cause"] == cause)
        if n:
            lines.append(f"  {cause} {n:,}: {words}")
    return "\n".join(lines)


def _rates(found: Iterable[Flow]) -> Any:
    rows = []
    for flow in found:
        stay = flow.stayed / flow.before if flow.before else None
        entry = (flow.after - flow.stayed) / flow.after if flow.after else None
        shares = [tables.percent(stay), tables.percent(None if stay is None else 1 - stay), tables.percent(entry)]
        rows.append([flow.segment, flow.before, flow.after, *shares, flow.status, flow.reason])
    headers = ("segment", "before", "after", "stayed", "left", "newly in", "status", "why")
    return tables.plain("Segments: who stayed and left of those before, who is newly in of those after", headers, rows)


def _over_time(read: Read, config: ProjectConfig, segmentation: str, as_of: date) -> Any:
    """Customers and money of each segment at the newest snapshots up to this one."""
    profiles = read("segment_profiles").filter(
        (F.col("segmentation") == segmentation) & (F.col("snapshot_date") <= F.lit(as_of))
    )
    rows = profiles.select("snapshot_date", "segment", "customers", "monetary").collect()
    days = sorted({row["snapshot_date"] for row in rows})[-_SNAPSHOTS:]
    found = {(row["segment"], row["snapshot_date"]): row for row in rows}
    names = dict.fromkeys(row["segment"] for row in sorted(rows, key=lambda row: row["snapshot_date"], reverse=True))
    cells = [
        [name, *(found[name, day]["monetary"] if (name, day) in found else None for day in days)] for name in names
    ]
    return tables.plain(f"Value over time, {config.currency}", ("segment", *map(str, days)), cells)

"""Tables for people: segments, quarantine, cut-points, runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from rich.table import Table

from rfm_spark.config.models import ProjectConfig
from rfm_spark.schemas import TableSpec


def segments(profiles: Sequence[Mapping[str, Any]], config: ProjectConfig, name: str) -> Table:
    """One segmentation as a marketer reads it: customers, money, what is typical, what to do."""
    segmentation = next(s for s in config.segmentations if s.name == name)
    table = Table(title=f"{name}: {segmentation.question}", title_justify="left")
    table.add_column("segment")
    metrics = [criterion.metric or name for name, criterion in config.criteria_of(segmentation).items()]
    for header in ("customers", "share", config.currency, "share", *(f"median {metric}" for metric in metrics)):
        table.add_column(header, justify="right")
    for header in ("decision", "channel"):
        table.add_column(header)
    for row in profiles:
        action = json.loads(row["action"] or "{}")
        table.add_row(
            row["segment"],
            f"{row['customers']:,}",
            f"{row['share']:.1%}",
            f"{row['monetary']:,.2f}",
            _percent(row["monetary_share"]),
            *(_number(row.get(f"median_{metric}")) for metric in metrics),
            action.get("decision", ""),
            action.get("channel", ""),
        )
    return table


def empty_segments(profiles: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of segments that nobody is in."""
    return [row["segment"] for row in profiles if not row["customers"]]


def sources(counts: Mapping[str, int], names: Iterable[str]) -> Table:
    """What became of every row read."""
    table = Table(title="Rows read = accepted + quarantined + exact duplicates", title_justify="left")
    table.add_column("source")
    for header in ("read", "accepted", "quarantined", "exact duplicates"):
        table.add_column(header, justify="right")
    for name in names:
        keys = ("rows_read", "accepted", "quarantined", "exact_duplicates")
        table.add_row(name, *(f"{counts.get(f'{name}.{key}', 0):,}" for key in keys))
    return table


def reasons(rows: Sequence[tuple[str, str, int, str]]) -> Table:
    """Quarantined rows by source and reason, with a masked example."""
    table = Table(title="Quarantine: a row counts under each of its reasons", title_justify="left")
    table.add_column("source")
    table.add_column("reason")
    table.add_column("rows", justify="right")
    table.add_column("example, masked", overflow="fold")
    for source, reason, n, example in rows:
        table.add_row(source, reason, f"{n:,}", example)
    return table


def masked(record: str) -> str:
    """A raw record with every letter as x and every digit as 9, so that its shape shows and no value does."""
    values = json.loads(record)
    return json.dumps({name: _mask(value) for name, value in values.items()}, ensure_ascii=False)


def moves(since: date, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Who would change segment: one line a segmentation and pair of segments, the largest first."""
    headers = ("segmentation", "from", "to", "customers")
    ordered = sorted(rows, key=lambda row: (row["segmentation"], -row["customers"], row["from"], row["to"]))
    moved = [[row[name] for name in headers] for row in ordered if row["from"] != row["to"]]
    return plain(f"Changes since the snapshot of {since}", headers, moved)


def plain(title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Any rows as they are; numbers to the right."""
    table = Table(title=title, title_justify="left")
    shown = [[_cell(value) for value in row] for row in rows]
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in shown:
        table.add_row(*row)
    return table


def described(spec: TableSpec, columns: Mapping[str, str]) -> Table:
    """A table's columns with type, unit and meaning."""
    known = {column.name: column for column in spec.columns}
    rows = [
        (name, type_, known[name].unit if name in known else "", known[name].meaning if name in known else "configured")
        for name, type_ in columns.items()
    ]
    return plain(f"{spec.name}: {spec.grain}", ("column", "type", "unit", "meaning"), rows)


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _mask(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mask(inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    return "".join("9" if char.isdigit() else "x" if char.isalpha() else char for char in str(value))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def number(value: float) -> str:
    """A number as people write it, without what a sum of binary fractions leaves at its end."""
    return f"{value:,.10g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int | Decimal) and not isinstance(value, bool) else str(value)

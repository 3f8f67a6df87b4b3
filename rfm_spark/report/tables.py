"""Tables for people: segments, rows by source, moves between segments, and any other rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from rich.table import Table

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segmentation
from rfm_spark.schemas import TableSpec

WIDE = 130  # columns of a terminal in which a table of segments has room for blanks beside its lines


def segments(
    profiles: Sequence[Mapping[str, Any]], config: ProjectConfig, segmentation: Segmentation, *, wide: bool = True
) -> Table:
    """One row a segment, as a marketer reads it: customers, money, what is typical, what to do.

    Reads: rows of `segment_profiles`, in the order to print. `wide`: blanks beside the lines; without them the table
        fits a terminal of 100 columns. Names and numbers are never cut; decision and channel wrap.
    """
    table = Table(title=f"{segmentation.name}: {segmentation.question}", title_justify="left", padding=(0, int(wide)))
    table.add_column("segment", no_wrap=True)
    metrics = [criterion.metric or name for name, criterion in config.criteria_of(segmentation).items()]
    medians = ["\n".join(("median", *metric.split("_"))) for metric in metrics]
    for header in ("customers", "share", config.currency, f"share\nof {config.currency}", *medians):
        table.add_column(header, justify="right", no_wrap=True)
    for header in ("decision", "channel"):
        table.add_column(header, overflow="fold")
    for row in profiles:
        action = json.loads(row["action"] or "{}")
        table.add_row(
            row["segment"],
            f"{row['customers']:,}",
            f"{row['share']:.1%}",
            f"{row['monetary']:,.2f}",
            percent(row["monetary_share"]),
            *(_median(row.get(f"median_{metric}")) for metric in metrics),
            action.get("decision", ""),
            action.get("channel", ""),
        )
    return table


def sources(counts: Mapping[str, int], names: Iterable[str]) -> Table:
    """One row a source: what became of every row read. Reads: `counts` as in `runs`."""
    outcomes = ("rows_read", "accepted", "quarantined", "exact_duplicates")
    rows = [(name, *(counts.get(f"{name}.{outcome}", 0) for outcome in outcomes)) for name in names]
    headers = ("source", "read", "accepted", "quarantined", "exact duplicates")
    return plain("Rows read = accepted + quarantined + exact duplicates", headers, rows)


def masked(record: str) -> str:
    """A raw record with every letter as x and every digit as 9, so that its shape shows and no value does."""
    values = json.loads(record)
    return json.dumps({name: _mask(value) for name, value in values.items()}, ensure_ascii=False)


def moves(since: date, rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row a segmentation and pair of segments: who would change, the largest first."""
    headers = ("segmentation", "from", "to", "customers")
    ordered = sorted(rows, key=lambda row: (row["segmentation"], -row["customers"], row["from"], row["to"]))
    moved = [[row[name] for name in headers] for row in ordered if row["from"] != row["to"]]
    return plain(f"Changes since the snapshot of {since}", headers, moved)


def plain(title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Any rows as they are; columns of numbers alone to the right."""
    table, shown = Table(title=title, title_justify="left"), list(rows)
    for i, header in enumerate(headers):
        numeric = all(_is_number(row[i]) for row in shown)
        table.add_column(header, overflow="fold", justify="right" if numeric else "left")
    for row in shown:
        table.add_row(*(_cell(value) for value in row))
    return table


def described(spec: TableSpec, columns: Mapping[str, str]) -> Table:
    """One row a column of a table: its type, unit and meaning."""
    known = {column.name: column for column in spec.columns}
    rows = [
        (name, type_, known[name].unit if name in known else "", known[name].meaning if name in known else "configured")
        for name, type_ in columns.items()
    ]
    return plain(f"{spec.name}: {spec.grain}", ("column", "type", "unit", "meaning"), rows)


def number(value: float) -> str:
    """A number as people write it, without what a sum of binary fractions leaves at its end."""
    return f"{value:,.10g}"


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _mask(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mask(inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    return "".join("9" if char.isdigit() else "x" if char.isalpha() else char for char in str(value))


def percent(value: float | None) -> str:
    """A share as people read it; blank where there is none."""
    return "" if value is None else f"{value:.1%}"


def _median(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if _is_number(value) else str(value)

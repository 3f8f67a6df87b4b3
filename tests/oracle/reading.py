"""The oracle's ingestion: CSV rows to events, quarantine and exact duplicates, from the definitions alone.

Nothing here imports the package under test. Only what the generated projects use is supported: CSV files, columns by
name, an amount that is the product of two typed columns, an event type that is constant or mapped. All else raises.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

EVENT_TYPES = ("purchase", "refund", "contact", "engagement")
LARGEST_AMOUNT = Decimal("9999999999999999.99")  # decimal(18,2)
LARGEST_INT = 2**31 - 1
DEFAULT_MAX_DURATION_SECONDS = 86_400
EARLIEST, LATEST = date(1990, 1, 1), date(2100, 1, 1)
FORMAT_FIELDS = {"yyyy": "Y", "MM": "m", "dd": "d", "HH": "H", "mm": "M", "ss": "S"}


@dataclass(frozen=True)
class Event:
    """One accepted row: what happened to one customer at one instant."""

    source: str
    customer: str
    kind: str
    instant: datetime
    day: date
    order_id: str | None
    amount: Decimal | None
    duration: Decimal | None


@dataclass
class Row:
    """One row as read, with everything the oracle concluded about it."""

    source: str
    raw: dict[str, str | None]
    file: str
    occurrence: int = 1
    values: dict[str, Any] = field(default_factory=dict)
    reasons: set[str] = field(default_factory=set)
    identity: tuple = ()
    content: tuple = ()


@dataclass
class Ingested:
    """All that ingestion must leave behind."""

    events: list[Event]
    profiles: dict[str, dict[str, Any]]
    quarantined: list[Row]
    counts: Counter


def ingest(config: dict, base: Path) -> Ingested:
    """Read every source of `config` (paths relative to `base`) and judge every row."""
    counts: Counter = Counter()
    kept: dict[str, list[Row]] = {}
    for source in config["sources"]:
        rows = [judge(row, source, config) for row in read_rows(source, base)]
        counts[f"{source['name']}.rows_read"] = len(rows)
        mark_conflicts(rows)
        kept[source["name"]] = drop_exact_duplicates(rows)
        counts[f"{source['name']}.exact_duplicates"] = len(rows) - len(kept[source["name"]])
    refuse_refunds_without_order([row for rows in kept.values() for row in rows], config)

    profile_sources = {source["name"] for source in config["sources"] if source.get("kind") == "profile"}
    events, profiles, quarantined = [], {}, []
    for name, rows in kept.items():
        for row in rows:
            if row.reasons:
                quarantined.append(row)
                counts[f"{name}.quarantined"] += 1
                continue
            counts[f"{name}.accepted"] += 1
            if name in profile_sources:
                profiles[row.values["source_customer_id"]] = row.values["attributes"]
            else:
                events.append(to_event(row))
    return Ingested(events, profiles, quarantined, counts)


def read_rows(source: dict, base: Path) -> Iterable[Row]:
    """The source's rows; an empty field is null. Equal rows of one file are numbered from 1."""
    if source["format"] != "csv":
        raise NotImplementedError(source["format"])
    files = [Path(source["path"])] if Path(source["path"]).is_absolute() else sorted(base.glob(source["path"]))
    for path in files:
        seen: Counter = Counter()
        with path.open(encoding="utf-8", newline="") as handle:
            for record in csv.DictReader(handle):
                raw = {name: value or None for name, value in record.items()}
                seen[tuple(raw.values())] += 1
                yield Row(source["name"], raw, path.name, seen[tuple(raw.values())])


def judge(row: Row, source: dict, config: dict) -> Row:
    """Fill the row's canonical values and its own reasons (those that need no other row)."""
    columns, contract = source.get("columns", {}), config.get("contract", {})
    row.values["source_customer_id"] = row.raw[columns["source_customer_id"]]
    if row.values["source_customer_id"] is None:
        row.reasons.add("no_customer")
    typed = typed_columns(row, source)
    if source.get("kind") == "profile":
        row.values["attributes"] = {name: typed[column] for name, column in source.get("attributes", {}).items()}
        row.identity = (*row.raw.items(), row.occurrence)
        return row
    row.identity = event_identity(row, source)
    row.content = tuple(row.raw[column] for column in mapped_columns(source))
    row.values["event_type"] = event_type(row, source)
    judge_time(row, source, config)
    judge_amount(row, columns, typed)
    judge_duration(row, columns, contract)
    row.values["order_id"] = order_id(row, columns)
    for rule in contract.get("rules", []):
        names = {**typed, **{name: row.values.get(name) for name in ("source_customer_id", "amount", "order_id")}}
        if not sql_value(rule["sql"], names):
            row.reasons.add(rule["name"])
    return row


def typed_columns(row: Row, source: dict) -> dict[str, Any]:
    """The raw columns, those with a declared type cast; what does not cast is null and a reason."""
    typed: dict[str, Any] = dict(row.raw)
    for column, type_name in source.get("types", {}).items():
        typed[column] = cast_text(row.raw[column], type_name)
        if row.raw[column] is not None and typed[column] is None:
            row.reasons.add(f"not_a_number:{column}")
    return typed


def cast_text(text: str | None, type_name: str) -> int | Decimal | None:
    """`text` as an int or decimal(p,s), half up; None where it is none or does not fit."""
    if text is None:
        return None
    if type_name == "int":
        whole = re.fullmatch(r"[+-]?\d+", text.strip())
        return int(text) if whole and -LARGEST_INT - 1 <= int(text) <= LARGEST_INT else None
    match = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", type_name)
    if match is None:
        raise NotImplementedError(type_name)
    precision, scale = map(int, match.groups())
    number = number_or_none(text)
    return round_half_up(number, scale) if number is not None and fits(number, precision, scale) else None


def event_type(row: Row, source: dict) -> str | None:
    """The canonical event type; a value that maps to none is a reason."""
    spec = source["event_type"]
    kind = spec if isinstance(spec, str) else spec["values"].get(row.raw[spec["column"]])
    if kind not in EVENT_TYPES:
        row.reasons.add("unknown_event_type")
        return None
    return kind


def judge_time(row: Row, source: dict, config: dict) -> None:
    """The instant in UTC and the business date in the project's zone."""
    text = row.raw[source["columns"]["event_ts"]]
    if text is None:
        row.reasons.add("missing_time")
        return
    local = parse_local(text, source.get("timestamp_format", "yyyy-MM-dd HH:mm:ss"))
    if local is None:
        row.reasons.add("unparseable_time")
        return
    project_zone = ZoneInfo(config["timezone"])
    row.values["instant"] = to_utc(local, ZoneInfo(source.get("timezone", config["timezone"])))
    row.values["day"] = row.values["instant"].astimezone(project_zone).date()
    contract = config.get("contract", {})
    if not contract.get("earliest", EARLIEST) <= row.values["day"] <= contract.get("latest", LATEST):
        row.reasons.add("time_out_of_range")


def parse_local(text: str, pattern: str) -> datetime | None:
    """`text` by a pattern such as yyyy-MM-dd, every field at its full width; None where it is no such time."""
    expression = re.escape(pattern)
    for letters, name in FORMAT_FIELDS.items():
        expression = expression.replace(letters, rf"(?P<{name}>\d{{{len(letters)}}})", 1)
    match = re.fullmatch(expression, text)
    if match is None:
        return None
    parts = {name: int(value) for name, value in match.groupdict().items()}
    try:
        return datetime(parts["Y"], parts["m"], parts["d"], parts.get("H", 0), parts.get("M", 0), parts.get("S", 0))
    except ValueError:
        return None


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time as an instant.

    An ambiguous time is its first occurrence; a time inside a spring gap is read with the offset before the gap, so it
    moves forward by the gap. Both are `fold=0` (PEP 495); written out so that the rule can be seen.
    """
    offset_before = local.replace(tzinfo=zone, fold=0).utcoffset()
    return (local - offset_before).replace(tzinfo=UTC)


def judge_amount(row: Row, columns: dict, typed: dict) -> None:
    """Half up to the cent; a refund's amount is its absolute value."""
    spec, kind = columns.get("amount"), row.values["event_type"]
    text_given, number = None, None
    if isinstance(spec, dict):
        left, right = (typed[name] for name in product_of(spec["sql"]))
        number = None if left is None or right is None else Decimal(left) * Decimal(right)
    elif spec is not None:
        text_given = row.raw[spec]
        number = number_or_none(text_given)
    if text_given is not None and number is None:
        row.reasons.add("not_a_number:amount")
    elif number is None:
        if kind in ("purchase", "refund"):
            row.reasons.add("missing_amount")
    elif not fits(number, 18, 2):
        row.reasons.add("amount_out_of_range")
    else:
        rounded = round_half_up(number, 2)
        if rounded < 0 and kind == "purchase":
            row.reasons.add("negative_amount")
        row.values["amount"] = abs(rounded) if kind == "refund" else rounded


def judge_duration(row: Row, columns: dict, contract: dict) -> None:
    """Seconds; an engagement must have one, any event may."""
    if "duration_seconds" not in columns:
        return
    text = row.raw[columns["duration_seconds"]]
    number = number_or_none(text)
    if text is None:
        if row.values["event_type"] == "engagement":
            row.reasons.add("missing_duration")
    elif number is None:
        row.reasons.add("not_a_number:duration_seconds")
    elif number < 0:
        row.reasons.add("negative_duration")
    elif number > contract.get("max_duration_seconds", DEFAULT_MAX_DURATION_SECONDS):
        row.reasons.add("absurd_duration")
    else:
        row.values["duration"] = number


def event_identity(row: Row, source: dict) -> tuple:
    """The declared event_id, else all columns and the occurrence within the file."""
    if "event_id" in source:
        return tuple(row.raw[column] for column in source["event_id"])
    return (*row.raw.values(), row.occurrence)


def order_id(row: Row, columns: dict) -> str | None:
    """The order's id as text; `event_id` makes every row an order of its own."""
    column = columns.get("order_id")
    if column == "event_id":
        return repr(row.identity)
    return None if column is None else row.raw[column]


def mapped_columns(source: dict) -> list[str]:
    """Every source column that reaches a canonical one."""
    spec = source["event_type"]
    names = [] if isinstance(spec, str) else [spec["column"]]
    for mapping in source["columns"].values():
        names += product_of(mapping["sql"]) if isinstance(mapping, dict) else [mapping]
    return [name for name in names if name != "event_id"]


def product_of(sql: str) -> list[str]:
    """The two columns of `a * b`, the one expression the oracle understands."""
    match = re.fullmatch(r"\s*(\w+)\s*\*\s*(\w+)\s*", sql)
    if match is None:
        raise NotImplementedError(sql)
    return list(match.groups())


def mark_conflicts(rows: list[Row]) -> None:
    """Same event_id, other content, within one delivery: every such row is a conflict."""
    contents = defaultdict(set)
    for row in rows:
        contents[row.identity].add(row.content)
    for row in rows:
        if len(contents[row.identity]) > 1:
            row.reasons.add("duplicate_conflict")


def drop_exact_duplicates(rows: list[Row]) -> list[Row]:
    """The rows without the exact duplicates of a good row; bad rows are quarantined each, however often they repeat."""
    seen, kept = set(), []
    for row in rows:
        if not row.reasons:
            if row.identity in seen:
                continue
            seen.add(row.identity)
        kept.append(row)
    return kept


def refuse_refunds_without_order(rows: list[Row], config: dict) -> None:
    """Under net_on_order_date a refund must match an accepted purchase's (customer, order_id), whatever the source."""
    if config.get("refunds", {}).get("policy", "net_on_order_date") != "net_on_order_date":
        return
    orders = {order_key(row) for row in rows if row.values.get("event_type") == "purchase" and not row.reasons}
    for row in rows:
        if row.values.get("event_type") == "refund" and (None in order_key(row) or order_key(row) not in orders):
            row.reasons.add("refund_without_order")


def order_key(row: Row) -> tuple[str | None, str | None]:
    """(customer, order_id) of a row."""
    return row.values["source_customer_id"], row.values["order_id"]


def to_event(row: Row) -> Event:
    """An accepted row as an event."""
    value = row.values.get
    return Event(
        row.source, value("source_customer_id"), value("event_type"), value("instant"), value("day"),
        value("order_id"), value("amount"), value("duration"),
    )  # fmt: skip


def number_or_none(text: str | None) -> Decimal | None:
    """A finite decimal number, else None."""
    try:
        number = Decimal(text.strip()) if text is not None else None
    except InvalidOperation:
        return None
    return number if number is None or number.is_finite() else None


def fits(number: Decimal, precision: int, scale: int) -> bool:
    """Whether `number`, rounded half up, fits decimal(precision, scale)."""
    return abs(round_half_up(number, scale)) < Decimal(10) ** (precision - scale)


def round_half_up(number: Decimal, scale: int) -> Decimal:
    """`number` with `scale` decimals, a half away from zero."""
    with localcontext(prec=200):
        return number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)


_SQL = sqlite3.connect(":memory:")


def sql_value(expression: str, names: dict[str, Any]) -> Any:
    """The value of a SQL expression over named values: sqlite stands in for SQL's three-valued logic."""
    used = {name: value for name, value in names.items() if re.search(rf"\b{re.escape(name)}\b", expression)}
    columns = ", ".join(f"? AS {name}" for name in used) or "1 AS one"
    values = [value if isinstance(value, int | str) or value is None else float(value) for value in used.values()]
    return _SQL.execute(f"SELECT {expression} FROM (SELECT {columns})", values).fetchone()[0]

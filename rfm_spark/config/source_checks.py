"""What is wrong with a source although its shape is right."""

import re
from collections.abc import Iterator

from rfm_spark.config import expressions
from rfm_spark.config.base import NAME_PATTERN, Expression
from rfm_spark.config.database_checks import database_findings
from rfm_spark.config.identity_checks import id_findings
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.patterns import currency_fault, format_faults, timezone_fault, type_fault
from rfm_spark.config.source import CANONICAL_COLUMNS, Source
from rfm_spark.config.words import Finding, found, listed, near
from rfm_spark.schemas import CUSTOMERS, EVENTS, customer_metrics

_REQUIRED = {
    "events": ("source_customer_id", "event_ts"),
    "profile": ("source_customer_id",),
    "rates": ("currency", "date", "rate"),
    "consent": ("source_customer_id", "channel", "purpose", "status", "granted_at"),
    "suppression": ("source_customer_id",),
    "exclusion": ("source_customer_id",),
}
_ALLOWED = {
    **_REQUIRED,
    "profile": ("source_customer_id", "event_ts"),
    "consent": (*_REQUIRED["consent"], "expires_at"),
    "suppression": ("source_customer_id", "channel"),
}
_RESERVED = frozenset(EVENTS.column_names()) - set(CANONICAL_COLUMNS)
_IDENTITY = frozenset({"id_hashes", "attribute_sources"})  # of tables with an identity section
_INTERNAL = frozenset({"source", "content_hash", "source_file", "reasons", "record", "customer_key", "snapshot_date"})
# what rows are given on their way to a table
_OF_EVENTS = frozenset({
    "event_base", "order_is_event", "reasons", "record", "declared_id", "on_change", "held", "outcome", "known",
    "by_other",
})  # fmt: skip
_OF_PROFILES = frozenset({"source_customer_id", "event_ts", "event_date"})


def source_findings(source: Source, path: str, config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of every fault of one source."""
    yield from _place(source, path)
    yield from database_findings(source, path)
    yield from _columns(source, path)
    yield from _event_type(source, path)
    yield from _attributes(source, path, config)
    yield from _texts(source, path)
    yield from _event_id(source, path)
    yield from id_findings(source, path, config)
    yield from _sql(source, path)
    yield from _currency(source, path, config)


def source_warnings(source: Source, path: str, config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of what is allowed and probably not meant."""
    if source.kind != "events" or source.event_type is None:
        return
    at, zone = source.columns["event_ts"].sql, source.timezone or config.timezone
    if at and zone not in _UTC and expressions.takes_as_utc(at):
        yield (
            f"{path}.columns.event_ts.sql",
            f"makes a timestamp, and a text without a zone is then taken as UTC, not as {zone}; leave it a text, which "
            "is read in that zone, or use to_timestamp_ntz",
        )
    possible = source.event_type.possible()
    netted = config.refunds.policy == "net_on_order_date" and source.event_type.sql is None
    if "refund" in possible and netted and "order_id" not in source.columns:
        yield (
            f"{path}.columns",
            "refunds reduce their order (refunds.policy is net_on_order_date), and found no order_id, expected one: "
            "every refund will be quarantined; map order_id, or choose net_on_refund_date",
        )
    if "currency" in source.columns and not any(s.kind == "rates" for s in config.sources):
        yield (
            f"{path}.columns.currency",
            f"found no rates source: rows in another currency than {config.currency} will be quarantined",
        )


_UTC = ("UTC", "Etc/UTC", "Z")
_PLACES = {"table": ("table",), "jdbc": ("url", "table")}


def _place(source: Source, path: str) -> Iterator[Finding]:
    wanted = _PLACES.get(source.format, ("path",))
    for key in wanted:
        if getattr(source, key) is None:
            yield f"{path}.{key}", f"missing; found format: {source.format}, expected {key}: where its rows are"
    for key in ("path", "table"):
        if key not in wanted and getattr(source, key) is not None:
            found_one = f"found {key} with format: {source.format}"
            yield f"{path}.{key}", f"{found_one}, expected only {' and '.join(wanted)}"


def _columns(source: Source, path: str) -> Iterator[Finding]:
    given = list(source.columns)
    extras = source.extra_columns
    required = _REQUIRED[source.kind]
    missing = [name for name in required if name not in source.columns]
    for name in missing:
        if near(name, extras, cutoff=0.8) and source.kind == "events":
            continue  # `_extra` tells
        meant = near(name, extras)
        hint = f"; did you mean it by {meant}?" if meant else ""
        yield f"{path}.columns.{name}", f"missing; found {listed(given) or 'no columns'}, expected {name}{hint}"
    unmapped = [name for name in CANONICAL_COLUMNS if name not in source.columns]
    for name in extras if source.kind == "events" else given:
        message = _extra(name, unmapped, source) if source.kind == "events" else _not_allowed(name, source)
        if message:
            yield f"{path}.columns.{name}", message


def _mapped_names(source: Source) -> set[str]:
    """What the mapped cells of a source are called until they are parsed."""
    return {f"c_{name}" for name in (*CANONICAL_COLUMNS, "event_type")} | {f"i_{name}" for name in source.ids}


def _extra(name: str, unmapped: list[str], source: Source) -> str | None:
    if name in _RESERVED | _IDENTITY | _OF_EVENTS | _mapped_names(source):
        own_key = f"; put {name}: beside columns:, not in it"
        hint = own_key if name in ("event_type", "event_id") else "; choose another name"
        return f"found {name}, which rfm_spark fills itself, expected a canonical column or a name of your own{hint}"
    meant = near(name, unmapped, cutoff=0.8)
    if meant:
        return f"found {name}, expected a canonical column or a name of your own; did you mean {meant}?"
    if not re.fullmatch(NAME_PATTERN, name):
        return f"found {found(name)}, expected a column name of a-z, 0-9 and _ that starts with a letter"
    return None


def _not_allowed(name: str, source: Source) -> str | None:
    allowed = _ALLOWED[source.kind]
    if name in allowed:
        return None
    meant = near(name, [a for a in allowed if a not in source.columns])
    hint = f"; did you mean {meant}?" if meant else ""
    hint = hint or ("; put it under attributes" if source.kind == "profile" else "")
    return f"found {name} with kind: {source.kind}, expected {listed(allowed)}{hint}"


def _event_type(source: Source, path: str) -> Iterator[Finding]:
    if source.kind != "events":
        if source.event_type is not None:
            yield f"{path}.event_type", f"found event_type with kind: {source.kind}, expected none; these are no events"
        return
    if source.event_type is None:
        yield (
            f"{path}.event_type",
            "missing; found none, expected purchase, refund, contact, engagement, or {column: …, values: …}, "
            "or {sql: …}; or kind: profile, where the rows are no events",
        )
        return
    money = sorted(source.event_type.possible() & {"purchase", "refund"})
    if source.event_type.values == {}:
        yield f"{path}.event_type.values", "found an empty section, expected {their value: purchase, …}"
    extras = source.extra_columns
    misspelt = near("amount", extras, cutoff=0.8)  # `_extra` tells
    if money and source.event_type.sql is None and "amount" not in source.columns and not misspelt:
        meant = near("amount", extras)
        hint = f"; did you mean it by {meant}?" if meant else ""
        yield f"{path}.columns.amount", f"missing; found event_type {' and '.join(money)}, expected an amount{hint}"


def _attributes(source: Source, path: str, config: ProjectConfig) -> Iterator[Finding]:
    if source.kind != "profile" and source.attributes:
        yield (
            f"{path}.attributes",
            f"found attributes with kind: {source.kind}, expected them with kind: profile; "
            "what belongs to an event is an extra column under columns",
        )
    metrics = customer_metrics(config.reference_period.sub_periods).column_names()
    taken = {*metrics, *CUSTOMERS.column_names(), *_INTERNAL, *_IDENTITY, *_OF_PROFILES, *_mapped_names(source)}
    for name in source.attributes:
        if name in taken:
            yield f"{path}.attributes.{name}", f"found {name}, which rfm_spark fills itself, expected another name"


def _texts(source: Source, path: str) -> Iterator[Finding]:
    if source.timezone is not None:
        yield from _message(f"{path}.timezone", timezone_fault(source.timezone))
    if source.currency is not None:
        yield from _message(f"{path}.currency", currency_fault(source.currency))
    for column, type_ in source.types.items():
        yield from _message(f"{path}.types.{column}", type_fault(type_))
    several = isinstance(source.timestamp_format, list)
    for i, pattern in enumerate(source.timestamp_formats):
        for message in format_faults(pattern):
            yield f"{path}.timestamp_format{f'[{i}]' if several else ''}", message


def _message(path: str, message: str | None) -> Iterator[Finding]:
    if message:
        yield path, message


def _event_id(source: Source, path: str) -> Iterator[Finding]:
    columns = source.event_id_columns
    if source.on_change == "replace" and columns is None:
        message = "found replace without event_id, expected event_id: the columns that tell a row again"
        yield f"{path}.on_change", message
    if columns is not None and source.kind != "events":
        yield f"{path}.event_id", f"found event_id with kind: {source.kind}, expected it with kind: events only"
    names = columns or []
    for i, name in enumerate(names):
        if name.lower() in (other.lower() for other in names[:i]):
            yield f"{path}.event_id[{i}]", f"found {name} twice, expected each column once"


def _sql(source: Source, path: str) -> Iterator[Finding]:
    for section in ("columns", "attributes", "ids"):
        mapping: dict[str, Expression] = getattr(source, section)
        for name, expression in mapping.items():
            for message in expressions.faults(expression.sql) if expression.sql else ():
                yield f"{path}.{section}.{name}.sql", message
    if source.event_type is not None and source.event_type.sql:
        for message in expressions.faults(source.event_type.sql):
            yield f"{path}.event_type.sql", message


def _currency(source: Source, path: str, config: ProjectConfig) -> Iterator[Finding]:
    if source.kind != "events":
        if source.currency is not None:
            yield f"{path}.currency", f"found currency with kind: {source.kind}, expected it with kind: events only"
        return
    foreign = source.currency is not None and source.currency != config.currency
    if foreign and not any(other.kind == "rates" for other in config.sources):
        yield (
            f"{path}.currency",
            f"found {source.currency}, and the project's is {config.currency}, expected a source with kind: rates "
            "(columns currency, date, rate) to convert by",
        )

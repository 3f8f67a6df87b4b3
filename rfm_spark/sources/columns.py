"""What the parts of a source are called, and where it is."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rfm_spark.config import expressions
from rfm_spark.config.source import CANONICAL_COLUMNS, Source
from rfm_spark.config.words import without_secrets

CORRUPT = "_corrupt_record"
# options about which files of a path are read
WHICH_FILES = ("pathglobfilter", "recursivefilelookup", "modifiedbefore", "modifiedafter", "basepath")
# options that are asked for by name; Spark takes them in any case
_ASKED = (
    "header sep delimiter quote escape comment encoding charset multiLine nullValue emptyValue ignoreLeadingWhiteSpace "
    "ignoreTrailingWhiteSpace primitivesAsString mergeSchema mode columnNameOfCorruptRecord columnPruning basePath "
    "pathGlobFilter recursiveFileLookup modifiedBefore modifiedAfter versionAsOf timestampAsOf fetchsize "
    "preferTimestampNTZ driver"
)
_SPELLING = {name.lower(): name for name in _ASKED.split()}
RAW, FILE, TYPE_FAULT, BASE_ID, ORDER_IS_EVENT = "_raw", "_file", "_fault:", "_event_base", "_order_is_event"


def place(source: Source) -> str:
    """Where the rows of a source are, as a message or a run record may say it."""
    if source.format == "jdbc":
        return f"{' '.join(str(source.table).split())[:80]} at {without_secrets(str(source.url).split('?')[0])}"
    return without_secrets(str(source.path or source.table))


def extra_columns(source: Source) -> list[str]:
    """Columns of a source that `events` carries beyond the canonical ones."""
    return source.extra_columns if source.kind == "events" else []


def named_columns(source: Source) -> list[str]:
    """The columns of a source that its mapping names, but in SQL."""
    mapped = (*source.columns.values(), *source.attributes.values(), *source.ids.values())
    names = [one.column for one in mapped if one.column] + [*source.types, *(source.event_id_columns or [])]
    kind = source.event_type
    return names + ([kind.column] if kind is not None and kind.column else [])


def asked_columns(source: Source, rules: Iterable[str] = ()) -> list[str]:
    """The columns of a source that its mapping or the SQL of rules names; those in SQL alone in lower case."""
    kind = source.event_type
    mapped = (*source.columns.values(), *source.attributes.values(), *source.ids.values())
    sql = [e.sql for e in mapped if e.sql] + [*rules] + ([kind.sql] if kind is not None and kind.sql else [])
    named = {name.lower(): name for name in named_columns(source)}
    return [*named.values(), *sorted(set[str]().union(*map(expressions.names, sql)) - named.keys())]


def one_value_each(source: Source) -> set[str]:
    """Columns of a source, in lower case, that hold one value a row: what canonical columns, ids and types are of."""
    mapped = [expression for name, expression in source.columns.items() if name in CANONICAL_COLUMNS]
    named = [one.column for one in (*mapped, *source.ids.values()) if one.column]
    return {name.lower() for name in (*named, *source.types)}


def order_is_event(source: Source, raw_names: Iterable[str]) -> bool:
    """Whether every row is an order of its own: `order_id: event_id`, and no column is called so."""
    order = source.columns.get("order_id")
    return order is not None and order.column == "event_id" and "event_id" not in {n.lower() for n in raw_names}


def fixed_part(path: str | None) -> str:
    """The folder or file of a path, up to its first wildcard."""
    start = re.split(r"[*?\[{]", str(path))[0]
    return start if start == path else start.rsplit("/", 1)[0]


def options_of(source: Source) -> dict[str, str]:
    """The reader's options, as `spelt`."""
    return spelt(source.options)


def spelt(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of a reader or writer as text, each that is asked for by name as it is asked for, whatever its case."""
    return {
        _SPELLING.get(name.lower(), name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }


def doubling_quotes(options: Mapping[str, str]) -> dict[str, str]:
    """The options of CSV as RFC 4180 has it where they name no escape: a quote, whichever it is, is doubled."""
    quote = next((value for name, value in options.items() if name.lower() == "quote"), "")
    return {"escape": quote or '"', **options}


def which_files(source: Source) -> dict[str, str]:
    """The reader's options about which files of its path are read."""
    return {name: value for name, value in options_of(source).items() if name.lower() in WHICH_FILES}


def is_on(options: Mapping[str, str], name: str) -> bool:
    """Whether an option is set to true, in any case, as Spark takes it."""
    return options.get(name, "").lower() == "true"


def shown(names: Iterable[str]) -> str:
    """The columns of a source for a message, the first twenty."""
    internal = (CORRUPT, FILE, RAW, BASE_ID, ORDER_IS_EVENT)
    own = [name for name in names if name not in internal and not name.startswith(TYPE_FAULT)]
    return ", ".join(own[:20]) + (f" and {len(own) - 20} more" if len(own) > 20 else "")

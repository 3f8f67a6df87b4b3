"""What the parts of a source are called, and where it is."""

import re
from collections.abc import Iterable

from rfm_spark.config.source import CANONICAL_COLUMNS, Source
from rfm_spark.config.words import without_secrets

CORRUPT = "_corrupt_record"
# options about which files of a path are read
WHICH_FILES = ("pathglobfilter", "recursivefilelookup", "modifiedbefore", "modifiedafter", "basepath")
RAW, FILE, TYPE_FAULT, BASE_ID, ORDER_IS_EVENT = "_raw", "_file", "_fault:", "_event_base", "_order_is_event"


def place(source: Source) -> str:
    """Where the rows of a source are, as a message or a run record may say it."""
    if source.format == "jdbc":
        return f"{' '.join(str(source.table).split())[:80]} at {without_secrets(str(source.url).split('?')[0])}"
    return without_secrets(str(source.path or source.table))


def extra_columns(source: Source) -> list[str]:
    """Columns of a source that `events` carries beyond the canonical ones."""
    return [name for name in source.columns if name not in CANONICAL_COLUMNS] if source.kind == "events" else []


def order_is_event(source: Source, raw_names: Iterable[str]) -> bool:
    """Whether every row is an order of its own: `order_id: event_id`, and no column is called so."""
    order = source.columns.get("order_id")
    return order is not None and order.column == "event_id" and "event_id" not in {n.lower() for n in raw_names}


def fixed_part(path: str | None) -> str:
    """The folder or file of a path, up to its first wildcard."""
    start = re.split(r"[*?\[{]", str(path))[0]
    return start if start == path else start.rsplit("/", 1)[0]


def options_of(source: Source) -> dict[str, str]:
    """The reader's options, as text."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in source.options.items()
    }


def listed(names: Iterable[str]) -> str:
    """The columns of a source for a message, the first twenty."""
    internal = (CORRUPT, FILE, RAW, BASE_ID, ORDER_IS_EVENT)
    shown = [name for name in names if name not in internal and not name.startswith(TYPE_FAULT)]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")

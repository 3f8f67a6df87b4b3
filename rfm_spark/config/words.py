"""The words of a fault: what was found, what was expected, a near name; never a secret."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

MASK = "(removed)"
Finding = tuple[str, str]  # path and message of a fault
_SECRET = re.compile(r"pass|pwd|token|secret|credential|signature|key$|(^|[^a-z])key", re.IGNORECASE)
# user:password@, where a secret may hold a slash and a port is followed by one; a container@account is no secret
_IN_URL = re.compile(r"(?<=://)[^/:@\s]*:(?!\d+/)[^@\s]+(?=@)")
_IN_QUERY = re.compile(r"(?<=[?&;])([^=?&;\s]*(?:pass|pwd|token|secret|key|sig)[^=?&;\s]*)=[^&;\s]+", re.IGNORECASE)


def is_secret(key: str) -> bool:
    """Whether the value of such a key must not be shown."""
    return bool(_SECRET.search(key))


def without_secrets(text: str) -> str:
    """A text with the user and password of URLs in it masked."""
    return _IN_QUERY.sub(rf"\1={MASK}", _IN_URL.sub(MASK, text))


def near(word: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The option that was probably meant, or None."""
    by_lower = {option.lower(): option for option in options}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`; did you mean x?` or nothing."""
    option = near(word, options)
    return f"; did you mean {option}?" if option else ""


def counted(n: int, thing: str) -> str:
    """How many of a thing: `1 source`, `2 sources`."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def listed(names: Iterable[str], most: int = 30) -> str:
    """Names in a row, the first ones where there are many."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def found(value: Any, path: str = "") -> str:
    """A value in words, as a fault names it; masked where its path is that of a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        keys = listed((str(name) for name in value), 6)
        return f"a section with {keys}" if value else "an empty section"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    _, options, key = path.rpartition(".options.")
    if (options and is_secret(key)) or path.endswith(".password"):
        return MASK
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return f"{str(value).lower()} (true or false)"
    if isinstance(value, int | float):
        text = "a very large number" if isinstance(value, int) and abs(value) >= 10**30 else str(value)
        return f"{text} (a number)"
    if isinstance(value, date):
        return f"{value} (a date)"
    text = without_secrets(str(value))
    return f"{text[:57]}…" if len(text) > 60 else f"'{text}'"

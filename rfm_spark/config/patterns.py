"""What may stand in small texts of a project file: zones, currencies, types of columns, datetime patterns."""

import re
import zoneinfo
from collections.abc import Iterator
from itertools import groupby

from rfm_spark.config.words import did_you_mean, found

_OFFSET = re.compile(r"[+-](0\d|1[0-8]):[0-5]\d")
_TYPES = (
    "string", "boolean", "tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "float", "double",
    "decimal", "date", "timestamp",
)  # fmt: skip
_DECIMAL = re.compile(r"decimal\s*(\(\s*(\d+)\s*(,\s*(\d+)\s*)?\))?")
_OTHER_TYPES = {
    "str": "string", "text": "string", "varchar": "string", "bool": "boolean", "number": "decimal(18,4)",
    "numeric": "decimal(18,4)", "real": "float", "datetime": "timestamp", "int64": "bigint", "int32": "int",
}  # fmt: skip


def timezone_fault(name: str) -> str | None:
    """Why a time zone is none, or None."""
    if _OFFSET.fullmatch(name):
        return None
    try:
        zoneinfo.ZoneInfo(name)
        return None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        zones = zoneinfo.available_timezones()
    if not zones:  # a machine without the data base of zones cannot tell
        return None
    by_city = {zone.rsplit("/", 1)[-1]: zone for zone in sorted(zones) if "/" in zone}
    city = name.strip().replace(" ", "_").title()
    hint = f"; did you mean {by_city[city]}?" if city in by_city else did_you_mean(name, sorted(zones))
    return f"found {found(name)}, expected a time zone such as Europe/London{hint}"


def currency_fault(code: str) -> str | None:
    """Why a currency is none, or None."""
    if re.fullmatch("[A-Z]{3}", code):
        return None
    hint = f"; did you mean {code.upper()}?" if re.fullmatch("[A-Za-z]{3}", code) else ""
    return f"found {found(code)}, expected a code of three letters such as EUR{hint}"


def type_fault(text: str) -> str | None:
    """Why a type is none of Spark's that a column can be cast to, or None."""
    name = text.strip().lower()
    decimal = _DECIMAL.fullmatch(name)
    if decimal:
        precision, scale = int(decimal[2] or 10), int(decimal[4] or 0)
        if 1 <= precision <= 38 and scale <= precision:
            return None
        return f"found {found(text)}, expected decimal(p,s) with p from 1 to 38 and s at most p"
    if name in _TYPES:
        return None
    meant = _OTHER_TYPES.get(name.split("(")[0].strip())
    hint = f"; did you mean {meant}?" if meant else did_you_mean(name, _TYPES)
    return f"found {found(text)}, expected a type such as string, int, decimal(18,4), double, date, timestamp{hint}"


# Spark's own restrictions for parsing: https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
_MOST = {
    "y": 6, "M": 4, "L": 4, "d": 2, "D": 3, "a": 1, "h": 2, "H": 2, "k": 2, "K": 2, "m": 2, "s": 2, "S": 9, "V": 2,
    "z": 4, "O": 4, "X": 5, "x": 5, "Z": 5, "G": 4,
}  # fmt: skip
_HINTS = {
    "Y": "Y is the week-based year; the year is yyyy",
    "u": "u is not a pattern letter in Spark; the year is yyyy",
    "w": "Spark has no week of year",
    "W": "Spark has no week of month",
    "e": "Spark has no number of the weekday",
    "c": "Spark has no number of the weekday",
    "E": "Spark does not parse the name of the weekday; cut it off with SQL",
    "F": "Spark does not parse the week of the month",
    "q": "Spark does not parse quarters",
    "Q": "Spark does not parse quarters",
    "T": "put letters that stand for themselves in quotes: 'T'",
    "A": "A is not a pattern letter in Spark; am or pm is a",
    "n": "n is not a pattern letter in Spark; fractions of a second are S",
}


def format_faults(pattern: str) -> list[str]:
    """Everything wrong with a datetime pattern that rows are parsed with, one message each."""
    reasons = list(dict.fromkeys(_format_reasons(pattern)))
    expected = "expected a Spark pattern such as yyyy-MM-dd HH:mm:ss"
    return [f"found {found(pattern)}, {expected}: {reason}" for reason in reasons]


def _format_reasons(pattern: str) -> Iterator[str]:
    if "%" in pattern:
        yield "%Y-%m-%d is Python's way, yyyy-MM-dd is Spark's"
        return
    if pattern.count("'") % 2:
        yield "a quote is not closed"
        return
    bare = re.sub(r"'[^']*'", "''", pattern)
    runs = [(letter, len(list(run))) for letter, run in groupby(bare) if letter.isalpha()]
    swapped = _swapped(bare)
    if swapped:
        yield swapped
    for letter, length in runs:
        yield from _run_reasons(letter, length)
    yield from _set_reasons(bare, [letter for letter, _ in runs], bool(swapped))


def _run_reasons(letter: str, length: int) -> Iterator[str]:
    if letter in _HINTS:
        yield _HINTS[letter]
    elif letter not in _MOST:
        yield f"{letter} is not a pattern letter; put letters that stand for themselves in quotes"
    elif letter == "D" and length == 2:
        yield "DD is the day of the year; the day of the month is dd"
    elif length > _MOST[letter]:
        yield f"{letter * length} is too long, at most {letter * _MOST[letter]}"


def _swapped(bare: str) -> str | None:
    """Minutes for months, or months for minutes."""
    if re.search(r"[yY]+\W?m{1,2}(?!m)|(?<!m)m{1,2}\W?[yY]|\bm{1,2}\W[dD]{1,2}\W[yY]", bare):
        return "mm is minutes; months are MM"
    if re.search(r"[Hhk]{1,2}\W?M{1,2}(?!M)", bare):
        return "MM is months; minutes are mm"
    return None


def _set_reasons(bare: str, letters: list[str], swapped: bool) -> Iterator[str]:
    known = set(letters)
    if not known & set("yYu"):
        yield "it has no year"
    elif not known & set("MLD") and not swapped:
        yield "it has no month"
    if known & set("hK") and "a" not in known:
        yield "hh is the hour of half a day and needs a (am or pm); the hour of the day is HH"
    if "S" in known and "s" not in known:
        yield "SS is fractions of a second; seconds are ss"
    twice = sorted({letter for letter in letters if letters.count(letter) > 1})
    if twice and "[" not in bare and not swapped:
        yield f"{', '.join(twice)} stands twice"

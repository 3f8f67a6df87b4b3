"""What is wrong with a source, in words: found, expected, where, what to do."""

import difflib
import json
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlparse

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from rfm_spark.config.source import Source
from rfm_spark.config.words import without_secrets
from rfm_spark.errors import InputError
from rfm_spark.sources.columns import CORRUPT, named_columns, order_is_event, place, shown
from rfm_spark.sql import first_line

_NO_DELTA_TABLE = ("DELTA_TABLE_NOT_FOUND", "is not a Delta table", "No commit files", "Not a directory")
FILE_IN_MESSAGE = re.compile(r"while reading file ([^{\s]\S*?)\.?\s")  # and no f-string in a traceback


class NoRows(InputError):
    """Nothing was found in a source, which is no fault where it has delivered before."""


def require_columns(source: Source, names: list[str]) -> None:
    """Check that a source has every column that its config names. Raises: InputError."""
    if missing := missing_columns(source, names):
        raise InputError(f"source {source.name}: " + "; ".join(_missing(source, name, names) for name in missing))


def missing_columns(source: Source, names: list[str]) -> list[str]:
    """The columns that the config of a source names and that are not among these."""
    known = {name.lower() for name in names}
    implied = {"event_id"} if order_is_event(source, names) else set()
    return [name for name in dict.fromkeys(named_columns(source)) if name.lower() not in known and name not in implied]


def _missing(source: Source, name: str, names: list[str]) -> str:
    present = [n for n in names if n != CORRUPT]
    if source.format == "csv" and _looks_like_data(present):
        return (
            f"no column {name}; the first line of {place(source)} looks like data, expected column names; if it has "
            "none, set options.header: false and map _c0, _c1, …"
        )
    near = difflib.get_close_matches(name, present, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if source.format == "csv" and len(present) == 1 and not near:
        separators = [s for s in (";", "\t", "|", ",") if s in present[0]]
        hint = f"; the file looks separated by {separators[0]!r}: set options.sep" if separators else hint
    if any("\ufffd" in n for n in present):
        hint += "; the names do not decode as UTF-8: set options.encoding, such as ISO-8859-1"
    return f"no column {name}; found {shown(present)}{hint}"


def _looks_like_data(names: Iterable[str]) -> bool:
    """Whether a header holds numbers, dates or addresses, which are not to be shown."""
    return any(re.fullmatch(r"[\d\W]*\d[\d\W]*|\S+@\S+", name) for name in names)


def refuse_ambiguous(source: Source, header: tuple[str, ...], partitions: list[str]) -> None:
    """Check that each name stands once in a header. Raises: InputError."""
    lower = [name.lower() for name in header]
    twice = sorted({name for name in header if lower.count(name.lower()) > 1})
    if twice:
        shown = "a value" if _looks_like_data(header) else f"column {', '.join(twice)}"
        raise InputError(
            f"source {source.name}: {shown} stands twice in the header of {place(source)}, expected each name once "
            "(capitals do not tell names apart); rename it, or set options.header: false and map _c0, _c1, …"
        )
    both = [name for name in partitions if name.lower() in lower]
    if both:
        raise InputError(
            f"source {source.name}: column {', '.join(both)} stands in the header and in the folders' names of "
            f"{place(source)}, expected one of them; rename one"
        )


def no_rows(source: Source, found: str) -> str:
    """A source in which nothing was found."""
    expected = f"{source.format} with at least its column names"
    return f"source {source.name}: found {found} at {place(source)}, expected {expected}"


def nothing_found(source: Source) -> str:
    """A source whose path holds no file."""
    return f"source {source.name}: nothing found at {place(source)}; check path, or mount what holds it"


def explain_unreadable(source: Source, error: Exception) -> str:
    """Why a source cannot be read, from what the engine raised."""
    where, text = place(source), str(error)
    if source.format == "delta" and any(words in text for words in _NO_DELTA_TABLE):
        return f"source {source.name}: found no Delta table at {where}; check path, or set format: parquet"
    if "PATH_NOT_FOUND" in text or "does not exist" in text:
        return nothing_found(source)
    if "TABLE_OR_VIEW_NOT_FOUND" in text:
        return f"source {source.name}: no table {where} in the catalog; check its name and your rights"
    if "UNABLE_TO_INFER_SCHEMA" in text:
        return no_rows(source, "no readable file")
    if file := FILE_IN_MESSAGE.search(text + " "):
        return unreadable_file(source, file[1])
    return f"source {source.name}: cannot read {where} as {source.format}: {without_secrets(first_line(error))}"


def unreadable_file(source: Source, file: str) -> str:
    """A file that is damaged or of another kind."""
    return (
        f"source {source.name}: cannot read {unquote(urlparse(file).path)} as {source.format}: it is cut off, damaged "
        "or of another format or type than the others; deliver it again or take it out"
    )


def refuse_json_lines(spark: SparkSession, source: Source) -> None:
    """With multiLine a file is one JSON document: of several, all but the first would be lost."""
    try:
        lines = [row.value for row in spark.read.text(str(source.path)).head(2)]
        several = len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, PySparkException):  # the latter where it is no UTF-8
        return
    if several:
        raise InputError(
            f"source {source.name}: found one JSON object a line at {place(source)}, expected one document a file with "
            "options.multiLine: true; take that option out"
        )

"""What the columns of each CSV file are called, by its first line: a reader with a given schema does not look at it."""

import codecs
import csv
import gzip
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlparse

from rfm_spark.config.source import Source
from rfm_spark.errors import InputError
from rfm_spark.sources.columns import doubling_quotes, is_on
from rfm_spark.sources.messages import NoRows, no_rows, unreadable_file

_CSV_DEFAULTS = {"header": "true", "multiLine": "true"}
_COMPRESSED = (".bz2", ".zst", ".lz4", ".snappy", ".deflate")


def csv_options(given: Mapping[str, str]) -> dict[str, str]:
    """The given options over the defaults, which are RFC 4180's."""
    return {**_CSV_DEFAULTS, **doubling_quotes(given)}


def by_header(
    source: Source, files: Sequence[str], otherwise: Callable[[str], Sequence[str]], options: Mapping[str, str]
) -> dict[tuple[str, ...], list[str]]:
    """The files of each header that occurs, without those that are empty, so that drift moves no value sideways.

    A column without a name is called as Spark calls it. `otherwise` gives the first cells of a file that is not on this
    machine, or is in an encoding or compression that Python does not know.
    Raises: NoRows where all files are empty.
    """
    has_header = is_on(options, "header")

    def header(file: str) -> tuple[str, ...]:
        cells = _first_cells(source, file, options) if _is_readable(file, options) else otherwise(file)
        if not has_header:
            return tuple(f"_c{i}" for i in range(len(cells)))
        return tuple(cell.strip() or f"_c{i}" for i, cell in enumerate(cells))

    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(header, files))
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, names in sorted(zip(files, found, strict=True), key=lambda pair: (pair[1], pair[0])):
        if names:
            groups[names].append(file)
    if not groups:
        raise NoRows(no_rows(source, "an empty file"))
    return groups


def _is_readable(file: str, options: Mapping[str, str]) -> bool:
    url = urlparse(file)
    return url.scheme in ("", "file") and not url.path.endswith(_COMPRESSED) and _python_knows(encoding_of(options))


def _first_cells(source: Source, file: str, options: Mapping[str, str]) -> list[str]:
    encoding, quote, sep = encoding_of(options), options.get("quote", '"'), separator_of(options)
    encoding = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    path = unquote(urlparse(file).path)
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding=encoding, errors="replace", newline="") as text:
            comment = options.get("comment")
            lines = (line for line in text if not (comment and line.startswith(comment)))
            if len(sep) > 1:
                return next((line.strip("\r\n").split(sep) for line in lines if line.strip()), [])
            quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
            return next((cells for cells in csv.reader(lines, delimiter=sep, strict=True, **quoting) if cells), [])
    except csv.Error:
        raise InputError(
            f"source {source.name}: a quote in the first line of {path} is not closed; mend it, or set options.quote"
        ) from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise InputError(unreadable_file(source, file)) from None


def separator_of(options: Mapping[str, str]) -> str:
    """What stands between two cells."""
    return options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")


def encoding_of(options: Mapping[str, str]) -> str:
    """The encoding of the files."""
    return options.get("encoding", options.get("charset", "utf-8"))


def _python_knows(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True

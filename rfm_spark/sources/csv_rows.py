"""Rows of CSV text as Spark gives them, malformed ones too."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from rfm_spark.sources.headers import csv_options, encoding_of, separator_of

# no text has these: a line break that is not the file's own, and an empty cell in quotes
_LONE, _QUOTED_EMPTY = "\uffff", "\ufffe\ufffe"
_LINE_ENDS = "\n" + _LONE
_LINE_END = re.compile(f"[{_LINE_ENDS}]")
_SPACES = "".join(map(chr, range(33)))  # what Java trims

Rows = tuple[list[list[str]], list[str | None]]  # cells, and the text of each row that is malformed


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; of options that are not set, characters that no text has."""

    width: int
    sep: str
    quote: str
    escape: str
    comment: str
    header: bool
    multiline: bool
    encoding: str
    values: Mapping[str, str | None]  # what a cell means that is not its text
    quoted_empty: str
    stop: re.Pattern[str]  # the end of a cell
    stop_in_quotes: re.Pattern[str]
    blanks: re.Pattern[str]  # what may follow a closing quote
    row_in_cell: re.Pattern[str]  # in cells joined by \x1f; as in `reading._unswallowed`


def dialect(width: int, options: Mapping[str, str]) -> Dialect:
    """The dialect of files with `width` columns that Spark's options, their names in any case, describe."""
    given = {name.lower(): value for name, value in csv_options(options).items()}
    sep, quote, escape = separator_of(given), given.get("quote", '"') or "\0", given["escape"] or "\0"
    null, empty = given.get("nullvalue", ""), given.get("emptyvalue", "")
    one, other = re.escape(sep), f"[^\n\x1f{re.escape(sep)}]*"
    return Dialect(
        width,
        sep,
        quote,
        escape,
        comment=given.get("comment", ""),
        header=given["header"].lower() == "true",
        multiline=given["multiline"].lower() == "true",
        encoding=encoding_of(given),
        values={"": None, null: None, _QUOTED_EMPTY: empty},
        quoted_empty="" if empty == null else _QUOTED_EMPTY,
        stop=re.compile(f"{one}|\n"),
        stop_in_quotes=re.compile(f"[{re.escape(quote + escape)}]"),
        blanks=re.compile(f"(?:(?!{one})[\0-\x09\x0b-\x20])*"),
        row_in_cell=re.compile(f"\n(?:{other}{one}(?! )){{{width - 1}}}{other}(?:\n|\x1f|$)"),
    )


def csv_rows(blocks: Iterable[str], d: Dialect) -> Iterator[Rows]:
    """The rows of one file, some at a time.

    Reads: the text of the file in blocks, wherever they end.
    Returns: `d.width` cells a row, to be looked up in `d.values`; beside them the text of a malformed row, else None.
    Rules: see `text_files.csv_frame`.
    """
    skip, text, enough = int(d.header), "", 0
    for block, line_end, at_end in _with_line_feeds(blocks, d.multiline):
        text += block
        if len(text) < enough and not at_end:
            continue
        cut = len(text) if at_end else text.rfind("\n") + 1
        whole, text = text[:cut], text[cut:]
        (rows, faults), rest = (fast, "") if (fast := _flawless(whole, d)) else _rows(whole, line_end, at_end, d)
        text = rest + text
        enough = 2 * len(text)  # what an unclosed quote holds is read again at every doubling, not at every block
        yield rows[skip:], faults[skip:]
        skip = max(0, skip - len(rows))


def _with_line_feeds(blocks: Iterable[str], multiline: bool) -> Iterator[tuple[str, str, bool]]:
    """The text with the file's line ends as line feeds; those line ends; and whether the text ends.

    With multiline the first line end is the file's, and any other is text.
    """
    line_end, held = "", ""
    for block in chain(blocks, [None]):
        text, at_end = held + (block or ""), block is None
        held = "\r" if text.endswith("\r") and not at_end else ""
        text = text[: len(text) - len(held)]
        if not line_end and (first := re.search("\r\n?|\n", text)):
            line_end = first[0]
        if not multiline:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        elif line_end.startswith("\r"):
            text = text.replace("\n", _LONE).replace(line_end.replace("\n", _LONE), "\n")
        yield text, line_end, at_end


def _flawless(text: str, d: Dialect) -> Rows | None:
    """What `_rows` gives, fast, for a text of well-formed rows; None for any other."""
    if d.width < 2 or _LONE in text or not (d.multiline or d.sep > " "):
        return None
    if d.comment and (text.startswith(d.comment) or f"\n{d.comment}" in text):
        return None
    if d.quote not in text:
        rows = [line.split(d.sep) for line in text.removesuffix("\n").split("\n")]
    else:
        rows = _quoted_rows(text, d)
    return (rows, [None] * len(rows)) if set(map(len, rows)) == {d.width} else None


def _quoted_rows(text: str, d: Dialect) -> list[list[str]]:
    """The rows that `csv` sees in a text; none where Spark may see others."""
    own_escape = d.escape != d.quote
    if len(d.sep) > 1 or "\r" in text or (own_escape and d.escape in text):
        return []
    if (own_escape or d.quoted_empty) and d.quote * 2 in text:
        return []
    try:
        rows = list(csv.reader(io.StringIO(text, "\n"), delimiter=d.sep, quotechar=d.quote, strict=True))
    except csv.Error:
        return []
    if len(rows) == text.count("\n") + (not text.endswith("\n")):
        return rows
    return rows if d.multiline and not any(_swallows(cells, d) for cells in rows) else []


def _rows(text: str, line_end: str, at_end: bool, d: Dialect) -> tuple[Rows, str]:
    """The rows of a text, and its rest where that is not a whole row."""
    rows: list[list[str]] = []
    faults: list[str | None] = []
    start = 0
    while start < len(text) and (record := _record(text, start, at_end, d)):
        cells, end = record
        raw, start = text[start:end], end
        if not cells:
            continue
        fault = None
        if len(cells) != d.width:
            fault = raw.replace("\n", line_end).replace(_LONE, "\n").removesuffix("\n").removesuffix("\r")
            cells = [*cells, *[""] * d.width][: d.width]
        if _swallows(cells, d):
            whole = fault if fault is not None else d.sep.join(_meant(cells, d))
            lines = whole.rstrip("\n").split("\n")
            rows += [[""] * d.width] * len(lines)
            faults += lines
        else:
            rows.append(cells)
            faults.append(fault)
    return (rows, faults), text[start:]


def _swallows(cells: list[str], d: Dialect) -> bool:
    """Whether a cell holds a line that looks like a row, and so is one after an unclosed quote."""
    if not d.multiline or d.width < 3 or not any("\n" in cell for cell in cells):
        return False
    return d.row_in_cell.search("\x1f".join(_meant(cells, d))) is not None


def _meant(cells: list[str], d: Dialect) -> list[str]:
    return [d.values.get(cell, cell) or "" for cell in cells]


def _record(text: str, start: int, at_end: bool, d: Dialect) -> tuple[list[str], int] | None:
    """The cells of the row at `start`, none of a blank line or a comment, and its end; None where the text ends first.

    By the rules of the parser that Spark has: a quote that opens or closes no cell is text.
    """
    end = text.find("\n", start) + 1 or len(text)
    line = text[start:end].removesuffix("\n")
    blank = not (line if d.multiline else line.strip(_SPACES))
    if blank or (d.comment and line.startswith(d.comment)):
        return [], end
    if d.quote not in line and _LONE not in line:
        return line.split(d.sep), end
    if not d.multiline:
        cells, _ = _cells(line, 0, True, d) or ([], 0)
        return cells, end
    return _cells(text, start, at_end, d)


def _cells(text: str, at: int, at_end: bool, d: Dialect) -> tuple[list[str], int] | None:
    cells: list[str] = []
    while at < len(text):
        if text[at] in _LINE_ENDS:
            return [*cells, ""] if cells else [], at + 1
        if text[at] == d.quote:
            quoted = _quoted(text, at, at_end, d)
            if quoted is None:
                return None
            cell, at = quoted
        else:
            end = _end_of_cell(text, at, d)
            cell, at = text[at:end], end
        cells.append(cell.replace(_LONE, "\n"))
        if at == len(text) or text[at] in _LINE_ENDS:
            return cells, min(at + 1, len(text))
        at += len(d.sep)
    return [*cells, ""], at


def _end_of_cell(text: str, at: int, d: Dialect) -> int:
    """Where text that no quote opens ends; a foreign line break ends the last cell of a file alone."""
    found = d.stop.search(text, at) or _LINE_END.search(text, at)
    return found.start() if found else len(text)


def _quoted(text: str, at: int, at_end: bool, d: Dialect) -> tuple[str, int] | None:
    """The cell that the quote at `at` opens, and its end; None where the text ends first."""
    cell, before, first = "", "", at + 1
    at = first
    while at < len(text):
        char = text[at]
        if char not in (d.quote, d.escape):
            if before == d.quote:
                return _closed(text, at, cell, d)
            end = found.start() if (found := d.stop_in_quotes.search(text, at)) else len(text)
            cell += (d.escape if before == d.escape != "\0" else "") + text[at:end]
            before, at = text[end : end + 1], end + 1
            continue
        if before == d.escape:
            cell, char = cell + char, "\0"
        elif before == d.quote:
            cell += d.quote
        before, at = char, at + 1
    if not at_end:
        return None
    return cell or (d.quote if at == first else d.quoted_empty), len(text)


def _closed(text: str, at: int, cell: str, d: Dialect) -> tuple[str, int]:
    """The cell whose closing quote stands before `at`; other text than blanks makes quotes and all its text."""
    end = d.blanks.match(text, at).end()  # type: ignore[union-attr]
    if end == len(text) or text[end] in _LINE_ENDS or text.startswith(d.sep, end):
        return cell or d.quoted_empty, end
    stop = _end_of_cell(text, end, d)
    return f"{d.quote}{cell}{d.quote}{text[at:stop]}", stop

"""Columns and rows of JSON records as Spark gives them, malformed ones too."""

import json
import re
from collections.abc import Iterable
from functools import reduce
from typing import Any

# what a field's values are: nothing or "" (None), "string", a list of the kind of elements, kinds by name
Kind = Any

_JSON = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|' r"'(?:[^'\\\x00-\x1f]|\\.)*'")
_ATOM = re.compile(
    r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|NaN|[+-]INF|[+-]?Infinity)(?![\w.+-])"
)


class _MisfitError(Exception):
    """A value is not of the kind of its field."""


class _Object(dict[str, Any]):
    text = ""


class _Array(list[Any]):
    text = ""


def records_kind(records: Iterable[bytes]) -> dict[str, Kind]:
    """The kind of the objects among the records, and in arrays among them."""
    found: dict[str, Kind] = {}
    for record in records:
        try:
            value = _value(record)
            if isinstance(value, dict):
                for name, inner in value.items():
                    if found.get(name) != "string":
                        found[name] = merged_kinds(found.get(name), _kind(inner))
            elif isinstance(value, list):
                kind = _kind(value)
                while isinstance(kind, list):
                    kind = kind[0]
                found = merged_kinds(found, kind) if isinstance(kind, dict) else found
        except (ValueError, EOFError, RecursionError):  # no value, or nested too deeply
            continue
    return found


def merged_kinds(one: Kind, other: Kind) -> Kind:
    """The kind that holds values of both; a text where one is an object and the other is none."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {name: merged_kinds(one.get(name), kind) for name, kind in other.items()}
    if isinstance(one, list) and isinstance(other, list):
        return [merged_kinds(one[0], other[0])]
    return "string"


def pruned_kind(kind: Kind) -> Kind:
    """The kind as columns have it: sorted by name as Java sorts, a text for what is always null; {} for no fields."""
    if isinstance(kind, dict):
        names = sorted(filter(None, kind), key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        inner = {name: pruned_kind(kind[name]) for name in names}
        return {name: kind for name, kind in inner.items() if kind}
    if isinstance(kind, list):
        return [element] if (element := pruned_kind(kind[0])) else {}
    return "string"


def json_rows(record: bytes, kind: dict[str, Kind]) -> list[tuple[dict[str, Any], str | None]]:
    """The rows of one record, as a rule one.

    Reads: a line or a document; the kind of all records, pruned.
    Returns: the fields of `kind`, none where the record is no object; the record where it is malformed, else None.
    Rules: see `text_files.json_frame`.
    """
    misfits: list[str] = []
    try:
        objects = _objects(_value(record))
        try:
            rows = [_fitted(item, kind, misfits) for item in objects]
        except AttributeError:  # asks for the text of an object or array
            rows = [_fitted(item, kind, misfits) for item in _objects(_value(record, spanned=True))]
    except EOFError:
        return []
    except (ValueError, RecursionError):
        return [({}, record.decode("utf-8", "replace"))]
    return [(row, record.decode() if misfits else None) for row in rows]


def _value(record: bytes, spanned: bool = False) -> Any:
    """The value that a record starts with: None, a bool, texts and numbers as written, a list, a dict.

    Rules: `spanned` gives lists and dicts with a `text`, as they are written.
    Raises: ValueError for what is no value; EOFError where nothing stands; RecursionError for one nested too deeply.
    """
    text = record.decode()
    start = _after_blanks(text, 0)
    if start == len(text):
        raise EOFError
    try:
        return _spanned(text, start)[0] if spanned else _JSON.raw_decode(text, start)[0]
    except ValueError:
        return _spanned(text, start)[0]  # knows what Spark takes beyond JSON


def _spanned(text: str, at: int) -> tuple[Any, int]:
    """The value at a place and its end; as JSON, and also texts in single quotes, and +INF."""
    start = at = _after_blanks(text, at)
    opening = text[at : at + 1]
    if opening in ("'", '"'):
        return _string(text, at)
    if opening not in ("{", "["):
        if not (atom := _ATOM.match(text, at)):
            raise ValueError("no JSON value")
        return {"null": None, "true": True, "false": False}.get(atom[0], atom[0]), atom.end()
    value: Any = _Object() if opening == "{" else _Array()
    closing, at = "}" if opening == "{" else "]", _after_blanks(text, at + 1)
    more = text[at : at + 1] != closing
    while more:
        if opening == "{":
            name, at = _string(text, at)
            at = _after_blanks(text, at)
            if text[at : at + 1] != ":":
                raise ValueError("no JSON value")
            value[name], at = _spanned(text, at + 1)
        else:
            item, at = _spanned(text, at)
            value.append(item)
        at = _after_blanks(text, at)
        more = text[at : at + 1] == ","
        at = _after_blanks(text, at + 1) if more else at
    if text[at : at + 1] != closing:
        raise ValueError("no JSON value")
    value.text = text[start : at + 1]
    return value, at + 1


def _after_blanks(text: str, at: int) -> int:
    return _BLANKS.match(text, at).end()  # type: ignore[union-attr]


def _string(text: str, at: int) -> tuple[str, int]:
    if not (found := _STRING.match(text, at)):
        raise ValueError("no JSON text")
    body = re.sub(r'\\.|"', lambda part: {"\\'": "'", '"': '\\"'}.get(part[0], part[0]), found[0][1:-1])
    return json.loads(f'"{body}"'), found.end()


def _kind(value: Any) -> Kind:
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        return {name: _kind(inner) for name, inner in value.items()}
    return [reduce(merged_kinds, map(_kind, value), None)] if isinstance(value, list) else "string"


def _objects(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in found):
        raise ValueError("no JSON object")
    return found


def _fitted(value: Any, kind: Kind, misfits: list[str]) -> Any:
    """The value as its kind; a field that does not fit is null, and among `misfits`."""
    if value is None:
        return None
    if kind == "string":
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else value.text
    if isinstance(kind, list) and isinstance(value, list):
        return [_fitted(item, kind[0], misfits) for item in value]
    if not isinstance(kind, dict) or not isinstance(value, dict):
        raise _MisfitError
    fields = {}
    for name, inner in kind.items():
        item = fields[name] = value.get(name)
        if item is None or (inner == "string" and item.__class__ is str):
            continue
        try:
            fields[name] = _fitted(item, inner, misfits)
        except _MisfitError:
            fields[name] = None
            misfits.append(name)
    return fields

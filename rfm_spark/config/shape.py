"""The shape of a project: pydantic's errors in our words, and a repaired copy so that later checks can run as well."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from rfm_spark.config.base import LABEL_PATTERN, NAME_PATTERN, SEGMENT_PATTERN
from rfm_spark.config.json_schema import Schema, json_schema
from rfm_spark.config.tree import join
from rfm_spark.config.words import did_you_mean, found, listed, near

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class ShapeFault:
    """One place where the shape is wrong; `kind` is unknown, missing, key, together or value."""

    keys: Keys
    kind: str
    message: str

    @property
    def path(self) -> str:
        """The place as a path."""
        path = ""
        for key in self.keys:
            path = join(path, key)
        return path or "(top)"


def faults(error: ValidationError, data: Any) -> list[ShapeFault]:
    """Every fault once, in our words, in the order of the file's sections."""
    seen: dict[tuple[Keys, str], ShapeFault] = {}
    in_union: set[Keys] = set()
    for entry in error.errors(include_url=False):
        keys, of_union = _keys(entry["loc"], data, entry["type"] in ("missing", "extra_forbidden"))
        fault = _fault(entry, keys, data)
        seen.setdefault((keys, fault.kind), fault)
        if of_union and fault.kind != "key":
            in_union.add(keys)
    deeper = {keys[:i] for keys, _ in seen for i in range(len(keys))}
    misspelt = {(*fault.keys[:-1], meant(fault)) for fault in seen.values() if fault.kind == "unknown"}
    return [
        fault
        for (keys, kind), fault in seen.items()
        if not (keys in in_union and keys in deeper) and not (kind == "missing" and keys in misspelt)
    ]


def _keys(location: Sequence[str | int], data: Any, last_is_key: bool) -> tuple[Keys, bool]:
    """The part of pydantic's location that is in the file; its names of union branches are not."""
    keys: list[str | int] = []
    dropped = False
    for position, key in enumerate(location):
        in_list = isinstance(data, list) and isinstance(key, int) and key < len(data)
        if in_list or (isinstance(data, dict) and key in data):
            data = data[key]
        elif not (last_is_key and position == len(location) - 1):
            dropped = True
            continue
        keys.append(key)
    return tuple(keys), dropped


def _fault(entry: Mapping[str, Any], keys: Keys, data: Any) -> ShapeFault:
    kind = entry["type"]
    path = ShapeFault(keys, "", "").path
    if "[key]" in entry["loc"]:
        name = f"found the key {keys[-1]}, expected {_PATTERNS[NAME_PATTERN]}"
        return ShapeFault(keys, "key", name)
    if kind == "missing":
        what = expected(_at(keys))
        about = next((s["description"] for s in _at(keys, resolve=False) if "description" in s), "")
        about = f": {about}" if about else ""
        return ShapeFault(keys, "missing", f"missing; found no such key, expected {what}{about}")
    if kind == "extra_forbidden":
        known = _known(keys[:-1])
        hint = did_you_mean(str(keys[-1]), known) or f"; known keys: {listed(known)}"
        return ShapeFault(keys, "unknown", f"found an unknown key {keys[-1]}, expected a known one{hint}")
    value = _value(data, keys)
    if kind == "value_error":
        reason = str(entry["ctx"]["error"])
        return ShapeFault(keys, "together", f"found {found(value, path)}, expected: {reason}")
    schemas = _at(keys)
    hint = did_you_mean(value, _choices(schemas)) if isinstance(value, str) else ""
    quotes = "; put it in quotes" if _wants_quotes(value, schemas) else ""
    return ShapeFault(keys, "value", f"found {found(value, path)}, expected {expected(schemas)}{hint}{quotes}")


def _wants_quotes(value: Any, schemas: list[Schema]) -> bool:
    plain = isinstance(value, bool | int | float) or hasattr(value, "isoformat")
    return plain and any(s.get("type") == "string" and "enum" not in s and "format" not in s for s in schemas)


def _value(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


# --- the schema at a place -------------------------------------------------------------------------------------------


def _at(keys: Keys, resolve: bool = True) -> list[Schema]:
    """The schemas that the value at a place may have."""
    schemas = [json_schema()]
    for key in keys:
        schemas = [child for schema in schemas for part in _resolved(schema) for child in _children(part, key)]
    return [part for schema in schemas for part in _resolved(schema)] if resolve else schemas


def _resolved(schema: Schema) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _resolved(json_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from ({**schema, **s} for s in _resolved(part)) if "examples" in schema else _resolved(part)
    else:
        yield schema


def _children(schema: Schema, key: str | int) -> Iterator[Schema]:
    if isinstance(key, int):
        if "items" in schema:
            yield schema["items"]
    elif key in schema.get("properties", {}):
        yield schema["properties"][key]
    else:
        yield from schema.get("patternProperties", {}).values()
        if isinstance(schema.get("additionalProperties"), dict):
            yield schema["additionalProperties"]


def _known(keys: Keys) -> list[str]:
    return list(dict.fromkeys(name for schema in _at(keys) for name in schema.get("properties", {})))


def _choices(schemas: list[Schema]) -> list[str]:
    return [str(choice) for schema in schemas for choice in schema.get("enum", [])]


_PATTERNS = {
    NAME_PATTERN: "a name of a-z, 0-9 and _ that starts with a letter",
    LABEL_PATTERN: "a name of letters, digits, spaces, _ . and - that starts with a letter or digit",
    SEGMENT_PATTERN: "a name of letters, digits, spaces and _.,'’&/+()- that starts with a letter or digit",
}
_TYPES = {"boolean": "true or false", "null": "nothing"}


def expected(schemas: list[Schema]) -> str:
    """What a value of one of these schemas looks like, in words."""
    words = dict.fromkeys(_expected(schema) for schema in schemas if schema.get("type") != "null")
    if "a number" in words:
        words.pop("a whole number", None)
    return " or ".join(words) or "nothing"


def _expected(schema: Schema) -> str:
    kind = schema.get("type", "")
    if "enum" in schema:
        return f"one of {listed(schema['enum'])}"
    if "const" in schema:
        return str(schema["const"]).lower()
    if kind == "string":
        if schema.get("format") == "date":
            return "a date such as 2011-12-31"
        words = _PATTERNS.get(schema.get("pattern", ""), "text")
        return f"{words}, at most {schema['maxLength']} characters" if "maxLength" in schema else words
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "array":
        return f"a list{' of at least one' if schema.get('minItems') else ''}"
    if kind == "object" or "object" in kind:
        names = schema.get("required") or list(schema.get("properties", {}))
        return f"a section with {listed(names)}" if names else "a section of name: value"
    return _TYPES.get(kind, "text")


_BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than",
}  # fmt: skip


def _number(schema: Schema) -> str:
    bounds = [f"{words} {schema[key]}" for key, words in _BOUNDS.items() if key in schema]
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    return f"{kind}{' of ' if bounds else ''}{' and '.join(bounds)}"


# --- a repaired copy -------------------------------------------------------------------------------------------------


def repaired(data: Any, shape_faults: list[ShapeFault]) -> Any:
    """A copy of the data in which every fault of shape is put right somehow, so that the rest can be checked.

    A key that is nearly a known one is renamed, other unknown keys go, and what is missing or wrong becomes an
    example of what is expected.
    """
    data = copy.deepcopy(data)
    for fault in sorted(shape_faults, key=lambda fault: (fault.kind != "unknown", -len(fault.keys))):
        if fault.keys:
            _repair(_value(data, fault.keys[:-1]), fault)
    return data


def meant(fault: ShapeFault) -> str | None:
    """The key that an unknown key was probably meant to be."""
    return near(str(fault.keys[-1]), _known(fault.keys[:-1])) if fault.kind == "unknown" else None


def _repair(parent: Any, fault: ShapeFault) -> None:
    key: Any = fault.keys[-1]
    if fault.kind == "unknown":
        value, name = parent.pop(key), meant(fault)
        if name is not None:
            parent.setdefault(name, value)
    elif fault.kind == "key":
        parent.pop(key, None)
    elif fault.kind != "missing" or key not in parent:
        schemas = _at(fault.keys)
        example = _example(schemas[0]) if schemas else None
        if isinstance(example, dict) and isinstance(parent, list) and isinstance(parent[key], dict):
            kept = {name: value for name, value in parent[key].items() if name in schemas[0].get("required", ())}
            example = {**example, **kept}
        parent[key] = example


def _example(schema: Schema) -> Any:
    """A value that fits a schema."""
    schema = next(_resolved(schema))
    if "examples" in schema:
        return copy.deepcopy(schema["examples"][0])
    if "enum" in schema or "const" in schema:
        return schema["enum"][0] if "enum" in schema else schema["const"]
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return True
    if kind == "array":
        return [_example(schema["items"])] if schema.get("minItems") else []
    if kind == "object":
        return {name: _example(schema["properties"][name]) for name in schema.get("required", ())}
    return "2000-01-01" if schema.get("format") == "date" else "x"

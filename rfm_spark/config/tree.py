"""A YAML file as plain data, with the line of every path and all faults of its syntax."""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rfm_spark.config.words import did_you_mean, found
from rfm_spark.errors import ConfigError, Fault


@dataclass
class Tree:
    """What a file says: its data, and for every path such as `sources[0].path` its line."""

    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def join(path: str, key: str | int) -> str:
    """The path of an item of a list, or of a key of a section."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def read(path: Path) -> Tree:
    """Read a project file.

    Raises: ConfigError where there is no such file, or its text is no YAML.
    """
    text = _decode(_bytes(path), path.name)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise _fault(path.name, "found an empty file, expected a project; `rfm-spark init DIR` writes one")
        if not isinstance(node, yaml.MappingNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
            raise _fault(path.name, f"found {kind} at the top, expected keys such as project: and sources:", 1)
        builder = _Builder(loader)
        builder.tree.data = builder.build(node, "", ())
        return builder.tree
    except yaml.MarkedYAMLError as error:
        raise _syntax(path.name, error) from None
    except yaml.reader.ReaderError as error:
        line, column = _place(text, error.position)
        raise _fault(
            path.name, f"column {column}: found the control character {error.character!r}, expected text", line
        ) from None
    except RecursionError:
        raise _fault(path.name, "sections are nested too deeply") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        names = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, names, n=1) or names
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise _fault(path.name, f"there is no file {path}{hint}") from None
    except IsADirectoryError:
        raise _fault(path.name, f"{path} is a folder, expected a project file in it such as project.yaml") from None
    except OSError as error:
        raise _fault(path.name, f"{path} cannot be read: {error.strerror}") from None


def _decode(raw: bytes, name: str) -> str:
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = f"found byte 0x{raw[error.start]:02X}, which is not UTF-8 (Latin-1 or Windows-1252?)"
        raise _fault(name, f"column {column}: {what}; save the file as UTF-8", line) from None


def _place(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _fault(name: str, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Fault(name, message, line)], source=name)


_SYNTAX = {
    "found character '\\t' that cannot start any token": "found a tab, expected spaces: YAML is indented by spaces",
    "mapping values are not allowed here": "found a second `:` in a value, or wrong indentation; put the value in "
    'quotes ("…"), or align the key with those above it',
    "could not find expected ':'": "expected `:` after a key",
    "found unexpected end of stream": "the file ends within quotes or brackets that are not closed",
    "but found another document": "found a second document (---), expected one",
    "expected <block end>, but found '<block mapping start>'": "wrong indentation; align the key with those above it",
    "expected <block end>, but found '-'": "wrong indentation; align the `-` with those above it",
}


def _syntax(name: str, error: yaml.MarkedYAMLError) -> ConfigError:
    problem = str(error.problem or error.context)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return _fault(name, problem)
    words = _SYNTAX.get(problem, problem)
    if error.context_mark and error.context_mark.line != mark.line:
        words += f" (what it belongs to starts in line {error.context_mark.line + 1})"
    return _fault(name, f"column {mark.column + 1}: {words}", mark.line + 1)


class _Builder:
    """Turns YAML nodes into data; keys stay the text they are written as."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.tree = Tree()

    def build(self, node: yaml.Node, path: str, inside: tuple[int, ...]) -> Any:
        self.tree.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in inside:
            message = "found an alias of a section that it is part of, expected one from elsewhere"
            self.tree.faults.append(Fault(path, message, self.tree.lines[path]))
            return None
        inside = (*inside, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, join(path, i), inside) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, inside: tuple[int, ...]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self._merge(value_node, path, inside)
            elif not isinstance(key, str):
                self._fault(key_node, path, "found a list or section as a key, expected a name")
            elif key in own:
                first = self.tree.lines[join(path, key)]
                self._fault(key_node, join(path, key), f"the key stands twice, first in line {first}; remove one")
            else:
                self.tree.lines[join(path, key)] = key_node.start_mark.line + 1
                own[key] = self.build(value_node, join(path, key), inside)
        return merged | own

    def _merge(self, node: yaml.Node, path: str, inside: tuple[int, ...]) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, yaml.MappingNode) and id(part) not in inside:
                merged = self._mapping(part, path, (*inside, id(part))) | merged
            else:
                self._fault(part, path, "`<<` expects an alias of a section")
        return merged

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        try:
            return self.loader.construct_object(node)
        except ValueError:
            return self._fault(node, path, f"found {found(node.value)}, which is no date that exists")
        except yaml.constructor.ConstructorError:
            return self._fault(node, path, f"found the tag {node.tag}, expected a plain value")

    def _fault(self, node: yaml.Node, path: str, message: str) -> None:
        self.tree.faults.append(Fault(path or "(top)", message, node.start_mark.line + 1))


class OverrideFault(ValueError):
    """An override that cannot be applied; the text says why."""


def put(data: Any, keys: list[str], value: Any) -> str:
    """Set a value by its keys; items of a list by index or by their `name`. Returns the path.

    Raises: OverrideFault where a key leads nowhere.
    """
    path, here = "", data
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(here, list):
            index = _index(here, key, path)
            path = join(path, index)
            here = _set(here, index, value) if last else here[index]
        elif isinstance(here, dict):
            path = join(path, key)
            if not last and here.get(key) is None:
                here[key] = {}
            here = _set(here, key, value) if last else here[key]
        else:
            raise OverrideFault(f"{path} is {found(here, path)}, expected a section or list that has {key}")
    return path


def _set(container: Any, key: str | int, value: Any) -> Any:
    container[key] = value
    return value


def _index(items: list[Any], key: str, path: str) -> int:
    names = [str(item.get("name")) if isinstance(item, dict) else "" for item in items]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(items):
        return int(key)
    known = ", ".join(name for name in names if name) or f"0 to {len(items) - 1}"
    raise OverrideFault(f"{path} has no item {key}{did_you_mean(key, filter(None, names))} (items: {known})")

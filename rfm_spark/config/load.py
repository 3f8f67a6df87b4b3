"""Read a project file: all its faults at once, each with its path, line, what was found and what was expected."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rfm_spark.config import shape, tree
from rfm_spark.config.checks import check
from rfm_spark.config.models import ProjectConfig, line_of
from rfm_spark.config.tree import OverrideFault, Tree
from rfm_spark.config.words import found
from rfm_spark.errors import ConfigError, Fault

_REPAIRS = 5
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# sections that names in SQL are of: attributes, criteria, sub-periods, and which criteria a segmentation scores
_DECLARES_NAMES = re.compile(
    r"\(top\)|sources(\[\d+\](\.(columns|event_type|(kind|attributes|types)\b.*))?)?|criteria|reference_period.*|segmentations\[\d+\]\.criteria.*"
)


def load(path: str | Path, overrides: Sequence[str] = (), lake: str | None = None) -> ProjectConfig:
    """The project of a YAML file.

    Rules: relative paths in the file are relative to its folder; in `overrides` (`a.b=c`, items of a list by index or
        name, the value is YAML) and `lake` (a path that replaces the file's lake) to the working directory.
    Raises: ConfigError with all faults.
    """
    path = Path(path)
    file = tree.read(path)
    _absolute(file.data, path.absolute().parent)
    if lake is not None:
        was = file.data.get("lake")
        kept = {key: was[key] for key in ("change_data_feed",) if key in was} if isinstance(was, dict) else {}
        file.data["lake"] = {"path": lake, **kept}
    faults = list(file.faults)
    for override in overrides:
        faults += _override(file.data, override)
    _absolute(file.data, Path.cwd())
    config, more = _validated(file)
    faults += more
    if faults or config is None:
        raise ConfigError(sorted(faults, key=lambda fault: fault.line or 0), source=path.name)
    config._lines.update(file.lines)
    return config


def from_data(data: dict[str, Any]) -> ProjectConfig:
    """The project of plain data, for tests and notebooks; its paths are left as they are.

    Raises: ConfigError with all faults.
    """
    config, faults = _validated(Tree(_unshared(data)))
    if faults or config is None:
        raise ConfigError(faults, source=str(data.get("project", "config")))
    return config


def _unshared(data: Any) -> Any:
    """A copy in which no two places are one object, so that each can be repaired by itself."""
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(item) for item in data] if isinstance(data, list) else data


def _validated(file: Tree) -> tuple[ProjectConfig | None, list[Fault]]:
    """The project, and all faults; where the shape is wrong, the rest is checked on a repaired copy."""
    wrong: list[shape.ShapeFault] = []
    data = file.data
    for _ in range(_REPAIRS):
        try:
            config = ProjectConfig.model_validate(data)
        except ValidationError as error:
            # what belongs to a whole section shows only once its parts are right
            found_now = shape.faults(error, data)
            wrong += [fault for fault in found_now if not _follows(fault.path, wrong)]
            data = shape.repaired(data, found_now)
            continue
        return (None if wrong else config), _placed(file, wrong) + _further(file, config, wrong)
    return None, _placed(file, wrong)


def _placed(file: Tree, wrong: list[shape.ShapeFault]) -> list[Fault]:
    return [Fault(fault.path, fault.message, line_of(file.lines, fault.path)) for fault in wrong]


def _further(file: Tree, config: ProjectConfig, wrong: list[shape.ShapeFault]) -> list[Fault]:
    """Faults beside those of the shape; none that could follow from them."""
    names = not any(_may_hide_names(fault) for fault in wrong)
    return [fault for fault in check(config, file.lines, names) if not _follows(fault.path, wrong)]


def _may_hide_names(fault: shape.ShapeFault) -> bool:
    """Whether names that SQL uses may be missing from the repaired copy alone."""
    if fault.kind == "unknown":  # where nobody knows what a key was meant to be, it may be any
        return shape.meant(fault) is None and fault.path.startswith(("sources", "reference_period"))
    return fault.kind == "key" or _DECLARES_NAMES.fullmatch(fault.path) is not None


def _follows(path: str, wrong: list[shape.ShapeFault]) -> bool:
    return any(
        path == fault.path or path.startswith((f"{fault.path}.", f"{fault.path}["))
        for fault in wrong
        if fault.kind != "unknown"
    )


# --- overrides -------------------------------------------------------------------------------------------------------


def _override(data: dict[str, Any], override: str) -> list[Fault]:
    where, equals, text = override.partition("=")
    where = where.strip()
    keys = [key for key in where.replace("[", ".").replace("]", "").split(".") if key]
    shown = f"--set {where}"
    if not equals or not keys:
        return [Fault("--set", f"found {found(where)}, expected a.b=c such as reference_period.months=6")]
    try:
        tree.put(data, keys, _value(text))
    except OverrideFault as fault:
        return [Fault(shown, str(fault))]
    except yaml.YAMLError:
        return [Fault(shown, "found a value that is no YAML, expected one such as 5, text, [a, b] or {a: b}")]
    return []


def _value(text: str) -> Any:
    """The value as YAML; what is no YAML and does not try to be, such as *.csv, is text."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        if text.lstrip()[:1] in "[{\"'":
            raise yaml.YAMLError from None
        return text


# --- paths -----------------------------------------------------------------------------------------------------------


def _absolute(data: dict[str, Any], folder: Path) -> None:
    """Make the relative paths of lake and sources absolute, in place; URLs and globs stay as they are."""
    places = [data.get("lake"), *_items(data, "sources"), *_campaign_places(data)]
    secrets = [place.get(key) for place in places if isinstance(place, dict) for key in ("user", "password")]
    for section, key in [(place, "path") for place in places] + [(secret, "file") for secret in secrets]:
        if isinstance(section, dict) and isinstance(section.get(key), str) and section[key].strip():
            section[key] = _absolute_path(section[key], folder)


def _items(section: Any, key: str) -> list[Any]:
    items = section.get(key) if isinstance(section, dict) else None
    return items if isinstance(items, list) else []


def _campaign_places(data: dict[str, Any]) -> Iterator[Any]:
    for campaign in _items(data, "campaigns"):
        if isinstance(campaign, dict):
            yield campaign.get("assignment")
            yield from _items(campaign, "export")


def _absolute_path(path: str, folder: Path) -> str:
    if _URL.match(path):
        return path
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))

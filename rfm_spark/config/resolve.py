"""What a project comes to: with every default, without secrets, and its hash."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segmentation
from rfm_spark.config.source import Source
from rfm_spark.config.words import MASK, is_secret, without_secrets
from rfm_spark.errors import ConfigError


def resolved(config: ProjectConfig) -> dict[str, Any]:
    """The config as plain JSON data with every default and without secrets, as `runs.config` keeps it."""
    plain = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    for section in _places(plain):
        _mask(section)
    if "path" in plain["lake"]:
        plain["lake"]["path"] = without_secrets(plain["lake"]["path"])
    for segmentation in plain["segmentations"]:  # the scores are joined in this order, and keys of JSON have none
        segmentation.setdefault("criteria", list(config.criteria))
    return plain


def from_resolved(text: str) -> ProjectConfig:
    """The project that `runs.config` keeps, as JSON; its secrets are gone. Raises: ConfigError."""
    try:
        return ProjectConfig.model_validate_json(text)
    except ValidationError:
        raise ConfigError(
            "the project file that the run keeps is of another version of rfm_spark, expected one of this version: "
            "publish the snapshot again"
        ) from None


def _places(plain: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every section that says where rows are, with options that may hold a secret."""
    yield from plain["sources"]
    for campaign in plain["campaigns"]:
        if "assignment" in campaign:
            yield campaign["assignment"]
        yield from campaign["export"]


def _mask(source: dict[str, Any]) -> None:
    source["options"] = {
        key: MASK if is_secret(key) else without_secrets(value) if isinstance(value, str) else value
        for key, value in source["options"].items()
    }
    source |= {key: without_secrets(source[key]) for key in ("path", "url") if key in source}


def config_hash(config: ProjectConfig) -> str:
    """SHA-256 of the resolved config: the same for the same settings, however they are written."""
    canonical = json.dumps(resolved(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _in_order(section: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: section[name] for name in model.model_fields if name in section}


def defaults(config: ProjectConfig) -> str:
    """The config as YAML with every default written out; loading it gives the same project."""
    plain = config.model_dump(mode="python", by_alias=True, exclude_none=True)
    plain["lake"] = resolved(config)["lake"]
    for section in _places(plain):
        _mask(section)
    for source in plain["sources"]:
        if source["kind"] == "events":
            source.setdefault("timezone", config.timezone)
            if "amount" in source["columns"]:
                source.setdefault("currency", config.currency)
    for segmentation in plain["segmentations"]:
        segmentation.setdefault("criteria", list(config.criteria))
    plain["sources"] = [_in_order(source, Source) for source in plain["sources"]]
    plain["segmentations"] = [_in_order(segmentation, Segmentation) for segmentation in plain["segmentations"]]
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)

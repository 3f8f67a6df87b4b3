"""The project file: read, checked, linted, resolved; nothing here needs Spark or a JVM."""

from collections.abc import Sequence
from pathlib import Path

from rfm_spark.config import template
from rfm_spark.config.checks import check, config_warnings
from rfm_spark.config.json_schema import json_schema
from rfm_spark.config.lint import LintReport, lint
from rfm_spark.config.load import from_data, load
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.resolve import config_hash, defaults, from_resolved, resolved
from rfm_spark.errors import ConfigError, Fault

__all__ = [
    "LintReport",
    "ProjectConfig",
    "check",
    "config_hash",
    "config_warnings",
    "defaults",
    "from_data",
    "from_resolved",
    "json_schema",
    "lint",
    "load",
    "load_ready",
    "resolved",
    "template",
    "warnings",
]


def load_ready(path: str | Path, overrides: Sequence[str] = (), lake: str | None = None) -> ProjectConfig:
    """Load a project file that a job may run: no fault, no gap in its rules, no rule that never fires.

    Raises: ConfigError with all faults found.
    """
    config = load(path, overrides, lake)
    errors = lint(config).errors
    if errors:
        raise ConfigError(errors, str(path))
    return config


def warnings(config: ProjectConfig) -> list[Fault]:
    """All that is allowed and probably not meant: of the config, and of its rules."""
    return config_warnings(config) + lint(config).warnings

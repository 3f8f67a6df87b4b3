"""The project file: read, checked, linted, resolved; nothing here needs Spark or a JVM."""

from rfm_spark.config.checks import check, config_warnings
from rfm_spark.config.json_schema import json_schema
from rfm_spark.config.lint import LintReport, lint
from rfm_spark.config.load import from_data, load
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.resolve import config_hash, defaults, resolved
from rfm_spark.errors import Fault

__all__ = [
    "LintReport",
    "ProjectConfig",
    "check",
    "config_hash",
    "config_warnings",
    "defaults",
    "from_data",
    "json_schema",
    "lint",
    "load",
    "resolved",
    "warnings",
]


def warnings(config: ProjectConfig) -> list[Fault]:
    """All that is allowed and probably not meant: of the config, and of its rules."""
    return config_warnings(config) + lint(config).warnings

"""The linter of segment rules, over every combination of scores and of what else the rules depend on; no JVM."""

from rfm_spark.config.lint.linter import LintReport, lint

__all__ = ["LintReport", "lint"]

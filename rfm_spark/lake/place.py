"""Where the tables of a project are, at a path or in a catalog, and what is there."""

import json
from contextlib import suppress
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from rfm_spark import engines
from rfm_spark.config.lake import Lake as LakeConfig
from rfm_spark.lake.faults import translated
from rfm_spark.paths import without_scheme

_NO_TABLE = (
    "PATH_NOT_FOUND",
    "TABLE_OR_VIEW_NOT_FOUND",
    "DELTA_TABLE_NOT_FOUND",
    "SCHEMA_NOT_FOUND",
    "is not a Delta table",
    "No commit files found",
)


class Place:
    """The tables as the engine names and reads them."""

    def __init__(self, spark: SparkSession, config: LakeConfig) -> None:
        self.spark, self.config = spark, config
        self._there: set[str] = set()
        self._types: dict[str, dict[str, str]] = {}  # of tables that were looked at and not written since
        self._oldest: dict[str, int] = {}  # version that was read of a table, where frames are looked up when they run

    def __str__(self) -> str:
        return self.config.path or f"{self.config.catalog}.{self.config.schema_}"

    def identifier(self, table: str) -> str:
        """The table as SQL names it."""
        if self.config.path:
            return f"delta.`{self.path(table)}`"
        return f"`{self.config.catalog}`.`{self.config.schema_}`.`{table}`"

    def path(self, table: str) -> str:
        """The folder of a table, where the lake is at a path."""
        return f"{str(self.config.path).rstrip('/')}/{table}"

    def table(self, table: str, version: int | None = None) -> DataFrame:
        """The table, at a version or as it is now."""
        if version is not None and not self.config.path:
            return self.spark.sql(f"SELECT * FROM {self.identifier(table)} VERSION AS OF {version}")
        if not self.config.path:
            return self.spark.table(self.identifier(table))
        if version is not None and not engines.of(self.spark).delta_sql:
            oldest = self._oldest[table] = min(version, self._oldest.get(table, version))
            _forget_newer_checkpoint(Path(without_scheme(self.path(table))), oldest)
        reader = self.spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.path(table))

    def exists(self, table: str) -> bool:
        """Whether the table is there."""
        return table in self._there or self.types_of(table) is not None

    def types_of(self, table: str) -> dict[str, str] | None:
        """{column: type} of the table, or None where it is not there; asked once between writes of this place's."""
        if table not in self._types:
            with translated(f"{table} at {self}"):
                try:
                    self._types[table] = types(self.table(table))
                except AnalysisException as error:
                    if any(word in str(error) for word in _NO_TABLE):
                        return None
                    raise
            self._there.add(table)
        return self._types[table]

    def forget_types(self, table: str) -> None:
        """Ask again from here on: a write may bring columns."""
        self._types.pop(table, None)


def _forget_newer_checkpoint(folder: Path, version: int) -> None:
    """Remove the log's hint of its newest checkpoint, where that is of a later version than the one to be read.

    Sail 0.7 would start from it and then miss the commits before. Readers that find no hint look through the log, and
    the next checkpoint writes it again. A lake elsewhere than on this machine keeps it, and the read says what failed.
    """
    hint = folder / "_delta_log" / "_last_checkpoint"
    with suppress(OSError, ValueError, KeyError):
        if json.loads(hint.read_text(encoding="utf-8"))["version"] > version:
            hint.unlink()


def types(frame: DataFrame) -> dict[str, str]:
    """{column: type} as Spark SQL spells it."""
    return {field.name: field.dataType.simpleString() for field in frame.schema}

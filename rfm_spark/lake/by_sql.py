"""Commits by an engine that has Delta's SQL: Spark, classic, over Connect and hosted."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark.lake.history import Commit, commit
from rfm_spark.lake.place import Place
from rfm_spark.lake.shape import Compacted, Shape
from rfm_spark.schemas import Column, TableSpec

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_OPTIMIZE, _VACUUM = "spark.databricks.delta.optimize", "spark.databricks.delta"


class BySql:
    """Reads the history and writes rows, each write one commit."""

    def __init__(self, place: Place, run_id: str) -> None:
        self._place, self._run_id = place, run_id

    def history(self, table: str, limit: int) -> list[Commit]:
        """The newest commits of a table, at most `limit`."""
        told = self._place.spark.sql(f"DESCRIBE HISTORY {self._place.identifier(table)} LIMIT {limit}")
        return [commit(row.asDict()) for row in told.withColumn("timestamp", F.unix_millis("timestamp")).collect()]

    def write(
        self, spec: TableSpec, frame: DataFrame, mode: str, options: Mapping[str, str], properties: Mapping[str, str]
    ) -> None:
        """Write a frame; the table is made with `properties` where it is missing, and its columns where they are."""
        options, config, name = {"userMetadata": self._run_id, **options}, self._place.config, spec.name
        there = self._place.exists(name)
        if not there:
            options |= properties
        elif "overwriteSchema" not in options and set(frame.columns) - set(self._place.table(name).columns):
            options["mergeSchema"] = "true"
        if there and config.catalog:
            self._write_into_catalog(name, frame, mode, options)
        elif config.catalog:
            self._place.spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{config.catalog}`.`{config.schema_}`")
            # an overwrite would replace what another run has just made, and a creation ignores the option
            with self.settings({USER_METADATA: self._run_id}):
                writer = frame.write.format("delta").mode("append").options(**options)
                writer.partitionBy(*spec.partitioned_by).saveAsTable(self._place.identifier(name))
        else:
            writer = frame.write.format("delta").mode(mode).options(**options)
            writer.partitionBy(*spec.partitioned_by).save(self._place.path(name))

    def shape(self, table: str) -> Shape:
        """What the table itself says of its columns, partitions and properties."""
        detail = self._place.spark.sql(f"DESCRIBE DETAIL {self._place.identifier(table)}").collect()[0]
        fields = self._place.table(table).schema.fields
        columns = [Column(f.name, f.dataType.simpleString(), f.metadata.get("comment", "")) for f in fields]
        return Shape(tuple(columns), tuple(detail["partitionColumns"]), dict(detail["properties"]))

    def files(self, table: str) -> list[str]:
        """The data files of the newest version, by the folder that their partition has."""
        return self._place.table(table).inputFiles()

    def drop(self, table: str, column: str, days: Iterable[str]) -> int:
        """Delete all rows of some dates; returns how many."""
        rows = self._change(f"DELETE FROM {self._place.identifier(table)} WHERE {_within(column, days)}")
        return max(rows[0][0], 0)

    def compact(self, table: str, column: str | None, days: Iterable[str], bytes_a_file: int) -> Compacted:
        """Write the small files of some dates (None: of the whole table) again as few."""
        where = f" WHERE {_within(column, days)}" if column else ""
        sizes = {f"{_OPTIMIZE}.{name}": str(bytes_a_file) for name in ("maxFileSize", "minFileSize")}
        (row,) = self._change(f"OPTIMIZE {self._place.identifier(table)}{where}", sizes)
        done = row["metrics"]
        bytes_ = [files["totalSize"] for files in (done["filesRemoved"], done["filesAdded"])]
        return Compacted(done["numFilesRemoved"], done["numFilesAdded"], *bytes_)

    def vacuum(self, table: str, hours: int, *, dry: bool) -> int:
        """Delete files that no version younger than some hours needs, or tell how many; of 1,000 at most where dry."""
        asked = f"VACUUM {self._place.identifier(table)} RETAIN {hours} HOURS"
        check = {f"{_VACUUM}.retentionDurationCheck.enabled": "false"}  # the config has its own floor
        if dry:
            return len(self._change(f"{asked} DRY RUN", check))
        self._change(asked, check)
        (newest,) = self._place.spark.sql(f"DESCRIBE HISTORY {self._place.identifier(table)} LIMIT 1").collect()
        return int((newest["operationMetrics"] or {}).get("numDeletedFiles", 0))

    def add_columns(self, table: str, columns: Iterable[Column]) -> None:
        """Add columns, null in the rows that are there."""
        added = ", ".join(f"`{c.name}` {c.type} COMMENT {_text(c.comment)}" for c in columns)
        self._change(f"ALTER TABLE {self._place.identifier(table)} ADD COLUMNS ({added})")

    def comment(self, table: str, column: str, comment: str) -> None:
        """Say what a column means."""
        self._change(f"ALTER TABLE {self._place.identifier(table)} ALTER COLUMN `{column}` COMMENT {_text(comment)}")

    def set_property(self, table: str, key: str, value: str) -> None:
        """Set a property of the table."""
        self._change(f"ALTER TABLE {self._place.identifier(table)} SET TBLPROPERTIES ({_text(key)} = {_text(value)})")

    def _change(self, statement: str, settings: Mapping[str, str] | None = None) -> list[Row]:
        with self.settings({USER_METADATA: self._run_id, **(settings or {})}):
            return self._place.spark.sql(statement).collect()

    @contextmanager
    def settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Hold settings for a commit made by SQL, which takes no options."""
        conf = self._place.spark.conf
        before = {key: conf.get(key, None) for key in settings}
        try:
            for key, value in settings.items():
                conf.set(key, value)
            yield
        finally:
            for key, was in before.items():
                if was is None:
                    conf.unset(key)
                else:
                    conf.set(key, was)

    def _write_into_catalog(self, name: str, frame: DataFrame, mode: str, options: dict[str, str]) -> None:
        """Into a table that is there: `saveAsTable` would replace the catalog's entry at each overwrite."""
        predicate = options.pop("replaceWhere", None)
        writer = frame.writeTo(self._place.identifier(name)).options(**options)
        if mode == "append":
            writer.append()
        else:
            writer.overwrite(F.expr(predicate) if predicate else F.lit(True))


def _within(column: str, days: Iterable[str]) -> str:
    listed = ", ".join(f"DATE'{day}'" for day in days)
    return f"`{column}` IN ({listed})"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

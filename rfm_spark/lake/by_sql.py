"""Commits by an engine that has Delta's SQL: Spark, classic, over Connect and hosted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.lake.history import Commit, commit
from rfm_spark.lake.place import Place
from rfm_spark.schemas import TableSpec

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


class BySql:
    """Reads the history and writes rows, each write one commit."""

    def __init__(self, place: Place, run_id: str) -> None:
        self._place, self._run_id = place, run_id

    def history(self, table: str, limit: int) -> list[Commit]:
        """The newest commits of a table, at most `limit`."""
        rows = self._place.spark.sql(f"DESCRIBE HISTORY {self._place.identifier(table)} LIMIT {limit}").collect()
        return [commit(row.asDict()) for row in rows]

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

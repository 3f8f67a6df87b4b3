"""Frames that are used more than once: in the engine's cache, or where it has none each as a file, until released."""

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from rfm_spark import engines, session


class Kept:
    """Frames that are kept together, and let go of together."""

    def __init__(self) -> None:
        self._cached: list[DataFrame] = []
        self._views: list[tuple[SparkSession, str]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def keep(self, frame: DataFrame) -> DataFrame:
        """The same rows, computed once. A file is of this machine, and only its owner may look into its folder."""
        if engines.of(frame.sparkSession).caches:
            self._cached.append(frame.persist())
            return self._named(frame) if engines.is_connect(frame.sparkSession) else frame
        path = self._path()
        frame.write.parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)

    def hold(self, spark: SparkSession, columns: Mapping[str, Any]) -> DataFrame:
        """Columns of the driver as a frame: a file where `keep` makes files, else sent along."""
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table(dict(columns))
        if engines.of(spark).caches:
            return spark.createDataFrame(table)
        path = self._path()
        Path(path).mkdir()
        parquet.write_table(table, f"{path}/part.parquet")
        return spark.read.parquet(path)

    def _named(self, frame: DataFrame) -> DataFrame:
        """The same frame by a name: else its whole plan is sent along with each use, and one too deep cannot be."""
        name = f"kept_{uuid.uuid4().hex}"
        frame.createTempView(name)
        self._views.append((frame.sparkSession, name))
        return frame.sparkSession.table(name)

    def _path(self) -> str:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="rfm_spark-")
        self._files += 1
        return str(Path(self._folder.name) / str(self._files))

    def checkpoint(self, frame: DataFrame) -> DataFrame:
        """The same rows, with which later plans begin: what is used often stays quick to plan.

        On a cluster they are kept as all else, since an executor that is lost would take them along.
        """
        if engines.of(frame.sparkSession).caches and session.on_one_machine(frame.sparkSession):
            cached = frame.persist()  # so its size is measured: the estimate of a plan of many joins grows without end
            checkpoint = cached.localCheckpoint()
            cached.unpersist()
            return checkpoint
        return self.keep(frame)

    def release(self) -> None:
        """Let go of all: a later run of the session would read it in place of files that have changed."""
        while self._cached:
            self._cached.pop().unpersist()
        while self._views:
            spark, name = self._views.pop()
            spark.catalog.dropTempView(name)
        if self._folder:
            self._folder.cleanup()
            self._folder = None

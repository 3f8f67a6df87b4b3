"""Frames that are used more than once: in the engine's cache, or where it has none each as a file, until released."""

import tempfile
from pathlib import Path

from pyspark.sql import DataFrame

from rfm_spark import engines


class Kept:
    """Frames that are kept together, and let go of together."""

    def __init__(self) -> None:
        self._cached: list[DataFrame] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def keep(self, frame: DataFrame) -> DataFrame:
        """The same rows, computed once. A file is of this machine, and only its owner may look into its folder."""
        if engines.of(frame.sparkSession).caches:
            self._cached.append(frame.persist())
            return frame
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="rfm_spark-")
        self._files += 1
        path = str(Path(self._folder.name) / str(self._files))
        frame.write.parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)

    def release(self) -> None:
        """Let go of all: a later run of the session would read it in place of files that have changed."""
        while self._cached:
            self._cached.pop().unpersist()
        if self._folder:
            self._folder.cleanup()
            self._folder = None

"""Frames that a run uses more than once, on an engine without a cache: each as a file, until the run ends."""

import tempfile
from pathlib import Path

from pyspark.sql import DataFrame


class Scratch:
    """A temporary folder on this machine, made when it is first needed; only its owner may look into it."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def keep(self, frame: DataFrame) -> DataFrame:
        """The same rows, from a file."""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="rfm_spark-")
        self._files += 1
        path = str(Path(self._folder.name) / str(self._files))
        frame.write.parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)

    def release(self) -> None:
        """Remove the folder with all that it holds."""
        if self._folder:
            self._folder.cleanup()
            self._folder = None

"""The files of a source as they are now, before any is read: what tells a new or a changed one from one read before."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from rfm_spark import engines
from rfm_spark.config.source import Source
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.sources.columns import fixed_part, options_of, which_files
from rfm_spark.sources.files import as_in_rows, files
from rfm_spark.sources.text_files import located

FORMATS = ("csv", "json", "parquet")
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Listed:
    """A file: its address as its rows carry it (`source_file`), its size, when it was last written since 1970."""

    path: str
    bytes: int
    modified_ms: int

    @property
    def modified_at(self) -> datetime:
        """When it was last written."""
        return _START + timedelta(milliseconds=self.modified_ms)


def list_files(spark: SparkSession, source: Source) -> list[Listed]:
    """The files of a source that hold anything, by their addresses; none where nothing is there.

    Reads: no content. What is empty is taken for a file that is not there (yet). Times are whole milliseconds.
    """
    found = _by_spark(spark, source) if engines.of(spark).file_metadata else _by_python(spark, source)
    return sorted((one for one in found if one.bytes), key=lambda one: one.path)


def hashes(listed: Sequence[Listed]) -> dict[str, str]:
    """SHA-256 of the content of each file on this machine, by its address.

    One that is elsewhere has none, since it would have to be fetched whole: its size and time are all that tells.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = zip(listed, pool.map(_hash, listed), strict=True)
        return {one.path: value for one, value in found if value is not None}


def may_be_empty(source: Source) -> bool:
    """Whether it is no fault that nothing is there: a folder that exists, or a pattern in one."""
    fixed = fixed_part(source.path)
    return Path(without_scheme(fixed)).is_dir() or (is_elsewhere(fixed) and fixed != source.path)


def _by_spark(spark: SparkSession, source: Source) -> list[Listed]:
    """As Spark lists them, with its options and on every kind of storage. One job, which opens no file."""
    try:
        frame = spark.read.format("binaryFile").options(**which_files(source)).load(str(source.path))
        at = F.unix_micros("_metadata.file_modification_time")
        rows = frame.select("_metadata.file_path", "_metadata.file_size", at).collect()
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error):
            return []
        raise
    return [Listed(path, size, micros // 1000) for path, size, micros in rows]


def _by_python(spark: SparkSession, source: Source) -> list[Listed]:
    found = []
    for address in files(spark, str(source.path), options_of(source)):
        system, path = located(address)
        info = system.get_file_info(path)
        found.append(Listed(as_in_rows(address), info.size, info.mtime_ns // 1_000_000))
    return found


def _hash(listed: Listed) -> str | None:
    url = urlparse(listed.path)
    if url.scheme != "file":
        return None
    try:
        with Path(unquote(url.path)).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # on a server's machine, not on this one
        return None

"""What the engine raises, as the cause that a user can act on."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import delta.exceptions  # noqa: F401 - makes Delta's conflicts Python classes on a classic session
from pyspark.errors import PySparkException

from rfm_spark.errors import ConflictError, EnvironmentFault, InputError, RfmSparkError

_CONFLICTS = (
    "CONCURRENT",
    "PROTOCOL_CHANGED",
    "METADATA_CHANGED",
    "TRANSACTION_VERSION",
    "ConcurrentModification",
    "TABLE_OR_VIEW_ALREADY_EXISTS",
    "Failed to commit transaction",
    "Metadata changed since last commit",
    "FAILED_TO_MERGE_FIELDS",
    # frames have the table's columns, unless it has just got more
    "Schema mismatch between new and old data",
    "Cannot cast schema, number of fields does not match",
)
_OTHER_FEATURES = "Unsupported table features required"
_NOT_KEPT = "|".join(  # of a data file, and of a commit, as Spark and as Sail say it
    (
        "FileNotFound",
        r"\b[Ff]ile\b.* does not exist",
        "Object at location .* not found",
        "Cannot time travel Delta table",
        "Missing commit file",
    )
)
_OF_A_RUN = r"blockmgr-|shuffle_\d|/rfm_spark-"  # what an engine or a run has put aside for itself
_DAMAGED = f"{_NOT_KEPT}|TableNotFoundError|Invalid JSON in log record"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the engine raises into the cause that a user can act on; a bug stays what it is."""
    try:
        yield
    except RfmSparkError:
        raise
    except Exception as error:
        fault = cause(error, what)
        if fault is None:
            raise
        raise fault from None


def cause(error: Exception, what: str) -> RfmSparkError | None:
    """The cause behind an exception of the engine, or None where it is not one that a user can mend."""
    text = f"{type(error).__name__} {error}"
    if any(word in text for word in _CONFLICTS):
        return ConflictError(
            f"another writer changed {what} at the same time; nothing of this write was kept: run again"
        )
    if _OTHER_FEATURES in text:
        return InputError(
            f"{what}: the table has a feature of Delta that engine sail does not write, such as the change data feed; "
            "it can be read so, and written by --engine spark"
        )
    for words, advice in _ENVIRONMENT.items():
        if any(word in text for word in words):
            return EnvironmentFault(f"{what}: {advice}")
    if isinstance(error, ConnectionError | OSError) and not isinstance(error, PySparkException):
        return EnvironmentFault(f"{what}: the connection to Spark or its storage broke; see its log, then run again")
    return None


def damaged(error: Exception) -> EnvironmentFault | None:
    """The cause behind an exception of the engine where files that belong to the newest tables are not as they were."""
    told = f"{type(error).__name__} {error}"
    if isinstance(error, OSError) or re.search(_OF_A_RUN, told) or not re.search(_DAMAGED, told):
        return None
    return EnvironmentFault(
        "files of a Delta table are gone or damaged: run again, or where that says the same, put them back or take "
        "another lake"
    )


@contextmanager
def where_files_are_gone(message: str) -> Iterator[None]:
    """Raise InputError with the message where a file of what is read at a version has been vacuumed."""
    try:
        yield
    except Exception as error:
        if not re.search(_NOT_KEPT, str(error)):
            raise
        raise InputError(f"{message} (maintenance.retention_hours)") from None


_ENVIRONMENT: Mapping[tuple[str, ...], str] = {
    ("No space left on device", "Disk quota exceeded"): "the disk is full; free space and run again",
    (
        "Permission denied",
        "AccessDenied",
        "AccessControlException",
        "Read-only file system",
        "Mkdirs failed",
        "Operation not permitted",
        "Unable to create directory",
        "mkdir of ",
    ): "no right to write there; mend the rights and run again",
    ("CANNOT_CREATE_LOG_PATH", "ParentNotDirectoryException", "Not a directory", "Could not create local directory"): (
        "no folder can be made there; mend the path or its rights and run again"
    ),
    ("OutOfMemoryError", "Java heap space", "GC overhead limit"): (
        "out of memory; give the driver or executors more (RFM_SPARK_DRIVER_MEMORY, or spark-submit's --driver-memory "
        "and --executor-memory) and run again"
    ),
    (
        "Connection refused",
        "UnknownHostException",
        "Py4JNetworkError",
        "UNAVAILABLE",
        "SparkContext was shut down",
        "stopped SparkContext",
        "ExecutorLostFailure",
    ): "the cluster or its storage failed; see the driver's log, mend it and run again",
}

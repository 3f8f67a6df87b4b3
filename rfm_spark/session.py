"""Builds a SparkSession, or checks the one that a platform gives; classic, Spark Connect and Sail.

The only module that knows how a local JVM or a local Sail server is started. Everything above it takes a session and
asks nothing of it that Spark Connect does not have.
"""

import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from rfm_spark import engines
from rfm_spark.errors import EnvironmentFault
from rfm_spark.java import SUPPORTED, find_java

# What the SQL of the steps means depends on these; `settings` holds them for the length of a run on any session.
SEMANTICS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",  # a row never aborts a job: what does not cast is null
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",  # a time that does not fit its format is null, never guessed
    "spark.sql.caseSensitive": "false",
}
# windows-1252, in which half of Europe's spreadsheets are exported; set where the platform lets it, missed only by a
# source that needs it
JAVA_CHARSETS = "spark.sql.legacy.javaCharsets"
# else every call that makes a column looks through the stack for the line that made it, a quarter of a short job
_NO_CALL_SITES = {"spark.python.sql.dataFrameDebugging.enabled": "false"}

_EXTENSIONS = "spark.sql.extensions"
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_DELTA_CATALOG = {"spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog"}
_SNAPSHOT_PARTITIONS = "spark.databricks.delta.snapshotPartitions"

# Any of these means that somebody else chose the master and the memory; only what is missing is added then.
_SUBMITTED = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "MASTER")

# Lines that every JVM start writes by itself, whatever the log level.
_HARMLESS = ("WARNING: Using incubator modules", "Picked up JAVA_TOOL_OPTIONS", "Picked up _JAVA_OPTIONS")

# From so many partitions on Sail groups what is partitioned by some of the columns without a shuffle of its own.
_SPARED_FROM = 4

_servers: list[Any] = []

_NAMED = {"spark.app.name": "rfm_spark"}
_NO_DELTA = ("DATA_SOURCE_NOT_FOUND", "Cannot find catalog plugin", "DELTA_CONFIGURE_SPARK_SESSION", "ClassNotFound")


def build(
    *,
    engine: str = "spark",
    small: bool = True,
    catalog: bool = False,
    conf: Mapping[str, str] | None = None,
) -> SparkSession:
    """The session of the command and of the jobs.

    Connects to `SPARK_REMOTE` where that is set, takes the active session where there is one, completes what
    spark-submit configured, and otherwise starts a JVM of its own with `local[*]`, or with the engine `sail` a server
    within this process.

    Args:
        engine: `spark` or `sail`; the arguments below are for Spark alone.
        small: the input is at most a few million rows: start fast (first compiler tier, serial collector, two shuffle
            partitions). Otherwise the JVM compiles fully and shuffles wide, and Spark joins what is small.
        catalog: a local session keeps its tables in a persistent catalog, under the warehouse folder.
        conf: further Spark settings of a local or submitted session; they win.

    Raises:
        EnvironmentFault: no usable Java, a JVM that does not start, or a session that `adopt` refuses.
    """
    if os.environ.get("SPARK_REMOTE"):
        spark = _connect(os.environ["SPARK_REMOTE"])
        found = engines.of(spark)
        local = urlsplit(os.environ["SPARK_REMOTE"].split(";")[0]).hostname in (None, "localhost", "127.0.0.1", "::1")
        if found.name == "sail" and not local:
            raise EnvironmentFault(f"SPARK_REMOTE answers as {found} on another machine, expected one on this machine")
        if engine not in ("spark", found.name):
            raise EnvironmentFault(f"SPARK_REMOTE answers as {found}, expected {engine}: unset it, or change --engine")
    elif engine == "sail":
        spark = _sail()
    elif active := SparkSession.getActiveSession():
        spark = active
    elif any(name in os.environ for name in _SUBMITTED):
        spark = _submitted(_NAMED, small, conf or {})
    else:
        spark = _local(_NAMED | _local_settings(small, catalog, conf or {}))
    adopt(spark)
    _quiet_python_log()
    return spark


def adopt(spark: SparkSession) -> None:
    """Checks that a session given by a platform can run the jobs: Spark 4 or later, and Delta usable.

    Raises:
        EnvironmentFault: it cannot; the message says what was found and what to do.
    """
    version = spark.version
    if int(version.split(".")[0]) < 4:
        raise EnvironmentFault(f"Spark {version} found, 4.0 or later expected: choose a newer runtime.")
    if engines.of(spark).name != "spark":
        return  # Delta is built in
    try:
        # Nothing is there, so a usable Delta answers that nothing is there, without a job.
        _ = spark.read.format("delta").load("/nonexistent/rfm_spark").schema
    except Exception as error:  # the class differs between classic, Connect and hosted Spark
        if any(sign in str(error) for sign in _NO_DELTA):
            raise EnvironmentFault(
                f"Spark {version} without Delta Lake found: submit with the two Delta jars (--jars) or --packages, "
                f"and with {_EXTENSIONS}={_DELTA_EXTENSION}."
            ) from None


def on_one_machine(spark: SparkSession) -> bool:
    """Whether the driver is the only executor, so that what an executor holds is not lost without it."""
    return (_current(spark, "spark.master") or "").split("[")[0] == "local"


@contextmanager
def settings(spark: SparkSession) -> Iterator[None]:
    """Holds `SEMANTICS` on this session for the length of the block, and puts back what was there.

    Also what helps and is not needed, where the platform lets it be set.

    Raises:
        EnvironmentFault: the platform does not let one of `SEMANTICS` be changed.
    """
    wanted = SEMANTICS | {JAVA_CHARSETS: "true"}
    if _current(spark, _SNAPSHOT_PARTITIONS) is None:
        wanted[_SNAPSHOT_PARTITIONS] = "8"  # Delta's 50 tasks a table state are for far larger tables
    before: dict[str, str | None] = {}
    _quiet_python_log()
    try:
        for key, value in wanted.items():
            if (_current(spark, key) or "").lower() != value.lower():
                was = spark.conf.get(key, None)
                if _set(spark, key, value):
                    before[key] = was
        yield
    finally:
        for key, earlier in before.items():
            if earlier is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, earlier)


def _quiet_python_log() -> None:
    """Keep PySpark from logging, with a Java stack trace, each error that is about to be told in a line."""
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def _current(spark: SparkSession, key: str) -> str | None:
    try:
        return spark.conf.get(key)
    except Exception:  # an engine that does not know the key has no value for it
        return None


def _set(spark: SparkSession, key: str, value: str) -> bool:
    try:
        spark.conf.set(key, value)
    except Exception:  # the class differs between engines
        if key in SEMANTICS:
            raise EnvironmentFault(
                f"{key} is {_current(spark, key)}, expected {value}, and this platform does not let a job set it: "
                "set it where the session is configured."
            ) from None
        return False
    return True


def _connect(url: str, whom: str = "SPARK_REMOTE") -> SparkSession:
    try:
        # The client itself would try again for many minutes before it gives up.
        address = urlsplit(url.split(";")[0])
        socket.create_connection((address.hostname or "localhost", address.port or 15002), timeout=10).close()
        return SparkSession.builder.remote(url).create()
    except ImportError as error:
        raise EnvironmentFault(
            f"{whom} is asked for, and Spark Connect's client is not usable: {_first_line(error)}: "
            "pip install 'rfm-spark[connect]'"
        ) from None
    except Exception as error:  # gRPC's own classes, which the core does not import
        raise EnvironmentFault(f"Spark Connect does not answer at {whom}: {_first_line(error)}") from None


def _sail() -> SparkSession:
    """Starts a Sail server within this process, and connects to it; it ends with the process."""
    os.environ.setdefault("RUST_LOG", "error")  # it would log each start
    if (os.cpu_count() or 2) < _SPARED_FROM:
        os.environ.setdefault("SAIL_EXECUTION__DEFAULT_PARALLELISM", str(_SPARED_FROM))
    try:
        from pysail.spark import SparkConnectServer
    except ImportError:
        raise EnvironmentFault.not_installed("pysail", "--engine sail", "sail") from None
    try:
        if not _servers:
            _servers.append(SparkConnectServer())  # it would end with its last reference
            _servers[0].start(background=True)
        host, port = _servers[0].listening_address
    except Exception as error:  # of a native library
        raise EnvironmentFault(f"Sail did not start: {_first_line(error)}") from None
    spark = _connect(f"sc://{host}:{port}", "Sail")
    for key, value in _NO_CALL_SITES.items():
        spark.conf.set(key, value)
    return spark


def _submitted(names: dict[str, str], small: bool, conf: Mapping[str, str]) -> SparkSession:
    """Completes what spark-submit configured: Delta, and on one machine the sizes that suit it."""

    def complete(submitted: SparkConf) -> SparkConf:
        on_one_machine = submitted.get("spark.master", "").startswith("local")
        for key, value in (names | _DELTA_CATALOG | _NO_CALL_SITES | (_sizes(small) if on_one_machine else {})).items():
            submitted.setIfMissing(key, value)
        extensions = [name for name in submitted.get(_EXTENSIONS, "").split(",") if name]
        if _DELTA_EXTENSION not in extensions:
            submitted.set(_EXTENSIONS, ",".join([*extensions, _DELTA_EXTENSION]))
        return submitted.setAll(list(conf.items()))

    try:
        gateway = launch_gateway()
        return _session(gateway, complete(SparkConf(True, gateway.jvm)))
    except Exception as error:  # Py4J and PySpark share no base class
        raise EnvironmentFault(f"Spark did not start: {_first_line(error)}") from None


def _local(conf: dict[str, str]) -> SparkSession:
    """Starts a JVM on this machine. What it writes while starting is kept back, to explain a start that fails."""
    java = find_java()
    expected = f"Java {' or '.join(map(str, SUPPORTED))} expected"
    if java is None:
        raise EnvironmentFault(f"No Java found, {expected}: set JAVA_HOME, or run scripts/setup, which installs one.")
    if not java.supported:
        raise EnvironmentFault(f"{java} found, {expected}: set JAVA_HOME, or run scripts/setup, which installs one.")
    os.environ["JAVA_HOME"] = str(java.path)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # works whatever the machine's name resolves to
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else Python workers take the system's interpreter

    reading, writing = os.pipe()
    errors = _Errors(os.fdopen(reading, errors="replace"))
    try:
        gateway = launch_gateway(SparkConf(loadDefaults=False).setAll(list(conf.items())), {"stderr": writing})
        spark = _session(gateway, SparkConf(True, gateway.jvm))
    except Exception as error:  # Py4J and PySpark share no base class
        raise EnvironmentFault(f"Spark did not start on {java}: {errors.reason() or _first_line(error)}") from None
    finally:
        os.close(writing)  # the JVM has its own copy
    errors.started.set()
    return spark


def _session(gateway: object, conf: SparkConf) -> SparkSession:
    # The builder cannot be given a gateway, so the context is made here; no other module touches it.
    SparkContext(conf=conf, gateway=gateway)
    return SparkSession.builder.getOrCreate()


def _local_settings(small: bool, catalog: bool, conf: Mapping[str, str]) -> dict[str, str]:
    # judging a row is one long generated method, which the JVM would otherwise interpret for ever
    # nor throw compiled code away, as it would with the small code cache of the first compiler tier
    java_options = ["-XX:-DontCompileHugeMethods", "-XX:ReservedCodeCacheSize=256m"]
    java_options += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if small else []
    log_config = Path(__file__).with_name("log4j2.properties")
    if log_config.exists():  # it does not where the package is imported from a zip
        java_options.append(f"-Dlog4j2.configurationFile={log_config.as_uri()}")
    ours = {
        "spark.master": "local[*]",
        "spark.driver.memory": os.environ.get("RFM_SPARK_DRIVER_MEMORY") or _driver_memory(small),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ui.explainMode": "simple",  # plans are rendered at every execution, shown or not
        _EXTENSIONS: _DELTA_EXTENSION,
    }
    if catalog:
        warehouse = Path(conf.get("spark.sql.warehouse.dir", "spark-warehouse")).absolute()
        metastore = f"jdbc:derby:;databaseName={warehouse}/metastore;create=true"
        java_options.append(f"-Dderby.system.home={warehouse}")
        ours |= {
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.warehouse.dir": str(warehouse),
            "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
        }
    ours["spark.driver.extraJavaOptions"] = " ".join(java_options)
    return ours | _sizes(small) | _DELTA_CATALOG | _NO_CALL_SITES | SEMANTICS | {JAVA_CHARSETS: "true"} | dict(conf)


def _sizes(small: bool) -> dict[str, str]:
    """Numbers of tasks for one machine; Spark's own are for a cluster."""
    cores = os.cpu_count() or 2
    return {
        # Wide where data is large: adaptive execution joins small partitions, but does not split most large ones.
        "spark.sql.shuffle.partitions": "2" if small else str(max(16, 4 * cores)),
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(cores),  # or a vacuum runs 10,000 tasks
        _SNAPSHOT_PARTITIONS: "2",
    }


def _driver_memory(small: bool) -> str:
    """Half of what this machine, or this container, has; at most what the work can use."""
    half_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        half_mb = min(half_mb, int(limit) // 2**21)
    except (OSError, ValueError):  # no container, or one without a limit
        pass
    return f"{max(1024, min(half_mb, 3072 if small else 12288))}m"


def _first_line(error: BaseException) -> str:
    """What a Java or gRPC error says, without its stack trace."""
    if isinstance(error, PySparkException):
        text = str(error)
    else:
        text = str(getattr(error, "java_exception", None) or error)
    return next((line for line in text.splitlines() if line.strip()), type(error).__name__)


class _Errors:
    """The JVM's standard error: kept back until it has started, then passed on but for the harmless lines."""

    def __init__(self, stream: IO[str]) -> None:
        self.started = threading.Event()
        self._kept: deque[str] = deque(maxlen=200)
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True, name="jvm-stderr")
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            if line.startswith(_HARMLESS):
                continue
            if self.started.is_set():
                sys.stderr.write(line)
            else:
                self._kept.append(line.strip())

    def reason(self) -> str:
        """The line that says why the JVM ended; empty where it said nothing."""
        self._thread.join(timeout=1)
        lines = [line for line in self._kept if line and not line.startswith("at ")]
        telling = [line for line in lines if "Exception" in line or "Error" in line or "Invalid" in line]
        return (telling or lines or [""])[0]

"""The engines that run the jobs, and what one of them cannot do; `session` starts them, and all else asks here.

Steps and pipelines are the same on every engine. Where a module has two ways, it asks for the ability, not the name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from weakref import WeakKeyDictionary

from pyspark.sql import SparkSession

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.paths import is_elsewhere


@dataclass(frozen=True)
class Engine:
    """One engine and its abilities."""

    name: str
    version: str
    sketches: bool
    """Quantiles of many values by `approxQuantile`; without, all values are gathered and sorted."""
    file_metadata: bool
    """Readers keep the rows they cannot parse, and tell the file of each row; without, Python parses text."""
    exact_text: bool
    """Numbers turn into text, JSON and decimals by their digits, and text into them; without, in more steps."""
    delta_sql: bool
    """Delta's history, transaction marks and schema evolution; without, the `deltalake` package commits and reads."""
    caches: bool
    """`persist` keeps a frame, and a plan its shared parts; without, what is used again goes to a file."""
    lazy_branches: bool
    """A branch of `when` is computed where it is taken; without, everywhere."""
    small_windows: bool
    """Windows over millions of groups of one row; without, only the groups of several rows go through a window."""
    compiles: bool
    """Plans are compiled when they run, so a new session pays for each of several; without, a plan costs nothing."""
    java_drivers: bool
    """Databases are read and written by their JDBC drivers, in parallel; without, PostgreSQL alone, by Python's."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


NAMES = ("spark", "sail")
ONLY_SPARK = "needs --engine spark, found sail"
# any other character of a folder Sail 0.7 escapes, once or twice: rows and log would lie in folders beside it
_ESCAPED = re.compile(r"[^\w\-./!$&'()+,;=:@]", re.ASCII)
_of_session: WeakKeyDictionary[SparkSession, Engine] = WeakKeyDictionary()


def spark(version: str) -> Engine:
    """Apache Spark, and whatever else answers as it does."""
    return Engine("spark", version, *[True] * 9)


def sail(version: str) -> Engine:
    """Sail, a native engine behind Spark Connect."""
    return Engine("sail", version, *[False] * 9)


def of(session: SparkSession) -> Engine:
    """The engine behind a session; asked once a session, and only where Spark Connect leaves it open."""
    if not is_connect(session):
        return spark(session.version)
    if session not in _of_session:
        _of_session[session] = _ask(session)
    return _of_session[session]


def is_connect(session: SparkSession) -> bool:
    """Whether it is a client of Spark Connect, and not a classic session with a JVM."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def _ask(session: SparkSession) -> Engine:
    claimed = session.version
    # Sail claims the version of the client, and tells its own here; Spark tells its version and its commit
    own = str(session.sql("SELECT version()").collect()[0][0])
    return spark(claimed) if own.split()[0] == claimed or " " in own else sail(own)


def require(engine: str, config: ProjectConfig, *, writes: bool = False) -> None:
    """Check that an engine can run a project, or only read its tables. Raises: ConfigError with all that it cannot."""
    if engine not in NAMES:
        raise ConfigError(f"--engine: found {engine}, expected {' or '.join(NAMES)}")
    if engine == "spark":
        return
    faults = [fault for source in config.sources for fault in _of_source(source)]
    if config.lake.catalog:
        faults.append(Fault("lake.catalog", f"a catalog {ONLY_SPARK}; or give lake.path"))
    path = config.lake.path or ""
    if (escaped := _ESCAPED.search(path)) and not is_elsewhere(path):
        faults.append(Fault("lake.path", f"{escaped[0]!r} in {path} {ONLY_SPARK}; or give a folder without it"))
    if config.lake.change_data_feed and writes:
        faults.append(Fault("lake.change_data_feed", f"writing it {ONLY_SPARK}, which can read such tables"))
    if faults:
        raise ConfigError(faults)


def _of_source(source: Source) -> Iterator[Fault]:
    """What of a source only Spark can read."""
    path = f"sources.{source.name}"
    if source.format == "table":
        yield Fault(f"{path}.format", f"table {ONLY_SPARK}")
    if source.format != "jdbc":
        return
    address, _, parameters = str(source.url).partition("?")
    if not address.startswith("jdbc:postgresql:"):
        yield Fault(f"{path}.url", f"another database than jdbc:postgresql {ONLY_SPARK}")
    others = [part.split("=")[0] for part in parameters.split("&") if part and not part.startswith("sslmode=")]
    if others:
        yield Fault(f"{path}.url", f"{', '.join(others)} in it {ONLY_SPARK}")
    yield from (
        Fault(f"{path}.options.{name}", f"this option {ONLY_SPARK}")
        for name in source.options
        if name.lower() != "fetchsize"
    )
    if source.partition is not None and isinstance(source.partition.lower, date):
        yield Fault(f"{path}.partition.lower", f"ranges of dates {ONLY_SPARK}; or partition by a whole number")

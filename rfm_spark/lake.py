"""The lake: the only code that knows Delta.

Each write is one commit that carries the run id as its user metadata. Snapshot tables are replaced a slice at a time
(`replaceWhere`, and the frame filtered to the same slice); `events` is appended once per base version, so that of two
ingests that began at the same version only one gets in. A run whose first slice another run has replaced stops before
its next write, so of two runs on one slice one wins. A dry lake writes nothing and hands the frames on.
"""

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice, takewhile
from operator import itemgetter

import delta.exceptions  # noqa: F401 - makes Delta's conflicts Python classes on a classic session
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from rfm_spark.config.models import Lake as LakeConfig
from rfm_spark.errors import ConflictError, EnvironmentFault, RfmSparkError, SchemaMismatch
from rfm_spark.local import local_frame
from rfm_spark.schemas import TableSpec

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_TXN_APP, _TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
_MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "REORG", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES")
_MORE_THAN_A_RUN_LIVES_THROUGH = 1000  # commits of others
_PERSONAL = {"customer_key", "source_customer_id", "event_id", "order_id", "record"}
_CONFLICTS = (
    "CONCURRENT",
    "PROTOCOL_CHANGED",
    "METADATA_CHANGED",
    "TRANSACTION_VERSION",
    "ConcurrentModification",
    "TABLE_OR_VIEW_ALREADY_EXISTS",
)
_NO_TABLE = ("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND")


@dataclass(frozen=True)
class Written:
    """What a write left: the frame to go on with, its rows, and the version (None in a dry lake)."""

    frame: DataFrame
    rows: int
    version: int | None


@dataclass(frozen=True)
class _Commit:
    """One write of this run; `slice_` is the predicate it replaced, None for all of the table or an append."""

    version: int
    slice_: str | None


class Lake:
    """The tables of one project, at a path or in a catalog, as one run sees and writes them."""

    def __init__(self, spark: SparkSession, config: LakeConfig, run_id: str = "", *, dry: bool = False) -> None:
        self.spark, self.run_id, self.dry = spark, run_id, dry
        self._config = config
        self._known: set[str] = set()
        self._cached: list[DataFrame] = []
        self._used: dict[str, int] = {}
        self._commits: dict[str, _Commit] = {}

    # --- reading ---

    @property
    def place(self) -> str:
        """Where the lake is, for messages."""
        return self._config.path or f"{self._config.catalog}.{self._config.schema_}"

    def identifier(self, table: str) -> str:
        """The table as SQL names it."""
        if self._config.path:
            return f"delta.`{self._config.path.rstrip('/')}/{table}`"
        return f"`{self._config.catalog}`.`{self._config.schema_}`.`{table}`"

    def exists(self, table: str) -> bool:
        """Whether the table is there."""
        if table not in self._known:
            with translated(f"{table} at {self.place}"):
                try:
                    self._table(table).schema  # noqa: B018 - asks the lake
                except AnalysisException as error:
                    if any(word in str(error) for word in _NO_TABLE) or "is not a Delta table" in str(error):
                        return False
                    raise
            self._known.add(table)
        return True

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table, at a version or as it is now."""
        if version is None:
            return self._table(table)
        if self._config.path:
            return self.spark.read.format("delta").option("versionAsOf", version).load(self._path(table))
        return self.spark.sql(f"SELECT * FROM {self.identifier(table)} VERSION AS OF {version}")

    def version(self, table: str) -> int | None:
        """The newest version, or None where there is no table."""
        return self._history(table, 1)[0]["version"] if self.exists(table) else None

    def replaced_last(self, table: str, version: int, since: int, known: Container[str]) -> dict[date, int]:
        """Snapshots that a run other than the `known` has replaced between two versions: the version of the last time.

        Commits that the log no longer holds are not seen.
        """
        found: dict[date, int] = {}
        for row in self._since(table, since):
            day = _equalities((row["operationParameters"] or {}).get("predicate")).get("snapshot_date")
            if row["version"] <= version and row["userMetadata"] not in known and day and _is_overwrite(row):
                found.setdefault(date.fromisoformat(day), row["version"])
        return found

    def use(self, table: str, version: int | None = None) -> DataFrame:
        """The table at a version, or as it is now, for a run to work on: what its readers are to see as well.

        A run that died may have left rows that this one need not write again, but that no complete run published.
        """
        self._used[table] = self._history(table, 1)[0]["version"] if version is None else version
        return self.read(table, self._used[table])

    # --- writing ---

    def replace(self, spec: TableSpec, frame: DataFrame, slice_: Mapping[str, date] | None = None) -> Written:
        """Replace one slice (all of the table without one) in one commit.

        The frame is filtered to the slice as well, since not every engine rejects a row outside of it.
        """
        frame = self._conformed(spec, frame)
        predicate = " AND ".join(f"{name} = DATE'{value.isoformat()}'" for name, value in (slice_ or {}).items())
        if predicate:
            frame = frame.filter(predicate)
        if self.dry:
            return self._kept(frame)
        if first := next((table for table, commit in self._commits.items() if commit.slice_), None):
            self._check_own(first)
        options = {"replaceWhere": predicate} if predicate else {"overwriteSchema": "true"}
        self._write(spec, frame, "overwrite", options)
        return self._committed(spec.name, predicate or None)

    def append_once(self, spec: TableSpec, frame: DataFrame, base: int | None) -> Written:
        """Append what was decided against version `base` (None: there was no table).

        Raises: ConflictError where another run changed the table since.
        """
        frame = self._conformed(spec, frame)
        if self.dry:
            return self._kept(frame)
        self._check_unchanged(spec.name, base)
        app, version = _once(spec.name, base)
        self._write(spec, frame, "append", {"txnAppId": app, "txnVersion": version})
        return self._committed(spec.name, None)

    def append(self, spec: TableSpec, frame: DataFrame) -> Written:
        """Append rows that no other run can write, such as a row of `runs`."""
        frame = self._conformed(spec, frame)
        if self.dry:
            return self._kept(frame)
        self._write(spec, frame, "append", {})
        return self._committed(spec.name, None)

    def merge(self, spec: TableSpec, changes: DataFrame, clauses: str, base: int | None = None) -> Written:
        """One MERGE of `changes` (alias s) into the table (alias t) on its key; `clauses` are the WHEN parts.

        With `base`, the version that the changes were decided against, it is refused as `append_once` would be.
        """
        if self.dry:
            return self._kept(changes)
        settings = {_USER_METADATA: self.run_id}
        if base is not None:
            self._check_unchanged(spec.name, base)
            settings |= dict(zip((_TXN_APP, _TXN_VERSION), _once(spec.name, base), strict=True))
        on = " AND ".join(f"t.`{name}` = s.`{name}`" for name in spec.key)
        into = "MERGE WITH SCHEMA EVOLUTION INTO" if "INSERT *" in clauses else "MERGE INTO"
        view = "changes_" + re.sub(r"\W", "_", self.run_id)
        with translated(f"{spec.name} at {self.place}"), self._set(settings):
            changes.createOrReplaceTempView(view)
            try:
                self.spark.sql(f"{into} {self.identifier(spec.name)} t USING {view} s ON {on} {clauses}").collect()
            finally:
                self.spark.catalog.dropTempView(view)
        return self._committed(spec.name, None, or_none=base is None)

    def complete_columns(self, spec: TableSpec, frame: DataFrame) -> DataFrame:
        """The conformed frame, with the table's further columns as null, for a MERGE of whole rows."""
        frame = self._conformed(spec, frame)
        present = {name.lower() for name in frame.columns}
        missing = [field for field in self._table(spec.name).schema if field.name.lower() not in present]
        return (
            frame.withColumns({field.name: F.lit(None).cast(field.dataType) for field in missing}) if missing else frame
        )

    def create(self, spec: TableSpec) -> None:
        """Make the table where it is missing, so that every run leaves every table readable."""
        if not self.dry and not self.exists(spec.name):
            empty = local_frame(self.spark, [], spec.types())
            self.append(spec, empty)

    def define_view(self, name: str, table: str, version: int, condition: str) -> None:
        """Make or replace a view of the catalog: some rows of a table at a version."""
        with translated(f"view {name} in {self.place}"):
            self.spark.sql(
                f"CREATE OR REPLACE VIEW {self.identifier(name)} AS "
                f"SELECT * FROM {self.identifier(table)} VERSION AS OF {version} WHERE {condition}"
            )

    def verify(self) -> None:
        """Check that no other run has replaced a slice that this run wrote.

        Raises: ConflictError; the other run is the one that readers will see.
        """
        for table in self._commits:
            self._check_own(table)

    def versions(self) -> dict[str, int]:
        """The version of each table that this run used or, where it wrote, left."""
        return self._used | {table: commit.version for table, commit in self._commits.items()}

    def release(self) -> None:
        """Let go of the frames that a dry lake has handed on."""
        while self._cached:
            self._cached.pop().unpersist()

    # --- inside ---

    def _kept(self, frame: DataFrame) -> Written:
        self._cached.append(frame.persist())
        return Written(frame, frame.count(), None)

    def _check_own(self, table: str) -> None:
        mine = self._commits[table]
        for row in self._since(table, mine.version):
            if row["userMetadata"] != self.run_id and _overwrote(row, mine.slice_):
                raise ConflictError(
                    f"another run replaced the same slice of {table} in {self.place} while this one was working; "
                    "its result stands, this one is not published: run again if it should be"
                )

    def _check_unchanged(self, table: str, base: int | None) -> None:
        if not self.exists(table):
            return
        for row in self._since(table, -1 if base is None else base):
            if row["userMetadata"] != self.run_id and row["operation"] not in _MAINTENANCE:
                raise _overtaken(table, self.place)

    def _since(self, table: str, version: int) -> Iterator[Row]:
        """Commits after a version, newest first."""
        return takewhile(lambda row: row["version"] > version, self._newest_first(table))

    def _newest_first(self, table: str) -> Iterator[Row]:
        """Commits, newest first; a few are asked for before all, since each is a file to read."""
        limit, seen = 20, 0
        while len(rows := self._history(table, limit)) == limit:
            yield from rows[seen:]
            limit, seen = 10 * limit, limit
        yield from rows[seen:]

    def _path(self, table: str) -> str:
        return f"{str(self._config.path).rstrip('/')}/{table}"

    def _table(self, table: str) -> DataFrame:
        if self._config.path:
            return self.spark.read.format("delta").load(self._path(table))
        return self.spark.table(self.identifier(table))

    def _history(self, table: str, limit: int) -> list[Row]:
        with translated(f"{table} at {self.place}"):
            history = self.spark.sql(f"DESCRIBE HISTORY {self.identifier(table)} LIMIT {limit}").collect()
        return sorted(history, key=itemgetter("version"), reverse=True)

    def _committed(self, table: str, predicate: str | None, *, or_none: bool = False) -> Written:
        """Our newest commit on the table; a write that Delta skipped as already done has none.

        With `or_none` neither has one that found nothing to do: the table stays as it is.
        """
        for row in islice(self._newest_first(table), _MORE_THAN_A_RUN_LIVES_THROUGH):
            if row["userMetadata"] == self.run_id:
                self._commits[table] = _Commit(row["version"], predicate)
                rows = int((row["operationMetrics"] or {}).get("numOutputRows", 0))
                return Written(self.read(table, row["version"]), rows, row["version"])
        if or_none:
            return Written(self.use(table), 0, None)
        raise _overtaken(table, self.place)

    def _write(self, spec: TableSpec, frame: DataFrame, mode: str, options: Mapping[str, str]) -> None:
        options = {"userMetadata": self.run_id, **options}
        with translated(f"{spec.name} at {self.place}"):
            there = self.exists(spec.name)
            if not there:
                shown = [c.name for c in spec.columns if c.name not in _PERSONAL and _has_statistics(c.type)]
                shown = [f"`{name}`" for name in shown if name not in spec.partitioned_by]
                options["delta.dataSkippingStatsColumns"] = ",".join(shown)
                self._make_schema()
            elif "overwriteSchema" not in options and set(frame.columns) - set(self._table(spec.name).columns):
                options["mergeSchema"] = "true"
            if there and self._config.catalog:
                self._write_into_catalog(spec, frame, mode, options)
            elif self._config.catalog:
                # an overwrite would replace what another run has just made, and a creation ignores the option
                with self._set({_USER_METADATA: self.run_id}):
                    writer = frame.write.format("delta").mode("append").options(**options)
                    writer.partitionBy(*spec.partitioned_by).saveAsTable(self.identifier(spec.name))
            else:
                writer = frame.write.format("delta").mode(mode).options(**options)
                writer.partitionBy(*spec.partitioned_by).save(self._path(spec.name))
        self._known.add(spec.name)

    def _write_into_catalog(self, spec: TableSpec, frame: DataFrame, mode: str, options: dict[str, str]) -> None:
        """Into a table that is there: `saveAsTable` would replace the catalog's entry at each overwrite."""
        predicate = options.pop("replaceWhere", None)
        writer = frame.writeTo(self.identifier(spec.name)).options(**options)
        if mode == "append":
            writer.append()
        else:
            writer.overwrite(F.expr(predicate) if predicate else F.lit(True))

    def _make_schema(self) -> None:
        if self._config.catalog:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{self._config.catalog}`.`{self._config.schema_}`")

    def _conformed(self, spec: TableSpec, frame: DataFrame) -> DataFrame:
        """The frame in declared order with the declared comments, once its columns and types are as declared."""
        actual = {field.name: field.dataType.simpleString() for field in frame.schema}
        declared = {column.name: column.type for column in spec.columns}
        faults = [f"no column {name}" for name in declared if name not in actual]
        faults += [f"undeclared column {name}" for name in actual if name not in declared]
        faults += [
            f"{name} is {actual[name]}, declared {type_}"
            for name, type_ in declared.items()
            if name in actual and actual[name] != type_
        ]
        if self.exists(spec.name) and spec.name != "customers":
            faults += self._type_changes(spec)
        if faults:
            raise SchemaMismatch(f"table {spec.name} in {self.place}: " + "; ".join(faults))
        return frame.select(
            *(F.col(f"`{c.name}`").alias(c.name, metadata={"comment": c.comment}) for c in spec.columns)
        )

    def _type_changes(self, spec: TableSpec) -> list[str]:
        there = {field.name: field.dataType.simpleString() for field in self._table(spec.name).schema}
        return [
            f"{c.name} was {there[c.name]} when the table was made, and is {c.type} now; give it another name"
            for c in spec.columns
            if c.name in there and there[c.name] != c.type
        ]

    @contextmanager
    def _set(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Hold settings for a commit made by SQL, which takes no options."""
        before = {key: self.spark.conf.get(key, None) for key in settings}
        try:
            for key, value in settings.items():
                self.spark.conf.set(key, value)
            yield
        finally:
            for key, was in before.items():
                if was is None:
                    self.spark.conf.unset(key)
                else:
                    self.spark.conf.set(key, was)


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
    for words, advice in _ENVIRONMENT.items():
        if any(word in text for word in words):
            return EnvironmentFault(f"{what}: {advice}")
    if isinstance(error, ConnectionError | OSError) and not isinstance(error, PySparkException):
        return EnvironmentFault(f"{what}: the connection to Spark or its storage broke; see its log, then run again")
    return None


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
    ("CANNOT_CREATE_LOG_PATH", "ParentNotDirectoryException"): (
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


def _once(table: str, base: int | None) -> tuple[str, str]:
    """Delta's mark of a write that may happen once: of two that race with the same mark, one commits."""
    return f"rfm_spark.{table}", str(0 if base is None else base + 1)


def _overtaken(table: str, place: str) -> ConflictError:
    return ConflictError(f"another run wrote {table} in {place} first; nothing of this one was kept: run again")


def _overwrote(row: Row, mine: str | None) -> bool:
    """Whether a commit replaced rows of my slice; the history spells a predicate in more than one way."""
    if not _is_overwrite(row):
        return False
    theirs, own = _equalities((row["operationParameters"] or {}).get("predicate")), _equalities(mine)
    return all(own[name] == theirs[name] for name in own.keys() & theirs.keys())


def _is_overwrite(row: Row) -> bool:
    return (row["operationParameters"] or {}).get("mode") == "Overwrite" or "REPLACE TABLE" in row["operation"]


def _equalities(predicate: str | None) -> dict[str, str]:
    """{column: date} of `column = DATE'2011-12-10'`, `(column = DATE '2011-12-10') AND …` and the like."""
    return dict(re.findall(r"(\w+)\W* = DATE ?'([\d-]+)'", predicate or ""))


def _has_statistics(type_: str) -> bool:
    return not type_.startswith(("array", "map", "struct"))

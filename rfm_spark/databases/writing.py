"""Rows of a frame into a table of a database: all of them or none, and the same however often it is done."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import engines
from rfm_spark.databases.connection import Database
from rfm_spark.databases.faults import translated
from rfm_spark.databases.reading import jdbc_options
from rfm_spark.errors import ConfigError, ConflictError, Fault, InputError
from rfm_spark.sql import quoted

_PART = r'(?:"(?:[^"]|"")+"|\w+)'
_TABLE = re.compile(rf"(?P<schema>{_PART}\.)?(?P<name>{_PART})")
_TYPES = {
    "string": "text",
    "boolean": "boolean",
    "smallint": "smallint",
    "int": "integer",
    "bigint": "bigint",
    "float": "real",
    "double": "double precision",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "timestamp_ntz": "timestamp",
}
_CONNECTIONS, _LOCK_SECONDS = 8, 3


def replace_rows(
    frame: DataFrame, database: Database, key: Sequence[str], where: Mapping[str, Any] | None = None
) -> int:
    """One row a row of the frame in the table, in place of the rows that meet `where`; the others stay as they are.

    Reads: `frame`, once; `key`, the columns that identify a row of it; `where`, values of columns that all rows of
        the frame share, such as {"campaign": "winback"}; without, all of the table is replaced.
    Returns: the number of rows written.
    Rules: what was there goes and what is new comes in one transaction, so that readers see the one or the other, a
        run that dies leaves the table as it was, and doing it again leaves it the same. A table that is not there is
        made, with `key` as its primary key. One that is there needs the frame's columns, and may have more, which get
        their defaults. On Spark the executors bring the rows in parallel to a table beside it, which is gone at the
        end; on Sail they come through this process, in the transaction.
    Raises: ConfigError for a name that is no table's or another database than PostgreSQL; InputError where the table
        lacks a column or has another type; ConflictError while another process does the same; what `translated`
        makes of the rest.
    """
    if not _TABLE.fullmatch(database.table.strip()) or database.kind != "postgresql":
        raise ConfigError([Fault(f"{database.path}.table", f"found {database}, expected a table of a PostgreSQL")])
    declared = _declared(frame, database)
    with translated(database), database.connect() as connection:
        _lock(connection, database)
        _check_columns(connection, database, declared)
        names = ", ".join(declared)
        columns = ", ".join(f"{name} {type_}" for name, type_ in declared.items())
        keys = ", ".join(database.quoted(name) for name in key)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {database.table} ({columns}, PRIMARY KEY ({keys}))")
        bring = _by_executors if engines.of(frame.sparkSession).java_drivers else _by_this_process
        with bring(connection, frame, database, columns) as staged:
            condition = " AND ".join(f"{database.quoted(name)} IS NOT DISTINCT FROM %s" for name in where or {})
            values = list((where or {}).values())
            others = f"SELECT 1 FROM {staged} WHERE NOT ({condition}) LIMIT 1"
            if condition and connection.execute(others, values).fetchone():
                raise InputError(f"{database.path}: found rows for {database} that are not of {', '.join(where or {})}")
            connection.execute(f"DELETE FROM {database.table}{f' WHERE {condition}' if condition else ''}", values)
            # a task of Spark's that was tried twice has brought its rows twice
            once = f"SELECT DISTINCT ON ({keys}) {names} FROM {staged}"
            return connection.execute(f"INSERT INTO {database.table} ({names}) {once}").rowcount


def _declared(frame: DataFrame, database: Database) -> dict[str, str]:
    """The columns of the frame, quoted, and their types in the database."""
    found: dict[str, str | None] = {}
    for field in frame.schema:
        name = field.dataType.simpleString()
        decimal = isinstance(field.dataType, T.DecimalType)
        found[database.quoted(field.name)] = name.replace("decimal", "numeric") if decimal else _TYPES.get(name)
    if unknown := [name for name, type_ in found.items() if type_ is None]:
        raise InputError(f"{database.path}: columns {', '.join(unknown)} are nested, expected one value each")
    return {name: str(type_) for name, type_ in found.items()}


def _lock(connection: Any, database: Database) -> None:
    """Held until the connection ends: two that replace the same table would mix what they bring.

    A connection that has just been closed holds it until the server has noticed: so it is waited for a while.
    """
    from psycopg.errors import LockNotAvailable

    connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    try:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"rfm_spark {database.table}"])
    except LockNotAvailable:
        told = f"another process is writing {database}; nothing of this one was kept: run again"
        raise ConflictError(told) from None
    connection.execute("SET lock_timeout = DEFAULT")


def _check_columns(connection: Any, database: Database, declared: Mapping[str, str]) -> None:
    """Check that the table, where it is there, has every column of the frame."""
    if connection.execute("SELECT to_regclass(%s)", [database.table.strip()]).fetchone()[0] is None:
        return
    there = connection.execute(f"SELECT * FROM {database.table} LIMIT 0").description
    known = [column.name for column in there]
    if missing := [name for name in declared if name not in map(database.quoted, known)]:
        raise InputError(
            f"{database.path}.table: {database} lacks {', '.join(missing)}; found {', '.join(known)}: add "
            f"{', '.join(f'{name} {declared[name]}' for name in missing)}, or name another table, which is made"
        )


@contextmanager
def _by_executors(connection: Any, frame: DataFrame, database: Database, columns: str) -> Iterator[str]:
    """A table beside the target, in which the executors put the rows; what one that died has left is replaced."""
    table = _TABLE.fullmatch(database.table.strip())
    assert table is not None
    beside = f'{table["schema"] or ""}"rfm_spark_{table["name"].strip(chr(34))[:50]}"'
    connection.execute(f"DROP TABLE IF EXISTS {beside}")
    connection.execute(f"CREATE UNLOGGED TABLE {beside} ({columns})")
    connection.commit()
    options = jdbc_options(database, beside) | {"reWriteBatchedInserts": "true", "numPartitions": str(_CONNECTIONS)}
    try:
        frame.write.format("jdbc").options(**options).mode("append").save()
        yield beside
    except Exception:
        connection.rollback()
        raise
    finally:
        connection.execute(f"DROP TABLE {beside}")
        connection.commit()


@contextmanager
def _by_this_process(connection: Any, frame: DataFrame, _: Database, columns: str) -> Iterator[str]:
    """A table of this connection alone, which gets the rows as texts."""
    connection.execute(f"CREATE TEMPORARY TABLE rfm_spark_rows ({columns}) ON COMMIT DROP")
    texts = frame.select(*(_as_text(field) for field in frame.schema))
    with connection.cursor().copy("COPY rfm_spark_rows FROM STDIN") as copy:
        for row in texts.toLocalIterator():
            copy.write_row(row)
    yield "rfm_spark_rows"


def _as_text(field: T.StructField) -> Column:
    column = F.col(quoted(field.name))
    if isinstance(field.dataType, T.TimestampType):
        return F.concat(F.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSS"), F.lit("+00")).alias(field.name)
    return column.cast("string").alias(field.name)

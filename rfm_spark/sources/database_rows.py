"""Tables of databases as frames of raw columns: only the columns that are needed, of all rows or of those since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import databases, engines
from rfm_spark.config.source import Source
from rfm_spark.databases import Database, Ranges, literal
from rfm_spark.errors import InputError
from rfm_spark.sources.columns import FILE, asked_columns, options_of
from rfm_spark.sources.messages import require_columns

NUMBER, TIME, DATE = "number", "time", "date"


@dataclass(frozen=True)
class Newest:
    """The greatest value of a watermark as text (None: the table has none), and what kind it is."""

    value: str | None
    kind: str
    column: T.StructField

    def before(self, source: Source, value: str) -> str:
        """What of the source's overlap lies before a value, as text of the same kind."""
        watermark = source.watermark
        if watermark is None:
            return value
        if self.kind == NUMBER:
            return str(int(value) - watermark.overlap) if watermark.overlap else value
        if not watermark.overlap_hours:
            return value
        earlier = datetime.fromisoformat(value) - timedelta(hours=watermark.overlap_hours)
        return str(earlier.date()) if self.kind == DATE else _text(earlier)


def database_of(source: Source) -> Database:
    """The table of a source, and who connects."""
    path = f"sources.{source.name}"
    return Database(str(source.url), str(source.table), path, source.user, source.password, options_of(source))


def newest(spark: SparkSession, source: Source) -> Newest:
    """The greatest watermark that the table has now. One small query, by its index.

    Raises: InputError where there is no such column, or it is no number, date or time.
    """
    assert source.watermark is not None
    database = database_of(source)
    column = _column(databases.table_schema(spark, database), source.watermark.column, "watermark", source)
    kind = _kind(column.dataType)
    if kind is None:
        raise InputError(
            f"sources.{source.name}.watermark.column: {column.name} is {column.dataType.simpleString()}, expected a "
            "whole number, a date or a time, that only grows"
        )
    wrong = "overlap" if kind != NUMBER else "overlap_hours"
    if getattr(source.watermark, wrong) is not None:
        raise InputError(
            f"sources.{source.name}.watermark.{wrong}: {column.name} is a {kind}, expected "
            f"{'overlap' if kind == NUMBER else 'overlap_hours'} for it"
        )
    (value,) = _aggregates(spark, database, column, "", "MAX")
    return Newest(value, kind, column)


def since(source: Source, newest: Newest, value: str | None) -> str:
    """What the database is asked for: rows from `value` (None: the first) up to `newest`, and those without any."""
    column = database_of(source).quoted(newest.column.name)
    if newest.value is None:
        return ""
    bounds = [f"{column} <= {literal(newest.value, newest.column.dataType)}"]
    if value is not None:
        bounds.insert(0, f"{column} >= {literal(newest.before(source, value), newest.column.dataType)}")
    return f"({' AND '.join(bounds)}) OR {column} IS NULL"


def load(spark: SparkSession, source: Source, where: str = "", rules: Iterable[str] = ()) -> DataFrame:
    """One row a row of the table that meets `where`, with the raw columns that the project or its `rules` name.

    Where all columns tell a row, because no event_id is declared, all are read. Each job over the frame asks the
    database again. Raises: InputError for a missing table or column; EnvironmentFault where it is not reached.
    """
    database = database_of(source)
    there = databases.table_schema(spark, database)
    require_columns(source, there.names)
    wanted = {name.lower() for name in asked_columns(source, rules)}
    whole = source.kind == "events" and source.event_id_columns is None
    columns = [field for field in there if whole or field.name.lower() in wanted] or list(there)
    ranges = _ranges(spark, source, database, there, where)
    return databases.rows(spark, database, columns, where, ranges).withColumn(FILE, F.lit(None).cast("string"))


def _ranges(spark: SparkSession, source: Source, database: Database, there: T.StructType, where: str) -> Ranges | None:
    """The ranges that are read in parallel: their bounds as given, or found by one small query."""
    partition = source.partition
    if partition is None:
        return None
    column = _column(there, partition.column, "partition", source)
    kind = _kind(column.dataType)
    if kind is None or (kind != NUMBER and not engines.of(spark).java_drivers):
        expected = "a whole number, a date or a time" if engines.of(spark).java_drivers else "a whole number on Sail"
        raise InputError(
            f"sources.{source.name}.partition.column: {column.name} is {column.dataType.simpleString()}, expected "
            f"{expected}"
        )
    lower, upper = partition.lower, partition.upper
    if lower is not None and upper is not None:
        if isinstance(lower, int) == (kind == NUMBER):
            return Ranges(column.name, partition.number, str(lower), str(upper))
        raise InputError(
            f"sources.{source.name}.partition.lower: found {lower}, and {column.name} is a {kind}; expected one as well"
        )
    least, greatest = _aggregates(spark, database, column, where, "MIN", "MAX")
    if least is None or greatest is None or least == greatest:
        return None
    return Ranges(column.name, partition.number, least, greatest)


def _aggregates(
    spark: SparkSession, database: Database, column: T.StructField, where: str, *functions: str
) -> list[str | None]:
    """The least or greatest value of a column as text, a time in UTC with its microseconds."""
    name = database.quoted(column.name)
    select = ", ".join(f"{function}({name}) AS v{n}" for n, function in enumerate(functions))
    frame = databases.rows(spark, database, where=where, select=select)
    with databases.translated(database):
        (row,) = frame.select(*(_as_text(f"v{n}", column.dataType) for n in range(len(functions)))).collect()
    return list(row)


def _as_text(name: str, data_type: T.DataType) -> Any:
    column = F.col(name).cast(data_type)
    if isinstance(data_type, T.TimestampType | T.TimestampNTZType):
        return F.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    return (column.cast("decimal(38,0)") if isinstance(data_type, T.DecimalType) else column).cast("string")


def _text(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="microseconds")


def _column(there: T.StructType, name: str, key: str, source: Source) -> T.StructField:
    found = next((field for field in there if field.name.lower() == name.lower()), None)
    if found is None:
        raise InputError(
            f"sources.{source.name}.{key}.column: no column {name} in {database_of(source)}; found "
            f"{', '.join(there.names)}"
        )
    return found


def _kind(data_type: T.DataType) -> str | None:
    if isinstance(data_type, T.IntegralType):
        return NUMBER
    if isinstance(data_type, T.DecimalType):
        return NUMBER if data_type.scale == 0 else None
    if isinstance(data_type, T.DateType):
        return DATE
    return TIME if isinstance(data_type, T.TimestampType | T.TimestampNTZType) else None

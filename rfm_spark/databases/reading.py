"""Rows of a database as frames, a query at a time or ranges of one in parallel, on every engine by its JDBC reader."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import engines
from rfm_spark.databases.connection import Database
from rfm_spark.databases.faults import translated
from rfm_spark.errors import EnvironmentFault
from rfm_spark.sql import quoted

_DEFAULTS = {
    "fetchsize": "10000",  # PostgreSQL's driver would hold a whole table
    "preferTimestampNTZ": "true",  # a time without a zone is what it says, whatever the zone of the JVM
}
_DRIVERS = {"postgresql": "org.postgresql.Driver"}  # told, so that one given by --jars is found
_NUMERIC = 1700


@dataclass(frozen=True)
class Ranges:
    """Ranges of a column that are read in parallel. No row is left out: the first and the last are open, nulls too."""

    column: str
    number: int
    lower: str
    upper: str


def rows(
    spark: SparkSession,
    database: Database,
    columns: Sequence[T.StructField] | None = None,
    where: str = "",
    ranges: Ranges | None = None,
    select: str | None = None,
) -> DataFrame:
    """One row a row of the table, or of the aggregates `select`, that meets `where`; only the columns are fetched.

    Read when the frame is: again for each job over it, so that what must be one is to be kept.
    Raises: what `translated` makes of the database's errors.
    """
    names = ", ".join(database.quoted(field.name) for field in columns or ())
    query = (
        f"(SELECT {select or names or '*'} FROM {database.table}{f' WHERE {where}' if where else ''}) rfm_spark_rows"
    )
    with translated(database):
        frame = _read(spark, database, query, ranges)
        return frame.select(*(_typed(field) for field in columns)) if columns else frame


def table_schema(spark: SparkSession, database: Database) -> T.StructType:
    """The columns of the table, as Spark types them. No row is read."""
    with translated(database):
        found = _read(spark, database, database.table, None).schema
        return found if engines.of(spark).java_drivers else _with_decimals(found, database)


def literal(value: str, data_type: T.DataType) -> str:
    """A value as the database's SQL takes it: a number bare, a date or a UTC or local time in quotes."""
    if isinstance(data_type, T.NumericType):
        return value
    return f"'{value}+00'" if isinstance(data_type, T.TimestampType) else f"'{value}'"


def jdbc_options(database: Database, table: str) -> dict[str, str]:
    """The options of a JDBC reader or writer, with who connects."""
    options = {**database.options, "url": database.url, "dbtable": table, **database.credentials()}
    if database.kind in _DRIVERS:
        options.setdefault("driver", _DRIVERS[database.kind])
    return options


def _read(spark: SparkSession, database: Database, query: str, ranges: Ranges | None) -> DataFrame:
    if not engines.of(spark).java_drivers:
        _prepare_sail(spark, database)
    options = {**_DEFAULTS, **jdbc_options(database, query)}
    if ranges is not None:
        options |= {"partitionColumn": ranges.column, "numPartitions": str(ranges.number)}
        options |= {"lowerBound": ranges.lower, "upperBound": ranges.upper}
    frame = spark.read.format("jdbc").options(**options).load()
    frame.schema  # noqa: B018 - over Connect it is asked for only now
    return frame


def _prepare_sail(spark: SparkSession, database: Database) -> None:
    """Sail's reader tries a connection that is refused for half a minute, so it is tried here first."""
    try:
        from pysail.spark.datasource.jdbc import JdbcDataSource
    except ImportError:
        raise EnvironmentFault.not_installed("connectorx", database.path, "jdbc") from None
    database.connect().close()
    spark.dataSource.register(JdbcDataSource)


def _with_decimals(schema: T.StructType, database: Database) -> T.StructType:
    """The schema with the digits that the table declares for its decimals, which Sail's reader does not tell."""
    with database.connect() as connection:
        described = connection.execute(f"SELECT * FROM {database.table} LIMIT 0").description
    declared: dict[str, T.DataType] = {}
    for column in described:
        if column.type_code == _NUMERIC:
            fits = column.precision is not None and 0 <= (column.scale or 0) <= column.precision <= 38
            declared[column.name] = T.DecimalType(column.precision, column.scale) if fits else T.DecimalType(38, 18)
    return T.StructType([T.StructField(f.name, declared.get(f.name, f.dataType)) for f in schema])


def _typed(field: T.StructField) -> Column:
    """The column in its type; Sail's reader has decimals of other digits, and a zone that its functions refuse."""
    return F.col(quoted(field.name)).cast(field.dataType).alias(field.name)

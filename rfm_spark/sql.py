"""SQL of the project as Spark resolves it: quoted names, the type of an expression, Spark's words in one line."""

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.expressions import SqlFault

ISO_DAY = r"^\s*\d{4}-\d{1,2}-\d{1,2}([T ].*)?$"  # a text that names year, month and day, and perhaps a time


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever characters are in it."""
    return f"`{name.replace('`', '``')}`"


def type_of(frame: DataFrame, sql: str) -> T.DataType:
    """The type that an expression gives over a frame's columns; no row is read.

    Raises: SqlFault where it does not resolve, in Spark's words.
    """
    try:
        # beside the other columns, or an aggregate would resolve
        return frame.withColumn("_resolved", F.expr(sql)).schema["_resolved"].dataType
    except AnalysisException as error:
        raise SqlFault(first_line(error)) from None


def first_line(error: Exception) -> str:
    """Spark's message in one line, without its plan, its code or a stack of Java's."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = next((line.split("Exception: ", 1)[1] for line in lines if "Exception: [" in line), lines[0])
    return told.split(". SQLSTATE")[0].split(" SQLSTATE:")[0]

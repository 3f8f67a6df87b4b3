"""SQL of the project as Spark resolves it: quoted names, the type of an expression, rows as JSON, Spark's words."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.errors import AnalysisException, IllegalArgumentException, UnsupportedOperationException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import engines
from rfm_spark.config.expressions import SqlFault, unknown_names
from rfm_spark.config.words import did_you_mean

_NATIVE_PLAN = re.compile(r":? *\[?\b\w*(Expr|Column|Literal|Function)\(.*", re.DOTALL)  # as Sail 0.7 prints its own
# the second and third by Sail, for a function that it does not know and a literal that is none
_UNRESOLVED = (AnalysisException, UnsupportedOperationException, IllegalArgumentException)
_BARE = "\ufdd0"  # no character: it stands in no text
_MICROSECONDS = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"
_WHOLE_TIMES = {"timestampFormat": _MICROSECONDS + "XXX", "timestampNTZFormat": _MICROSECONDS}

ISO_DAY = r"^\s*\d{4}-\d{1,2}-\d{1,2}([T ].*)?$"  # a text that names year, month and day, and perhaps a time


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever characters are in it."""
    return f"`{name.replace('`', '``')}`"


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """The rows of all frames, their columns by name in any capitals; one that a frame lacks is null there."""
    each = list(frames)
    if len(each) == 1:
        return each[0]
    fields: dict[str, T.StructField] = {}
    for field in (field for frame in each for field in frame.schema):
        fields.setdefault(field.name.lower(), field)
    ordered = list(fields.values())
    whole = []
    for frame in each:
        own = {name.lower(): name for name in frame.columns}
        columns = [
            F.col(quoted(own[field.name.lower()])) if field.name.lower() in own else F.lit(None).cast(field.dataType)
            for field in ordered
        ]
        whole.append(frame.select(*(column.alias(field.name) for column, field in zip(columns, ordered, strict=True))))
    return reduce(DataFrame.unionAll, whole)


def stacked(frames: Iterable[DataFrame]) -> DataFrame:
    """The rows of all frames, which have the same columns: as `union`, and no frame is asked for its own."""
    return reduce(DataFrame.unionByName, frames)


def negated(column: str, type_: str) -> Column:
    """The amounts with the other sign, of their own type: that of `-amount` is another on some engines."""
    return (F.lit(0).cast(type_) - F.col(column)).cast(type_)


def any_of(condition: Column) -> Column:
    """1 where the condition holds for any row of a group, else 0; an aggregate."""
    return F.max(F.when(condition, F.lit(1)).otherwise(F.lit(0)))


Keep = Callable[[DataFrame], DataFrame]  # what is done with a frame that a plan uses again: it may be kept


def as_it_is(frame: DataFrame) -> DataFrame:
    """The frame, which is not kept."""
    return frame


def choose(
    frame: DataFrame,
    condition: Column,
    then: Mapping[str, Column],
    other: Mapping[str, Column],
    reused: Keep = as_it_is,
) -> DataFrame:
    """The same rows with columns that are costly where a condition holds, and are computed there alone.

    `reused`: keeps the costly rows, if the frame is used more than once.
    """
    if engines.of(frame.sparkSession).lazy_branches:
        return frame.withColumns({name: F.when(condition, then[name]).otherwise(other[name]) for name in then})
    holds = F.coalesce(condition, F.lit(False))
    return union([reused(frame.filter(holds).withColumns(dict(then))), frame.filter(~holds).withColumns(dict(other))])


def within(
    frame: DataFrame,
    key: Sequence[str],
    windowed: Mapping[str, Column],
    alone: Mapping[str, Column],
    reused: Keep = as_it_is,
) -> DataFrame:
    """The same rows with columns over the rows of one key.

    Reads: `key` without nulls; `windowed`, the columns as windows partitioned by the key; `alone`, what they are where
        a row is the only one of its key; `reused`, which keeps the keys of several rows where they are looked for
        first: few, as a rule, and an engine that knows how few joins them without gathering the rows.
    No shuffle but the window's.
    """
    if engines.of(frame.sparkSession).small_windows:
        return frame.withColumns(dict(windowed))
    hashed = frame.withColumn("_key", F.xxhash64(*key))  # two keys of one hash go through the window, which knows them
    several = reused(hashed.groupBy("_key").agg(F.count(F.lit(1)).alias("_rows")).filter("_rows > 1").drop("_rows"))
    rows = [
        hashed.join(several, "_key", "left_anti").withColumns(dict(alone)),
        hashed.join(several, "_key", "left_semi").withColumns(dict(windowed)),
    ]
    return union(rows).drop("_key")


def row_json(frame: DataFrame, struct: str, names: Sequence[str], *, nulls: bool) -> Column:
    """The named fields of a struct column as one JSON text, with or without those that are null.

    Times keep their microseconds and decimals their digits, but those within nested fields on an engine without
    `exact_text`.
    """
    schema = frame.schema[struct].dataType
    assert isinstance(schema, T.StructType)
    if engines.of(frame.sparkSession).exact_text:
        fields = F.struct(*(F.col(f"{struct}.{quoted(name)}") for name in names))
        return F.to_json(fields, _WHOLE_TIMES | {"ignoreNullFields": str(not nulls).lower()})
    cells = [_cell(frame, F.col(f"{struct}.{quoted(name)}"), schema[name].dataType, nulls=nulls) for name in names]
    text = F.to_json(F.struct(*(cell.alias(name) for cell, name in zip(cells, names, strict=True))))
    return F.replace(F.replace(text, F.lit(f'"{_BARE}'), F.lit("")), F.lit(f'{_BARE}"'), F.lit(""))


def read_json(frame: DataFrame, column: str, schema: T.StructType) -> DataFrame:
    """The texts of a column that `row_json` wrote, as columns of their schema.

    What did not parse once stays a column like any other, so that it still is what it was.
    """
    exact = engines.of(frame.sparkSession).exact_text
    read = schema if exact else _timeless(schema)  # Sail 0.7 reads no time with a T there
    parsed = frame.withColumn("_read", F.from_json(column, read, {"columnNameOfCorruptRecord": "_none"}))
    cells = {field.name: F.col(f"_read.{quoted(field.name)}") for field in schema}
    others = [F.col(quoted(name)) for name in frame.columns if name != column]
    return parsed.select(
        *(
            (cells[field.name] if field == was else cells[field.name].cast(field.dataType)).alias(field.name)
            for field, was in zip(schema, read, strict=True)
        ),
        *others,
    )


def _timeless(data_type: T.DataType) -> Any:
    """The type with text in place of each time."""
    if isinstance(data_type, T.TimestampType | T.TimestampNTZType):
        return T.StringType()
    if isinstance(data_type, T.ArrayType):
        return T.ArrayType(_timeless(data_type.elementType), data_type.containsNull)
    if isinstance(data_type, T.MapType):
        return T.MapType(data_type.keyType, _timeless(data_type.valueType), data_type.valueContainsNull)
    if isinstance(data_type, T.StructType):
        return T.StructType([T.StructField(f.name, _timeless(f.dataType), f.nullable, f.metadata) for f in data_type])
    return data_type


def _cell(frame: DataFrame, value: Column, data_type: T.DataType, *, nulls: bool) -> Column:
    """A cell for `to_json`, as text with marks around what is not to stand in quotes."""
    mark = F.lit(_BARE)
    if isinstance(data_type, T.TimestampType):
        text = F.date_format(value, _MICROSECONDS + "XXX")
    elif isinstance(data_type, T.TimestampNTZType):
        text = F.date_format(value, _MICROSECONDS)
    elif isinstance(data_type, T.StringType | T.DateType):
        text = value.cast("string")
    elif isinstance(data_type, T.StructType | T.ArrayType | T.MapType):
        return value
    elif isinstance(data_type, T.DoubleType | T.FloatType):
        number = as_text(frame, value, data_type)
        text = F.when(number.rlike("[ay]"), number).otherwise(F.concat(mark, number, mark))  # NaN, Infinity in quotes
    else:
        text = F.concat(mark, value.cast("string"), mark)
    return F.coalesce(text, F.lit(f"{_BARE}null{_BARE}")) if nulls else text


def as_text(frame: DataFrame, column: Column, data_type: T.DataType) -> Column:
    """A value as text; a fractional number as Java writes it: 17850.0, 1.0E7, 1.0E-4."""
    text = column.cast("string")
    if engines.of(frame.sparkSession).exact_text or not isinstance(data_type, T.DoubleType | T.FloatType):
        return text
    size, sign = F.abs(column), F.when(column < 0, F.lit("-")).otherwise(F.lit(""))
    digits = F.regexp_replace(text, "^-", "")
    whole, part = F.substring_index(digits, ".", 1), F.substring_index(digits, ".", -1)
    small = size < 1e-3
    significant = F.when(small, F.ltrim(part, F.lit("0"))).otherwise(F.rtrim(F.concat(whole, part), F.lit("0")))
    power = F.when(small, F.length(F.ltrim(part, F.lit("0"))) - F.length(part) - 1).otherwise(F.length(whole) - 1)
    rest = F.substring(significant, 2, 40)
    written = F.concat(
        sign,
        F.substring(significant, 1, 1),
        F.lit("."),
        F.when(rest == "", F.lit("0")).otherwise(rest),
        F.lit("E"),
        power.cast("string"),
    )
    mantissa = F.substring_index(text, "e", 1)
    of_power = F.concat(
        mantissa,
        F.when(mantissa.contains("."), F.lit("")).otherwise(F.lit(".0")),
        F.lit("E"),
        F.regexp_replace(F.substring_index(text, "e", -1), "^\\+", ""),
    )
    return (
        F.when(F.isnan(column) | (size == 0) | ((size >= 1e-3) & (size < 1e7)), text)
        .when(size == float("inf"), F.concat(sign, F.lit("Infinity")))
        .when(text.contains("e"), of_power)
        .otherwise(written)
    )


def try_decimal(frame: DataFrame, column: Column, actual: T.DataType, target: str) -> Column:
    """A number or text as a decimal, rounded half up by its digits as they are written; null where it is none."""
    if engines.of(frame.sparkSession).exact_text:
        return column.try_cast(target)
    if isinstance(actual, T.DoubleType | T.FloatType):
        column, actual = as_text(frame, column, actual), T.StringType()
    if not isinstance(actual, T.StringType):
        return column.try_cast(target)
    scientific = F.when(column.rlike("[eE]"), column.try_cast("double").try_cast(target))
    return F.coalesce(column.try_cast(target), scientific)


def type_of(frame: DataFrame, sql: str) -> T.DataType:
    """The type that an expression gives over a frame's columns; no row is read.

    Raises: SqlFault where it does not resolve: the columns that are not there, or else Spark's words.
    """
    try:
        # beside the other columns, or an aggregate would resolve
        return frame.withColumn("_resolved", F.expr(sql)).schema["_resolved"].dataType
    except _UNRESOLVED as error:
        raise SqlFault(_unknown_columns(sql, frame.columns) or first_line(error)) from None


def _unknown_columns(sql: str, columns: Iterable[str]) -> str:
    known = {name.lower(): name for name in columns}
    unknown = unknown_names(sql, set(known))
    return "; ".join(f"no column {name}{did_you_mean(name, known.values())}" for name in unknown)


def first_line(error: Exception) -> str:
    """Spark's message in one line, without its plan, its code or a stack of Java's."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = next((line.split("Exception: ", 1)[1] for line in lines if "Exception: [" in line), lines[0])
    return _NATIVE_PLAN.sub("", told.split(". SQLSTATE")[0].split(" SQLSTATE:")[0])

"""The raw row that a judged one keeps, and the hash that tells two of one content."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.sql import row_json


def with_record(judged: DataFrame) -> DataFrame:
    """The same rows with `record` (json, hash, schema of the raw row) in place of `_raw`; computed only where used."""
    return judged.withColumn("record", as_read(judged)).drop("_raw")


def content_hash(parsed: DataFrame, names: list[str]) -> Column:
    """A hash that tells null from absent: the values, and which of them are null."""
    nested = {n for n in names if isinstance(parsed.schema[n].dataType, T.StructType | T.ArrayType | T.MapType)}
    columns = [F.to_json(F.struct(name)) if name in nested else F.col(name) for name in names]
    nulls = reduce(lambda bits, column: bits * 2 + column.isNull().cast("bigint"), columns, F.lit(0).cast("bigint"))
    return F.xxhash64(*columns, nulls)


def as_read(parsed: DataFrame) -> Column:
    """The raw row: its JSON, its hash, and its schema to read the JSON back by; ask for it only where it is used.

    Neither the order of columns nor an empty one more changes the hash.
    """
    schema = parsed.schema["_raw"].dataType
    assert isinstance(schema, T.StructType)
    names = schema.fieldNames()
    # cast and nullif for engines whose md5 is text of another kind, and whose unions want one nullability
    return F.struct(
        row_json(parsed, "_raw", names, nulls=True).alias("json"),
        F.md5(row_json(parsed, "_raw", sorted(names, key=str.lower), nulls=False)).cast("string").alias("hash"),
        F.nullif(F.lit(schema.json()), F.lit("")).alias("schema"),
    )

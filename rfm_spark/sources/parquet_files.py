"""Parquet files as one frame, read by Python inside the engine.

Many of them, since a union of as many frames takes long to plan; and those with types that the engine does not read.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from rfm_spark.sources.columns import FILE
from rfm_spark.sources.text_files import each_file, located, one_task_a_file

BATCH_ROWS = 65_536


def parquet_frame(spark: SparkSession, files: Sequence[str], schema: T.StructType) -> DataFrame:
    """One row a row of the files, with the columns of `schema`, `_file` among them; one that a file lacks is null.

    Raises: see `text_files.csv_frame`.
    """
    batches = partial(_batches, to_arrow_schema(schema, timezone="UTC"))
    return one_task_a_file(spark, files).mapInArrow(partial(each_file, batches), schema)


def schema_of(file: str) -> T.StructType:
    """The columns of a file as Spark has them, and its nanoseconds as microseconds."""
    import pyarrow as pa

    plain = pa.schema([(field.name, _plain(field.type)) for field in _arrow_schema(file)])
    return from_arrow_schema(plain)


def is_misread(file: str) -> bool:
    """Whether the engine's own reader fails at a file, or takes NaN for the one other value of a column.

    That is where whole numbers have no sign, and where the statistics, which leave NaN out, tell of one fraction alone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, path = located(file)
    with system.open_input_file(path) as source:
        footer = pq.read_metadata(source)
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]

    def is_one_fraction(i: int) -> bool:
        if footer.schema.column(i).physical_type not in ("FLOAT", "DOUBLE"):
            return False
        told = [statistics for group in groups if (statistics := group.column(i).statistics) and statistics.has_min_max]
        return len({value for one in told for value in (one.min, one.max)}) == 1

    unsigned = (pa.types.is_unsigned_integer(field.type) for field in footer.schema.to_arrow_schema())
    return any(unsigned) or any(map(is_one_fraction, range(footer.num_columns)))


def nanoseconds(file: str) -> dict[str, str]:
    """{column: type} of a file's times in nanoseconds."""
    types = {field.name: field.type for field in _arrow_schema(file)}
    kept = {name: type_ for name, type_ in types.items() if getattr(type_, "unit", "") == "ns" and hasattr(type_, "tz")}
    return {name: "timestamp" if type_.tz else "timestamp_ntz" for name, type_ in kept.items()}


def _arrow_schema(file: str) -> Any:
    import pyarrow.parquet as pq

    system, path = located(file)
    with system.open_input_file(path) as source:
        return pq.read_schema(source)


def _plain(type_: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz)
    if pa.types.is_unsigned_integer(type_):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64(), 64: pa.decimal128(20, 0)}[type_.bit_width]
    if pa.types.is_duration(type_):
        return pa.int64()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_plain(type_.value_type))
    return pa.struct([(f.name, _plain(f.type)) for f in type_]) if pa.types.is_struct(type_) else type_


def _batches(schema: Any, file: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    system, path = located(file)
    with system.open_input_file(path) as source:
        for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS):
            yield as_asked(batch, schema, file)


def as_asked(batch: Any, schema: Any, file: str) -> Any:
    """The rows of a batch of a file, with the columns of a schema, `_file` too; one that it lacks is null."""
    import pyarrow as pa

    have = {name.lower(): column for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    have[FILE] = pa.repeat(pa.scalar(file), batch.num_rows)
    nothing = pa.nulls(batch.num_rows)
    arrays = [have.get(field.name.lower(), nothing).cast(field.type, safe=False) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, names=schema.names)

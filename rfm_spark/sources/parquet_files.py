"""Many Parquet files as one frame, read by Python inside the engine: a union of as many frames takes long to plan."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from rfm_spark.sources.columns import FILE
from rfm_spark.sources.text_files import each_file, listed, located

_BATCH_ROWS = 65_536


def parquet_frame(spark: SparkSession, files: Sequence[str], schema: T.StructType) -> DataFrame:
    """One row a row of the files, with the columns of `schema`, `_file` among them; one that a file lacks is null.

    Raises: see `text_files.csv_frame`.
    """
    batches = partial(_batches, to_arrow_schema(schema, timezone="UTC"))
    return listed(spark, files).mapInArrow(partial(each_file, batches), schema)


def _batches(schema: Any, file: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, path = located(file)
    with system.open_input_file(path) as source:
        for batch in pq.ParquetFile(source).iter_batches(_BATCH_ROWS):
            have = {name.lower(): column for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            have[FILE] = pa.repeat(pa.scalar(file), batch.num_rows)
            nothing = pa.nulls(batch.num_rows)
            arrays = [have.get(field.name.lower(), nothing).cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(arrays, names=schema.names)

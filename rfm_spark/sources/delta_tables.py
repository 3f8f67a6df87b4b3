"""Delta tables of others, read by `deltalake` inside the engine where its own reader goes by statistics alone.

Those leave NaN out: beside it in a file, the only other value of a column would be that of all rows.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from rfm_spark.sources import parquet_files
from rfm_spark.sources.text_files import each_file, one_task_a_file


def is_misread(path: str, options: Mapping[str, str]) -> bool:
    """Whether a file of the table may have NaN that its statistics do not tell of, and `deltalake` reads the table."""
    import pyarrow as pa

    table = _table(path, options)
    if table is None:
        return False
    protocol = table.protocol()
    if protocol.min_reader_version == 2 or {*(protocol.reader_features or ())} - {"timestampNtz"}:
        return False
    files = pa.table(table.get_add_actions(flatten=True))

    def is_one_fraction(name: str) -> bool:
        told = [f"{what}.{name}" for what in ("min", "max", "null_count")]
        if not {*told} <= {*files.column_names} or not pa.types.is_floating(files[told[0]].type):
            return False
        each = zip(*(files[column].to_pylist() for column in (*told, "num_records")), strict=True)
        return any(low is not None and low == high and rows - (nulls or 0) > 1 for low, high, nulls, rows in each)

    return any(is_one_fraction(name.removeprefix("min.")) for name in files.column_names if name.startswith("min."))


def delta_frame(spark: SparkSession, path: str, options: Mapping[str, str], schema: T.StructType) -> DataFrame:
    """One row a row of the table, with the columns of `schema`, by one task."""
    batches = partial(_batches, to_arrow_schema(schema, timezone="UTC"), dict(options))
    return one_task_a_file(spark, [path]).mapInArrow(partial(each_file, batches), schema)


def _batches(schema: Any, options: Mapping[str, str], path: str) -> Iterator[Any]:
    rows = _table(path, options).to_pyarrow_dataset()
    for batch in rows.to_batches(columns=schema.names, batch_size=parquet_files.BATCH_ROWS):
        yield parquet_files.as_asked(batch, schema, path)


def _table(path: str, options: Mapping[str, str]) -> Any:
    """The table as it is, or at the version or time that the options name; None for a time in other words."""
    from deltalake import DeltaTable

    table, named = DeltaTable(path), {name.lower(): value for name, value in options.items()}
    if version := named.get("versionasof"):
        table.load_as_version(int(version))
    elif time := named.get("timestampasof"):
        try:
            table.load_as_version(datetime.fromisoformat(time).astimezone(UTC))
        except ValueError:
            return None
    return table

"""Read raw data into canonical columns.

One row stays one row: nothing is judged here, so nothing is lost here. Text formats are read as strings, `types` are
try-cast before any SQL sees them, and each canonical column is a source column or SQL over the source's columns.

`listing` says which files there are, `reading` makes frames of raw columns, `mapping` canonical ones of them,
`united` takes files of differing types together, `messages` says what is wrong with a source.
"""

from collections.abc import Collection, Iterable

from pyspark.sql import DataFrame, SparkSession

from rfm_spark.config.source import Source
from rfm_spark.errors import ConfigError, InputError
from rfm_spark.sources.columns import FILE, asked_columns, extra_columns, order_is_event, place
from rfm_spark.sources.mapping import canonical
from rfm_spark.sources.messages import NoRows, missing_columns, no_rows
from rfm_spark.sources.reading import cause, load
from rfm_spark.sources.united import common_type, fitted, united

__all__ = [
    "FILE",
    "NoRows",
    "canonical",
    "cause",
    "common_type",
    "extra_columns",
    "fitted",
    "missing_columns",
    "place",
    "read",
    "read_malformed",
    "united",
]


def read(spark: SparkSession, source: Source, chosen: Collection[str] | None = None) -> DataFrame:
    """One row a row of the source, with its raw columns and its canonical ones, still unparsed.

    Reads: all of the source, or of its files those `chosen` by their addresses.
    Returns: the canonical columns of `source.columns` under `c_<name>`, `c_event_type`, attributes under `a_<name>`,
        ids under `i_<type>`; the source's own columns, typed where `types` says so; `_raw` (struct of the row as
        read), `_file`, `_fault:<reason>` (true where a declared type did not fit), `_event_base` (the declared
        identity, or a hash of the whole row) and `_order_is_event` (`order_id: event_id`, every row an order of its
        own).
    Raises: InputError for a missing or empty input or a missing column; ConfigError for SQL that does not resolve.
    """
    return canonical(load(spark, source, chosen), source)


def read_malformed(
    spark: SparkSession, source: Source, chosen: Collection[str] | None = None, rules: Iterable[str] = ()
) -> DataFrame | None:
    """The same of JSON files in which no line is an object: each is a malformed row; None where no line has a text.

    `rules`: SQL that the rows are judged by. A column that no other file tells of is null.
    Raises: InputError where no object is there to tell what SQL is to find inside of a column.
    """
    implied = order_is_event(source, source.event_id_columns or ())
    columns = [name for name in asked_columns(source, rules) if not (implied and name.lower() == "event_id")]
    raw = load(spark, source, chosen, columns)
    if raw.isEmpty():
        return None
    try:
        return canonical(raw, source)
    except ConfigError:
        raise InputError(no_rows(source, "no JSON object")) from None

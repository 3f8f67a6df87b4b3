"""Files as frames of raw columns on an engine whose readers tell no file and end a job at a malformed row.

Text is parsed by `text_files`, inside the engine; of the other formats each file is a frame.
"""

import csv
from collections.abc import Container, Sequence
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.source import Source
from rfm_spark.engines import ONLY_SPARK
from rfm_spark.errors import ConfigError, Fault, InputError, RfmSparkError
from rfm_spark.lake import cause
from rfm_spark.paths import is_elsewhere
from rfm_spark.sources import parquet_files, text_files
from rfm_spark.sources.columns import FILE, is_on, one_value_each, options_of, place
from rfm_spark.sources.files import as_in_rows, files, folders, with_folders
from rfm_spark.sources.headers import by_header, csv_options, separator_of
from rfm_spark.sources.messages import (
    NoRows,
    no_rows,
    nothing_found,
    refuse_ambiguous,
    refuse_json_lines,
    unreadable_file,
)
from rfm_spark.sources.united import united
from rfm_spark.sql import union

_FEW_FILES = 4
_FOLLOWED = ("mergeschema", "recursivefilelookup", "pathglobfilter")
_NOT_HERE = ("modifiedbefore", "modifiedafter", "basepath")


def load(
    spark: SparkSession, source: Source, chosen: Container[str] | None = None, otherwise: Sequence[str] = ()
) -> DataFrame:
    """One row a row of the files, all or those `chosen` by their addresses, with its raw columns and `_file`.

    `otherwise`: see `reading.load`.
    Raises: InputError; ConfigError for an option of Spark's reader that is not followed here.
    """
    path, options = str(source.path), options_of(source)
    _refuse_options(source, options)
    whole = files(spark, path, options)
    found = [file for file in whole if chosen is None or as_in_rows(file) in chosen]
    if not found:
        raise InputError(nothing_found(source))
    names = folders(path, whole)
    if source.format == "csv":
        frame = _csv(spark, source, found, csv_options(options), names)
    elif source.format == "json":
        frame = _json(spark, source, found, options, whole, otherwise)
    else:
        frame = _parquet(spark, source, found)
    # as Spark writes the address of a local file; only now, since the engine does not read such a one
    return with_folders(frame, names).withColumn(FILE, F.regexp_replace(FILE, "^file:///", "file:/"))


def _csv(spark: SparkSession, source: Source, found: list[str], options: dict[str, str], names: list[str]) -> DataFrame:
    first = partial(_first_cells, spark, source, options)
    frames = []
    for header, members in by_header(source, found, first, options).items():
        refuse_ambiguous(source, header, names)
        frames.append(text_files.csv_frame(spark, members, header, options))
    return union(frames)


def _first_cells(spark: SparkSession, source: Source, options: dict[str, str], file: str) -> list[str]:
    """The first line of a file that is elsewhere; one broken within quotes is not seen whole."""
    comment = options.get("comment") or "\0"
    try:
        lines = spark.read.text(file).filter(~F.col("value").startswith(comment) & (F.trim("value") != "")).head(1)
    except Exception as error:  # the class differs by what is wrong with the file
        raise _unreadable(source, file, error) from None
    quote = options.get("quote", '"')
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader((line.value.lstrip("\ufeff") for line in lines), delimiter=separator_of(options), **quoting)
    return next(rows, [])


def _json(
    spark: SparkSession,
    source: Source,
    found: list[str],
    options: dict[str, str],
    whole: list[str],
    otherwise: Sequence[str],
) -> DataFrame:
    if is_on(options, "multiLine"):
        refuse_json_lines(spark, source)
    texts = one_value_each(source)
    frame = text_files.json_frame(spark, found, options, texts)
    if frame is None and otherwise:
        kind = text_files.json_kind(spark, whole, options) or dict.fromkeys(otherwise, "string")
        frame = text_files.json_frame(spark, found, options, texts, kind)
    if frame is None:
        raise NoRows(no_rows(source, "no JSON object"))
    lower = [name.lower() for name in frame.columns]
    if twice := [name for name in frame.columns if lower.count(name.lower()) > 1]:
        raise InputError(
            f"source {source.name}: column {', '.join(twice)} stands twice in the objects of {place(source)} (capitals "
            "do not tell names apart); rename one"
        )
    return frame


def _parquet(spark: SparkSession, source: Source, found: list[str]) -> DataFrame:
    """A frame a file, which the engine divides among its tasks; many files as one, which it plans faster."""
    frames, schemas, of_types = list[DataFrame](), dict[str, T.StructType](), dict[str, set[T.DataType]]()
    for file in found:
        frame, schemas[file] = _parquet_file(spark, source, file)
        frames.append(frame)
        for field in schemas[file]:
            of_types.setdefault(field.name.lower(), set()).add(field.dataType)
    if len(found) <= _FEW_FILES:
        return united(source, frames)
    # not of all: a plan as deep as there are files would end the process
    differing = [name for name, types in of_types.items() if len(types) > 1]
    alike: dict[tuple, list[str]] = {}
    for file, schema in schemas.items():
        own = {field.name.lower(): field.dataType for field in schema}
        alike.setdefault(tuple(own.get(name) for name in differing), []).append(file)
    return united(source, [_parquet_files(spark, files, [schemas[file] for file in files]) for files in alike.values()])


def _parquet_file(spark: SparkSession, source: Source, file: str) -> tuple[DataFrame, T.StructType]:
    try:
        frame = spark.read.parquet(file)
        schema = frame.schema
        if not is_elsewhere(file) and parquet_files.is_misread(file):
            schema = parquet_files.schema_of(file)
            frame = _parquet_files(spark, [file], [schema])
    except Exception as error:  # the class differs by what is wrong with the file, or is of a type it does not read
        try:
            schema = parquet_files.schema_of(file)
        except Exception:
            raise _unreadable(source, file, error) from None
        frame = _parquet_files(spark, [file], [schema])
    if not schema.fields:
        raise InputError(unreadable_file(source, file))
    return frame.withColumn(FILE, F.lit(file)), schema


def _parquet_files(spark: SparkSession, files: list[str], schemas: list[T.StructType]) -> DataFrame:
    fields = {field.name.lower(): field for schema in reversed(schemas) for field in schema}
    whole = T.StructType([*fields.values(), T.StructField(FILE, T.StringType())])
    return parquet_files.parquet_frame(spark, files, whole)


def _unreadable(source: Source, file: str, error: Exception) -> RfmSparkError:
    return cause(error, f"source {source.name} at {place(source)}") or InputError(unreadable_file(source, file))


def _refuse_options(source: Source, options: dict[str, str]) -> None:
    text = text_files.unsupported(source.format, options) if source.format in ("csv", "json") else []
    refused = [name for name in options if name.lower() in _NOT_HERE or name in text]
    if source.format == "parquet":
        follows = [name for name, value in options.items() if name.lower() in _FOLLOWED and value.lower() != "false"]
        refused = [name for name in options if name not in follows]
    if refused:
        raise ConfigError(
            [Fault(f"sources.{source.name}.options.{name}", f"this option {ONLY_SPARK}") for name in refused]
        )

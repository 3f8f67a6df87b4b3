"""Files and tables as frames of raw columns, read by the engine itself, which keeps the rows that it cannot parse."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from urllib.parse import unquote, urlparse

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import databases, engines
from rfm_spark.config.source import Source
from rfm_spark.errors import ConfigError, EnvironmentFault, InputError, RfmSparkError
from rfm_spark.paths import is_elsewhere
from rfm_spark.session import JAVA_CHARSETS
from rfm_spark.sources import by_file, database_rows, delta_tables, parquet_files
from rfm_spark.sources.columns import (
    CORRUPT,
    FILE,
    fixed_part,
    is_on,
    one_value_each,
    options_of,
    place,
    which_files,
)
from rfm_spark.sources.files import folders
from rfm_spark.sources.headers import by_header, csv_options, encoding_of, separator_of
from rfm_spark.sources.messages import (
    FILE_IN_MESSAGE,
    NoRows,
    explain_unreadable,
    missing_columns,
    no_rows,
    refuse_ambiguous,
    refuse_json_lines,
    unreadable_file,
)
from rfm_spark.sources.united import united, widened
from rfm_spark.sql import quoted, union

_SPARKS_ENCODINGS = ("us-ascii", "iso-8859-1", "utf-8", "utf-16be", "utf-16le", "utf-16", "utf-32")
# whatever a source's options say, a row that does not parse is kept
KEEP_ALL = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT, "columnPruning": "false"}
_DIFFERING = ("CANNOT_MERGE_SCHEMAS", "TIMESTAMP(NANOS")
_Times = tuple[tuple[str, str], ...]  # names of columns, and what they are to be
_NANOSECONDS = "spark.sql.legacy.parquet.nanosAsLong"
_UNREADABLE = (
    "FAILED_READ_FILE",
    "CANNOT_MERGE_SCHEMAS",
    "CANNOT_INFER",
    "Unsupported encoding",
    "charset",
    "Not a directory",
)
# what SQL or a datetime pattern can raise at a row, even where the engine is told to give null
_SQL_FAILURE = re.compile(
    r"\[((?:INVALID_|INCONSISTENT_BEHAVIOR|USER_RAISED|ILLEGAL_|DATETIME_|ARITHMETIC_|NULL_MAP_KEY|DUPLICATED_MAP_KEY"
    r"|CAST_|UNRECOGNIZED_|COLLECTION_SIZE|CANNOT_DECODE_|CONVERSION_|MALFORMED_RECORD)[A-Z_.]*)\] ?(.*)"
    r"|PatternSyntaxException"
)
# the same by Sail, whose messages may quote a row too
_NATIVE_SQL_FAILURE = re.compile(
    r"Spark `(\w+)` function|Cast error|[Cc]an(?:no|')t cast (?:string|value)|Unsupported (?:TRY_CAST|date_trunc)"
    r"|[Ii]nvalid (?:input|datetime pattern|percent|Unicode|XML|utf-8)|Overflow happened"
    r"|Error parsing|Unable to represent|does not match the expected|is not true!|Illegal sequence|regex parse error"
    r"|Regular expression did not compile|out of (?:range|bounds)(?! for length|: -?\d)"  # and those are Java's own
)
_DAMAGED = re.compile(r"Parquet error|External: bad data|InvalidThrift")


def load(
    spark: SparkSession, source: Source, chosen: Collection[str] | None = None, otherwise: Sequence[str] = ()
) -> DataFrame:
    """One row a row of the source, or of the files `chosen` by their addresses, with its raw columns and `_file`.

    A column that the config names and only files that are not chosen have is null. `otherwise`: JSON files without an
    object have the columns of the others, or where no file has one, these.
    Raises: InputError; NoRows where nothing is found.
    """
    try:
        if source.format == "jdbc":
            return database_rows.load(spark, source)
        if source.format in ("table", "delta"):
            return _load_table(spark, source)
        frame = _load_files(spark, source, chosen, otherwise)
        if chosen is not None and (missing := missing_columns(source, frame.columns)):
            known = {field.name.lower(): field for field in _load_files(spark, source, None).schema}
            fields = [known[name.lower()] for name in missing if name.lower() in known]
            frame = frame.select(
                "*", *(F.lit(None).cast(widened(field) or field.dataType).alias(field.name) for field in fields)
            )
        return frame
    except RfmSparkError:
        raise
    except Exception as error:
        if isinstance(error, AnalysisException) or any(word in str(error) for word in _UNREADABLE):
            raise InputError(explain_unreadable(source, error)) from None
        raise


def _load_table(spark: SparkSession, source: Source) -> DataFrame:
    path, options, is_table = str(source.path), options_of(source), source.format == "table"
    reader = spark.read.options(**options)
    frame = reader.table(str(source.table)) if is_table else reader.format("delta").load(path)
    schema = frame.schema  # over Connect the engine looks only now, and says in its words what is wrong
    by_statistics = not is_table and not engines.of(spark).delta_sql and not is_elsewhere(path)
    if by_statistics and delta_tables.is_misread(path, options):
        frame = delta_tables.delta_frame(spark, path, options, schema)
    return frame.withColumn(FILE, F.lit(None).cast("string"))


def cause(error: Exception, sources: Iterable[Source]) -> RfmSparkError | None:
    """The fault in a source or in the project's SQL behind what Spark raised while it went through rows, or None."""
    text, sources = str(error), list(sources)
    if asked := [database_rows.database_of(source) for source in sources if source.format == "jdbc"]:
        tables, paths = ", ".join(one.table for one in asked), " or ".join(one.path for one in asked)
        if fault := databases.cause(error, replace(asked[0], table=tables, path=paths)):
            return fault
    if file := FILE_IN_MESSAGE.search(text + " "):
        for source in sources:
            if source.path and urlparse(fixed_part(source.path)).path in unquote(file[1]):
                return InputError(unreadable_file(source, file[1]))
    places = ", ".join(place(source) for source in sources if source.format == "parquet")
    if places and (damaged := _DAMAGED.search(text)):
        return InputError(f"{damaged[0]} while reading {places}: a file is cut off or damaged; deliver it again")
    failure = _SQL_FAILURE.search(text)
    if failure and (failure[1] or "").endswith(".CHARSET"):
        return ConfigError("options.encoding of a source is none that Spark knows; expected one such as ISO-8859-1")
    if failure:
        why = failure[1] or failure[0]
        # a pattern is the project's own text; other messages may quote a row
        told = f": {failure[2].split('. ')[0]}" if why.startswith("INVALID_DATETIME_PATTERN") else ""
        return ConfigError(
            f"SQL or a timestamp_format of the project fails on a row, with {why}{told}; expected null where "
            "it has no answer: look through columns, event_type, rules, criteria and segments for it"
        )
    if isinstance(error, PySparkException) and (failure := _NATIVE_SQL_FAILURE.search(text)):
        where = f", in {failure[1]}" if failure[1] else ""
        return ConfigError(
            f"SQL of the project fails on a row{where}, where this engine gives no null: use try_cast and its like, or "
            "--engine spark; look through columns, event_type, rules, criteria and segments for it"
        )
    return None


def _load_files(
    spark: SparkSession, source: Source, chosen: Collection[str] | None, otherwise: Sequence[str] = ()
) -> DataFrame:
    if not engines.of(spark).file_metadata:
        return by_file.load(spark, source, chosen, otherwise)
    options = options_of(source)
    require_encoding(spark, source, options)
    if source.format == "csv":
        return union(_csv_frames(spark, source, chosen))
    paths = [str(source.path)]
    if chosen is not None:
        paths, options = [as_pattern(file) for file in sorted(chosen)], {**_base_path(spark, source), **options}
    if source.format == "json":
        if is_on(options, "multiLine"):
            refuse_json_lines(spark, source)
        fields = _json_fields(spark, source, paths, chosen or (), options, otherwise)
        texts = one_value_each(source)  # an object where a value is expected is a bad row, and no bad file
        fields = [T.StructField(f.name, T.StringType() if f.name.lower() in texts else f.dataType) for f in fields]
        schema = T.StructType([*fields, T.StructField(CORRUPT, T.StringType())])
        frame = spark.read.options(**options, **KEEP_ALL).schema(schema).json(paths)
    else:
        return _parquet(spark, source, paths, options, chosen)
    return frame.select("*", F.col("_metadata.file_path").alias(FILE))


def _json_fields(
    spark: SparkSession,
    source: Source,
    paths: list[str],
    chosen: Collection[str],
    options: dict[str, str],
    otherwise: Sequence[str],
) -> list[T.StructField]:
    """What the objects in files have, and what folders tell of them; see `load`. Raises: NoRows."""
    of_folders = folders(str(source.path), sorted(chosen))

    def inferred(of: list[str], by: dict[str, str]) -> list[T.StructField]:
        schema = spark.read.options(**{"primitivesAsString": "true", **by, **KEEP_ALL}).json(of).schema
        return [field for field in schema if field.name != CORRUPT]

    def has_object(fields: list[T.StructField]) -> bool:
        return any(field.name not in of_folders for field in fields)

    fields = inferred(paths, options)
    if otherwise and not has_object(fields):
        fields = inferred([str(source.path)], options_of(source))
        if not has_object(fields):
            fields += [T.StructField(name, T.StringType()) for name in otherwise if name not in of_folders]
    if not has_object(fields):
        raise NoRows(no_rows(source, "no JSON object"))
    return fields


def _parquet(
    spark: SparkSession, source: Source, paths: list[str], options: dict[str, str], chosen: Collection[str] | None
) -> DataFrame:
    """The rows of the files, whose types may differ; Spark itself merges only what is alike."""
    options = {"mergeSchema": "true", **options}
    try:
        frame = spark.read.options(**options).parquet(*paths)
        frame.schema  # noqa: B018 - over Connect it is asked for only now
        return frame.select("*", F.col("_metadata.file_path").alias(FILE))
    except Exception as error:  # the class differs between classic and Connect
        if not any(word in str(error) for word in _DIFFERING):
            raise
    files = sorted(chosen if chosen is not None else _spark_listing(spark, source).inputFiles())
    options = {**_base_path(spark, source), **options}
    alike: dict[tuple[T.StructType, _Times], list[str]] = {}
    for some, schema, times in _alike(spark, source, files, options):
        alike.setdefault((schema, times), []).extend(some)
    frames = []
    for (schema, times), members in alike.items():
        # by the schema, since Spark would not infer it again
        frame = spark.read.options(**options).schema(schema).parquet(*map(as_pattern, members))
        frame = frame.select("*", F.col("_metadata.file_path").alias(FILE))
        frames.append(frame.withColumns({name: _microseconds(name, type_) for name, type_ in times}))
    return united(source, frames)


def _alike(
    spark: SparkSession, source: Source, files: list[str], options: dict[str, str]
) -> Iterator[tuple[list[str], T.StructType, _Times]]:
    """Files with the columns that all of them have in the same types, and those that are times in nanoseconds."""
    try:
        schema = spark.read.options(**options).parquet(*map(as_pattern, files)).schema
    except Exception as error:
        told = str(error)
        if not any(word in told for word in _DIFFERING) or ("CANNOT_MERGE_SCHEMAS" in told and len(files) == 1):
            raise
    else:
        yield files, schema, ()
        return
    if "CANNOT_MERGE_SCHEMAS" in told:
        half = len(files) // 2
        yield from _alike(spark, source, files[:half], options)
        yield from _alike(spark, source, files[half:], options)
        return
    with _nanoseconds_as_numbers(spark, source):
        for times, members in _by_nanoseconds(source, files).items():
            yield from ((some, schema, times) for some, schema, _ in _alike(spark, source, members, options))


def _by_nanoseconds(source: Source, files: list[str]) -> dict[_Times, list[str]]:
    """The files by their times in nanoseconds, which their footers tell and Spark does not."""
    alike: dict[_Times, list[str]] = {}
    for file in files:
        try:
            times = parquet_files.nanoseconds(file)
        except Exception:  # no pyarrow, or a place that it does not reach
            raise _no_nanoseconds(source) from None
        alike.setdefault(tuple(times.items()), []).append(file)
    return alike


def _microseconds(name: str, type_: str) -> Column:
    return F.expr(f"timestamp_micros({quoted(name)} div 1000)").cast(type_)


@contextmanager
def _nanoseconds_as_numbers(spark: SparkSession, source: Source) -> Iterator[None]:
    """While it is inferred what columns there are."""
    was = spark.conf.get(_NANOSECONDS, "false")
    try:
        spark.conf.set(_NANOSECONDS, "true")
    except Exception:
        raise _no_nanoseconds(source) from None
    try:
        yield
    finally:
        spark.conf.set(_NANOSECONDS, str(was))


def _no_nanoseconds(source: Source) -> InputError:
    return InputError(
        f"source {source.name}: found times in nanoseconds (TIMESTAMP(NANOS)) in files of {place(source)}, expected "
        "microseconds: write them so (with pandas, coerce_timestamps='us'); or install pyarrow, by which they are read "
        "where this process reaches the files"
    )


def _spark_listing(spark: SparkSession, source: Source) -> DataFrame:
    """A frame that Spark lists the files of a source for; it has one column, and those that folders make."""
    return spark.read.options(**which_files(source)).text(str(source.path))


def _base_path(spark: SparkSession, source: Source) -> dict[str, str]:
    """Where folders called `name=value` begin, for a reader that is given files; without such folders nothing."""
    return {"basePath": fixed_part(source.path)} if _spark_listing(spark, source).columns[1:] else {}


def _csv_frames(spark: SparkSession, source: Source, chosen: Collection[str] | None) -> Iterable[DataFrame]:
    """One frame for each header that occurs among the files, so that drift between files moves no value sideways."""
    options, path = {**csv_options(options_of(source)), **KEEP_ALL}, str(source.path)
    listed = _spark_listing(spark, source)
    files, partitions = sorted(chosen if chosen is not None else listed.inputFiles()), listed.columns[1:]
    if not files:
        raise NoRows(no_rows(source, "no file"))
    groups = by_header(source, files, partial(_first_by_spark, spark, options), options)
    whole = chosen is None and len(groups) == 1 and len(next(iter(groups.values()))) == len(files)
    base = {"basePath": fixed_part(source.path)} if partitions and not whole else {}
    for header, members in groups.items():
        refuse_ambiguous(source, header, partitions)
        schema = T.StructType([T.StructField(name, T.StringType()) for name in (*header, CORRUPT, *partitions)])
        reader = spark.read.options(**{**base, **options}).schema(schema)
        frame = reader.csv(path if whole else [as_pattern(file) for file in members])
        yield _unswallowed(frame.select("*", F.col("_metadata.file_path").alias(FILE)), header, options)


def _unswallowed(frame: DataFrame, header: tuple[str, ...], options: dict[str, str]) -> DataFrame:
    """Make each line that an unclosed quote has swallowed a malformed row again, so that it counts and is found.

    A line is swallowed where it stands inside of a cell and has as many cells as the header, with no blank before one,
    as a sentence would have.
    """
    if not is_on(options, "multiLine") or len(header) < 3:
        return frame
    sep = separator_of(options)
    other = f"[^\\n\x1f{re.escape(sep)}]*"
    inner_line = f"\\n(?:{other}{re.escape(sep)}(?! )){{{len(header) - 1}}}{other}(?:\\n|\x1f|$)"
    cells = [F.coalesce(F.col(quoted(name)), F.lit("")) for name in header]
    text = F.concat_ws("\x1f", *cells)
    lines = F.split(F.rtrim(F.coalesce(CORRUPT, F.concat_ws(sep, *cells)), F.lit("\n")), "\n")
    marked = frame.withColumn("_swallows", text.contains("\n") & text.rlike(inner_line))
    return marked.select(
        *(F.when(~F.col("_swallows"), F.col(quoted(name))).alias(name) for name in header),
        F.explode(F.when(F.col("_swallows"), lines).otherwise(F.array(CORRUPT))).alias(CORRUPT),
        *(F.col(quoted(name)) for name in frame.columns if name not in (*header, CORRUPT)),
    )


def as_pattern(file: str) -> str:
    """A listed file as a reader takes it: Spark lists addresses and reads patterns."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", unquote(file))


def _first_by_spark(spark: SparkSession, options: dict[str, str], file: str) -> list[str]:
    first = spark.read.options(**{**options, "header": "false"}).csv(as_pattern(file)).head()
    return ["" if cell is None else str(cell).lstrip("\ufeff") for cell in first] if first else []


def require_encoding(spark: SparkSession, source: Source, options: dict[str, str]) -> None:
    """Spark reads a few encodings by itself, and Java's others only where the session lets it."""
    encoding = encoding_of(options)
    if encoding.lower() not in _SPARKS_ENCODINGS and str(spark.conf.get(JAVA_CHARSETS, "false")).lower() != "true":
        raise EnvironmentFault(
            f"source {source.name}: options.encoding is {encoding}, which Spark reads only where {JAVA_CHARSETS} is "
            "true, and this platform does not let a job set that: set it where the session is configured, or deliver "
            "UTF-8"
        )

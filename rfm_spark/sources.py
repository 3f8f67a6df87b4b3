"""Read raw data into canonical columns.

One row stays one row: nothing is judged here, so nothing is lost here. Text formats are read as strings, `types` are
try-cast before any SQL sees them, and each canonical column is a source column or SQL over the source's columns.
"""

import codecs
import csv
import difflib
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlparse

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.models import CANONICAL_COLUMNS, EventType, Expression, Source
from rfm_spark.config.words import without_secrets
from rfm_spark.errors import ConfigError, EnvironmentFault, Fault, InputError, RfmSparkError
from rfm_spark.session import JAVA_CHARSETS
from rfm_spark.sql import ISO_DAY, first_line, quoted, type_of

CORRUPT = "_corrupt_record"
RAW, FILE, TYPE_FAULT, BASE_ID, ORDER_IS_EVENT = "_raw", "_file", "_fault:", "_event_base", "_order_is_event"
_CSV_DEFAULTS = {"header": "true", "escape": '"', "multiLine": "true"}
_NUMERIC = ("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "float", "double", "decimal")
_SPARKS_ENCODINGS = ("us-ascii", "iso-8859-1", "utf-8", "utf-16be", "utf-16le", "utf-16", "utf-32")
_COMPRESSED = (".bz2", ".zst", ".lz4", ".snappy", ".deflate")
_WHICH_FILES = ("pathglobfilter", "recursivefilelookup", "modifiedbefore", "modifiedafter", "basepath")
# whatever a source's options say, a row that does not parse is kept
_KEEP_ALL = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT, "columnPruning": "false"}
_SEVERAL_TYPES = re.compile(r'schema:\s*"STRUCT<(.*)>"')
_UNREADABLE = ("FAILED_READ_FILE", "CANNOT_MERGE_SCHEMAS", "CANNOT_INFER", "Unsupported encoding", "charset")
_FILE = re.compile(r"while reading file (\S+?)\.?\s")
# what SQL or a datetime pattern can raise at a row, even where the engine is told to give null
_SQL_FAILURE = re.compile(
    r"\[((?:INVALID_|INCONSISTENT_BEHAVIOR|USER_RAISED|ILLEGAL_|DATETIME_|ARITHMETIC_|NULL_MAP_KEY|DUPLICATED_MAP_KEY"
    r"|CAST_|UNRECOGNIZED_|COLLECTION_SIZE)[A-Z_.]*)\] ?(.*)"
)
_EXACT_INTEGER = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 20}


def read(spark: SparkSession, source: Source) -> DataFrame:
    """One row a row of the source, with its raw columns and its canonical ones, still unparsed.

    Returns: the canonical columns of `source.columns` under `c_<name>`, `c_event_type`, attributes under `a_<name>`;
        the source's own columns, typed where `types` says so; `_raw` (struct of the row as read), `_file`,
        `_fault:<reason>` (true where a declared type did not fit), `_event_base` (the declared identity, or a hash of
        the whole row) and `_order_is_event` (`order_id: event_id`, every row an order of its own).
    Raises: InputError for a missing or empty input or a missing column; ConfigError for SQL that does not resolve.
    """
    return canonical(_load(spark, source), source)


def canonical(raw: DataFrame, source: Source) -> DataFrame:
    """Map a frame of raw columns (and `_file`) to canonical ones; see `read`."""
    names = [name for name in raw.columns if name != FILE]
    _require_columns(source, names)
    typed = raw.select(
        FILE,
        F.struct(*(F.col(quoted(name)) for name in names)).alias(RAW),
        *(_typed(raw, name, _declared_type(source, name)).alias(name) for name in names if name != CORRUPT),
        *(fault.alias(name) for name, fault in _type_faults(raw, source, names).items()),
        _event_base(raw, source, names).alias(BASE_ID),
        F.lit(_order_is_event(source, names)).alias(ORDER_IS_EVENT),
    )
    wanted = {f"c_{name}": expression for name, expression in source.columns.items()}
    if _order_is_event(source, names):
        del wanted["c_order_id"]
    wanted |= {f"a_{name}": expression for name, expression in source.attributes.items()}
    mapped = {alias: _column(typed, source, alias, expression, names) for alias, expression in wanted.items()}
    if source.event_type is not None:
        mapped["c_event_type"] = _event_type(typed, source, source.event_type)
    return typed.withColumns(mapped)


def place(source: Source) -> str:
    """Where the rows of a source are, as a message or a run record may say it."""
    return without_secrets(str(source.path or source.table))


def extra_columns(source: Source) -> list[str]:
    """Columns of a source that `events` carries beyond the canonical ones."""
    return [name for name in source.columns if name not in CANONICAL_COLUMNS] if source.kind == "events" else []


# --- reading ---------------------------------------------------------------------------------------------------------


def _load(spark: SparkSession, source: Source) -> DataFrame:
    try:
        if source.format == "table":
            return spark.table(str(source.table)).withColumn(FILE, F.lit(None).cast("string"))
        if source.format == "delta":
            frame = spark.read.format("delta").options(**_options(source)).load(source.path)
            return frame.withColumn(FILE, F.lit(None).cast("string"))
        return _load_files(spark, source)
    except RfmSparkError:
        raise
    except Exception as error:
        if isinstance(error, AnalysisException) or any(word in str(error) for word in _UNREADABLE):
            raise InputError(_explain_unreadable(source, error)) from None
        raise


def cause(error: Exception, sources: Iterable[Source]) -> RfmSparkError | None:
    """The fault in a source or in the project's SQL behind what Spark raised while it went through rows, or None."""
    text = str(error)
    if file := _FILE.search(text + " "):
        for source in sources:
            if source.path and urlparse(_fixed(source.path)).path in unquote(file[1]):
                return InputError(_unreadable_file(source, file[1]))
    failure = _SQL_FAILURE.search(text)
    if failure and failure[1].endswith(".CHARSET"):
        return ConfigError("options.encoding of a source is none that Spark knows; expected one such as ISO-8859-1")
    if failure:
        # a pattern is the project's own text; other messages may quote a row
        told = f": {failure[2].split('. ')[0]}" if failure[1].startswith("INVALID_DATETIME_PATTERN") else ""
        return ConfigError(
            f"SQL or a timestamp_format of the project fails on a row, with {failure[1]}{told}; expected null where "
            "it has no answer: look through columns, event_type, rules, criteria and segments for it"
        )
    return None


def _load_files(spark: SparkSession, source: Source) -> DataFrame:
    options, path = _options(source), str(source.path)
    _require_encoding(spark, source, options)
    if source.format == "csv":
        frames = list(_csv_frames(spark, source))
        raw = frames[0]
        for frame in frames[1:]:
            raw = raw.unionByName(frame, allowMissingColumns=True)
        return raw
    if source.format == "json":
        if options.get("multiLine") == "true":
            _refuse_json_lines(spark, source)
        inferred = spark.read.options(**{"primitivesAsString": "true", **options, **_KEEP_ALL}).json(path).schema
        fields = [field for field in inferred.fields if field.name != CORRUPT]
        if not fields:
            raise InputError(_no_rows(source, "no JSON object"))
        schema = T.StructType([*fields, T.StructField(CORRUPT, T.StringType())])
        frame = spark.read.options(**options, **_KEEP_ALL).schema(schema).json(path)
    else:
        frame = spark.read.options(**{"mergeSchema": "true", **options}).parquet(path)
    return frame.select("*", F.col("_metadata.file_path").alias(FILE))


def _csv_frames(spark: SparkSession, source: Source) -> Iterable[DataFrame]:
    """One frame for each header that occurs among the files, so that drift between files moves no value sideways."""
    options, path = {**_CSV_DEFAULTS, **_options(source), **_KEEP_ALL}, str(source.path)
    listed = spark.read.options(**{k: v for k, v in options.items() if k.lower() in _WHICH_FILES}).text(path)
    files, partitions = sorted(listed.inputFiles()), listed.columns[1:]
    if not files:
        raise InputError(_no_rows(source, "no file"))
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, header in zip(files, _headers(spark, source, files, options), strict=True):
        if header:
            groups[header].append(file)
    if not groups:
        raise InputError(_no_rows(source, "an empty file"))
    whole = len(groups) == 1 and len(next(iter(groups.values()))) == len(files)
    base = {"basePath": _fixed(source.path)} if partitions and not whole else {}
    for header, members in sorted(groups.items()):
        _refuse_ambiguous(source, header, partitions)
        schema = T.StructType([T.StructField(name, T.StringType()) for name in (*header, CORRUPT, *partitions)])
        reader = spark.read.options(**{**base, **options}).schema(schema)
        frame = reader.csv(path if whole else [_literal(file) for file in members])
        yield _unswallowed(frame.select("*", F.col("_metadata.file_path").alias(FILE)), header, options)


def _unswallowed(frame: DataFrame, header: tuple[str, ...], options: dict[str, str]) -> DataFrame:
    """Make each line that an unclosed quote has swallowed a malformed row again, so that it counts and is found.

    A line is swallowed where it stands inside of a cell and has as many cells as the header, with no blank before one,
    as a sentence would have.
    """
    if options["multiLine"].lower() != "true" or len(header) < 3:
        return frame
    sep = _separator(options)
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


def _literal(file: str) -> str:
    """A listed file as a reader takes it: Spark lists addresses and reads patterns."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", unquote(file))


def _fixed(path: str | None) -> str:
    """The folder or file of a path, up to its first wildcard."""
    start = re.split(r"[*?\[{]", str(path))[0]
    return start if start == path else start.rsplit("/", 1)[0]


def _headers(spark: SparkSession, source: Source, files: list[str], options: dict[str, str]) -> list[tuple[str, ...]]:
    """The header of each file; empty for an empty file. A column without a name is called as Spark calls it."""
    has_header = options["header"].lower() == "true"

    def header(file: str) -> tuple[str, ...]:
        cells = _first_cells(spark, source, file, options)
        if not has_header:
            return tuple(f"_c{i}" for i in range(len(cells)))
        return tuple(cell.strip() or f"_c{i}" for i, cell in enumerate(cells))

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(header, files))


def _first_cells(spark: SparkSession, source: Source, file: str, options: dict[str, str]) -> list[str]:
    url, encoding = urlparse(file), _encoding(options)
    if url.scheme in ("", "file") and not url.path.endswith(_COMPRESSED) and _python_knows(encoding):
        encoding = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
        quote, sep, path = options.get("quote", '"'), _separator(options), unquote(url.path)
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rt", encoding=encoding, errors="replace", newline="") as text:
            comment = options.get("comment")
            lines = (line for line in text if not (comment and line.startswith(comment)))
            if len(sep) > 1:
                return next((line.strip("\r\n").split(sep) for line in lines if line.strip()), [])
            quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
            try:
                return next((cells for cells in csv.reader(lines, delimiter=sep, strict=True, **quoting) if cells), [])
            except csv.Error:
                raise InputError(
                    f"source {source.name}: a quote in the first line of {path} is not closed; mend it, or set "
                    "options.quote"
                ) from None
    first = spark.read.options(**{**options, "header": "false"}).csv(_literal(file)).head()
    return ["" if cell is None else str(cell).lstrip("\ufeff") for cell in first] if first else []


def _separator(options: dict[str, str]) -> str:
    return options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")


def _encoding(options: dict[str, str]) -> str:
    return options.get("encoding", options.get("charset", "utf-8"))


def _require_encoding(spark: SparkSession, source: Source, options: dict[str, str]) -> None:
    """Spark reads a few encodings by itself, and Java's others only where the session lets it."""
    encoding = _encoding(options)
    if encoding.lower() not in _SPARKS_ENCODINGS and str(spark.conf.get(JAVA_CHARSETS, "false")).lower() != "true":
        raise EnvironmentFault(
            f"source {source.name}: options.encoding is {encoding}, which Spark reads only where {JAVA_CHARSETS} is "
            "true, and this platform does not let a job set that: set it where the session is configured, or deliver "
            "UTF-8"
        )


def _python_knows(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


def _refuse_json_lines(spark: SparkSession, source: Source) -> None:
    """With multiLine a file is one JSON document: of several, all but the first would be lost."""
    lines = [row.value for row in spark.read.text(str(source.path)).head(2)]
    try:
        several = len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return
    if several:
        raise InputError(
            f"source {source.name}: found one JSON object a line at {place(source)}, expected one document a file with "
            "options.multiLine: true; take that option out"
        )


def _options(source: Source) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in source.options.items()
    }


# --- mapping ---------------------------------------------------------------------------------------------------------


def _declared_type(source: Source, name: str) -> str | None:
    return next((type_ for column, type_ in source.types.items() if column.lower() == name.lower()), None)


def _typed(raw: DataFrame, name: str, declared: str | None) -> Column:
    """The column as SQL calculates with it: whole numbers as exact decimals, so that nothing wraps around."""
    actual = declared or raw.schema[name].dataType.simpleString()
    column = _cast(F.col(quoted(name)), raw.schema[name].dataType, declared)
    aliases = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
    digits = _EXACT_INTEGER.get(aliases.get(actual.lower(), actual.lower()))
    return column.cast(f"decimal({digits},0)") if digits else column


def _cast(column: Column, actual: T.DataType, declared: str | None) -> Column:
    """The declared type, or null; a text is a date or time only with year, month and day, never by the clock."""
    if declared is None:
        return column
    if isinstance(actual, T.StringType) and declared.lower() in ("date", "timestamp"):
        return F.when(column.rlike(ISO_DAY), column.try_cast(declared))
    return column.try_cast(declared)


def _type_faults(raw: DataFrame, source: Source, names: list[str]) -> dict[str, Column]:
    """For each declared type a column that is true where a present value did not fit it, named by its reason."""
    known = {name.lower(): name for name in names}
    faults = {}
    for column, type_ in source.types.items():
        name = known[column.lower()]
        value, kind = F.col(quoted(name)), type_.split("(")[0].strip().lower()
        unfit = _cast(value, raw.schema[name].dataType, type_).isNull()
        if isinstance(raw.schema[name].dataType, T.StringType):
            present = F.trim(value) != ""
            unfit = unfit | (F.isnan(value.try_cast("double")) if kind in ("float", "double") else F.lit(False))
        else:
            present = value.isNotNull()
        reason = f"not_a_number:{column}" if kind in _NUMERIC else f"not_a_{kind}:{column}"
        faults[TYPE_FAULT + reason] = F.coalesce(present & unfit, F.lit(False))
    return faults


def _event_base(raw: DataFrame, source: Source, names: list[str]) -> Column:
    """The declared identity as readable text, or a hash over the whole row; null where every declared part is null.

    The hash is over names and values without nulls: neither the order of columns nor an empty one more changes it.
    """
    declared = source.event_id_columns
    if declared is None:
        cells = (F.concat(F.lit(f"{name.lower()}="), _as_text(raw, name)) for name in sorted(names, key=str.lower))
        return F.md5(F.concat_ws("\x1f", *cells))
    known = {name.lower(): name for name in names}
    parts = [F.col(quoted(known[name.lower()])).cast("string") for name in declared]
    if len(parts) == 1:
        return F.when(F.trim(parts[0]) != "", parts[0])
    return F.when(F.coalesce(*parts).isNotNull(), F.concat_ws("|", *(_escaped(part) for part in parts)))


def _escaped(part: Column) -> Column:
    """One part of a joined identity, so that no two lists of parts join alike."""
    escaped = F.replace(F.replace(part, F.lit("\\"), F.lit("\\\\")), F.lit("|"), F.lit("\\|"))
    return F.when(part.isNull(), F.lit("\\N")).when(part.contains("|") | part.contains("\\"), escaped).otherwise(part)


def _as_text(raw: DataFrame, name: str) -> Column:
    nested = isinstance(raw.schema[name].dataType, T.StructType | T.ArrayType | T.MapType)
    column = F.col(quoted(name))
    return F.to_json(F.struct(column)) if nested else column.cast("string")


def _column(typed: DataFrame, source: Source, alias: str, expression: Expression, names: list[str]) -> Column:
    if expression.column is None:
        return _sql(typed, str(expression.sql), f"sources.{source.name}.columns.{alias[2:]}.sql", source)
    name = next(name for name in names if name.lower() == str(expression.column).lower())
    raw = typed.schema[RAW].dataType
    assert isinstance(raw, T.StructType)
    as_read, data_type = F.col(f"{RAW}.{quoted(name)}"), raw[name].dataType
    if alias.removeprefix("c_") in CANONICAL_COLUMNS:
        if isinstance(data_type, T.StructType | T.ArrayType | T.MapType):
            raise InputError(
                f"source {source.name}: column {name} holds {data_type.simpleString()[:80]}, expected one value for "
                f"{alias[2:]}; reach inside with {{sql: …}}"
            )
        return as_read  # a canonical column parses itself
    return _cast(as_read, data_type, _declared_type(source, name))


def _order_is_event(source: Source, raw_names: Iterable[str]) -> bool:
    order = source.columns.get("order_id")
    return order is not None and order.column == "event_id" and "event_id" not in {n.lower() for n in raw_names}


def _event_type(typed: DataFrame, source: Source, event_type: EventType) -> Column:
    if event_type.constant:
        return F.lit(event_type.constant)
    if event_type.sql:
        return _sql(typed, event_type.sql, f"sources.{source.name}.event_type.sql", source)
    value = F.trim(F.col(quoted(str(event_type.column))).cast("string"))
    mapped = F.lit(None).cast("string")
    for theirs, ours in (event_type.values or {}).items():
        mapped = F.when(value == theirs, F.lit(ours)).otherwise(mapped)
    return mapped


def _sql(frame: DataFrame, sql: str, path: str, source: Source) -> Column:
    """The expression, resolved now so that a typo is named before any row is read."""
    try:
        type_of(frame, sql)
    except SqlFault as fault:
        raise ConfigError([Fault(path, f"{fault} (columns of {source.name}: {_listed(frame.columns)})")]) from None
    return F.expr(sql)


# --- messages --------------------------------------------------------------------------------------------------------


def _require_columns(source: Source, names: list[str]) -> None:
    known = {name.lower() for name in names}
    wanted = [e.column for e in (*source.columns.values(), *source.attributes.values()) if e.column]
    wanted += [*source.types, *(source.event_id_columns or [])]
    if source.event_type is not None and source.event_type.column:
        wanted.append(source.event_type.column)
    implied = {"event_id"} if _order_is_event(source, names) else set()
    missing = [name for name in dict.fromkeys(wanted) if name.lower() not in known and name not in implied]
    if missing:
        raise InputError(f"source {source.name}: " + "; ".join(_missing(source, name, names) for name in missing))


def _missing(source: Source, name: str, names: list[str]) -> str:
    present = [n for n in names if n != CORRUPT]
    if source.format == "csv" and _looks_like_data(present):
        return (
            f"no column {name}; the first line of {place(source)} looks like data, expected column names; if it has "
            "none, set options.header: false and map _c0, _c1, …"
        )
    near = difflib.get_close_matches(name, present, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if source.format == "csv" and len(present) == 1 and not near:
        separators = [s for s in (";", "\t", "|", ",") if s in present[0]]
        hint = f"; the file looks separated by {separators[0]!r}: set options.sep" if separators else hint
    if any("\ufffd" in n for n in present):
        hint += "; the names do not decode as UTF-8: set options.encoding, such as ISO-8859-1"
    return f"no column {name}; found {_listed(present)}{hint}"


def _looks_like_data(names: Iterable[str]) -> bool:
    """Whether a header holds numbers, dates or addresses, which are not to be shown."""
    return any(re.fullmatch(r"[\d\W]*\d[\d\W]*|\S+@\S+", name) for name in names)


def _refuse_ambiguous(source: Source, header: tuple[str, ...], partitions: list[str]) -> None:
    lower = [name.lower() for name in header]
    twice = sorted({name for name in header if lower.count(name.lower()) > 1})
    if twice:
        shown = "a value" if _looks_like_data(header) else f"column {', '.join(twice)}"
        raise InputError(
            f"source {source.name}: {shown} stands twice in the header of {place(source)}, expected each name once "
            "(capitals do not tell names apart); rename it, or set options.header: false and map _c0, _c1, …"
        )
    both = [name for name in partitions if name.lower() in lower]
    if both:
        raise InputError(
            f"source {source.name}: column {', '.join(both)} stands in the header and in the folders' names of "
            f"{place(source)}, expected one of them; rename one"
        )


def _listed(names: Iterable[str]) -> str:
    internal = (CORRUPT, FILE, RAW, BASE_ID, ORDER_IS_EVENT)
    shown = [name for name in names if name not in internal and not name.startswith(TYPE_FAULT)]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _no_rows(source: Source, found: str) -> str:
    expected = f"{source.format} with at least its column names"
    return f"source {source.name}: found {found} at {place(source)}, expected {expected}"


def _explain_unreadable(source: Source, error: Exception) -> str:
    where, text = place(source), str(error)
    if "DELTA_TABLE_NOT_FOUND" in text or "is not a Delta table" in text:
        return f"source {source.name}: found no Delta table at {where}; check path, or set format: parquet"
    if "PATH_NOT_FOUND" in text or "does not exist" in text:
        return f"source {source.name}: nothing found at {where}; check path, or mount what holds it"
    if "TABLE_OR_VIEW_NOT_FOUND" in text:
        return f"source {source.name}: no table {where} in the catalog; check its name and your rights"
    if "UNABLE_TO_INFER_SCHEMA" in text:
        return _no_rows(source, "no readable file")
    if "CANNOT_MERGE_SCHEMAS" in text:
        return f"source {source.name}: the files of {where} differ in type: {_differing(text)}; make them one type"
    if file := _FILE.search(text + " "):
        return _unreadable_file(source, file[1])
    return f"source {source.name}: cannot read {where} as {source.format}: {without_secrets(first_line(error))}"


def _unreadable_file(source: Source, file: str) -> str:
    return (
        f"source {source.name}: cannot read {unquote(urlparse(file).path)} as {source.format}: it is cut off, damaged "
        "or of another format or type than the others; deliver it again or take it out"
    )


def _differing(text: str) -> str:
    """Column and types of what two schemas in a message of Spark do not agree on."""
    schemas = [dict(re.findall(r"(\w+): (\w+)", found)) for found in _SEVERAL_TYPES.findall(text)]
    if len(schemas) != 2:
        return "a column"
    one, other = schemas
    return ", ".join(f"{n} is {t} and {other[n]}" for n, t in one.items() if other.get(n, t) != t) or "a nested column"

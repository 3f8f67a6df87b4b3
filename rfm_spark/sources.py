"""Read raw data into canonical columns.

One row stays one row: nothing is judged here, so nothing is lost here. Text formats are read as strings, `types` are
try-cast before any SQL sees them, and each canonical column is a source column or SQL over the source's columns.
"""

import csv
import difflib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlparse

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.models import CANONICAL_COLUMNS, EventType, Expression, Source
from rfm_spark.errors import ConfigError, Fault, InputError

CORRUPT = "_corrupt_record"
RAW, FILE, TYPE_FAULT, BASE_ID, ORDER_IS_EVENT = "_raw", "_file", "_fault:", "_event_base", "_order_is_event"
_CSV_DEFAULTS = {"header": "true", "escape": '"', "multiLine": "true"}
_NUMERIC = ("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "float", "double", "decimal")
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
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


def raw_schema(spark: SparkSession, source: Source) -> T.StructType:
    """The schema of the source's raw rows, to read quarantined records back."""
    return T.StructType([field for field in _load(spark, source).schema if field.name != FILE])


def canonical(raw: DataFrame, source: Source) -> DataFrame:
    """Map a frame of raw columns (and `_file`) to canonical ones; see `read`."""
    names = [name for name in raw.columns if name != FILE]
    _require_columns(source, names)
    typed = raw.select(
        FILE,
        F.struct(*(F.col(_quoted(name)) for name in names)).alias(RAW),
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
    except AnalysisException as error:
        raise InputError(_explain_unreadable(source, error)) from None


def _load_files(spark: SparkSession, source: Source) -> DataFrame:
    if source.format == "csv":
        frames = list(_csv_frames(spark, source))
        raw = frames[0]
        for frame in frames[1:]:
            raw = raw.unionByName(frame, allowMissingColumns=True)
        return raw
    options = _options(source)
    if source.format == "json":
        inferred = spark.read.options(**{"primitivesAsString": "true", **options}).json(source.path).schema
        fields = [field for field in inferred.fields if field.name != CORRUPT]
        if not fields:
            raise InputError(_no_rows(source, "no JSON object"))
        schema = T.StructType([*fields, T.StructField(CORRUPT, T.StringType())])
        frame = spark.read.options(**options).schema(schema).json(source.path)
    else:
        frame = spark.read.options(**{"mergeSchema": "true", **options}).parquet(source.path)
    return frame.select("*", F.col("_metadata.file_path").alias(FILE))


def _csv_frames(spark: SparkSession, source: Source) -> Iterable[DataFrame]:
    """One frame for each header that occurs among the files, so that drift between files moves no value sideways."""
    options = {**_CSV_DEFAULTS, **_options(source)}
    files = sorted(spark.read.text(source.path).inputFiles())
    if not files:
        raise InputError(_no_rows(source, "no file"))
    headers = _headers(spark, files, options)
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, header in zip(files, headers, strict=True):
        if header:
            groups[header].append(file)
    if not groups:
        raise InputError(_no_rows(source, "an empty file"))
    for header, members in sorted(groups.items()):
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputError(f"source {source.name}: column {', '.join(twice)} stands twice in the header; rename it")
        schema = T.StructType([T.StructField(name, T.StringType()) for name in (*header, CORRUPT)])
        reader = spark.read.options(columnNameOfCorruptRecord=CORRUPT, columnPruning="false", **options).schema(schema)
        base = {"basePath": str(source.path).split("*")[0]} if len(groups) > 1 and "=" in members[0] else {}
        paths = members if len(groups) > 1 or len(members) < len(files) else source.path
        yield reader.options(**base).csv(paths).select("*", F.col("_metadata.file_path").alias(FILE))


def _headers(spark: SparkSession, files: list[str], options: dict[str, str]) -> list[tuple[str, ...]]:
    """The header of each file; empty for an empty file."""
    encoding = options.get("encoding", options.get("charset", "utf-8"))
    encoding = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    has_header = options["header"].lower() == "true"

    def header(file: str) -> tuple[str, ...]:
        line = _first_line(spark, file, encoding)
        if not line.strip():
            return ()
        quote, sep = options.get("quote", '"'), options.get("sep", options.get("delimiter", ","))
        cells = next(csv.reader([line], delimiter=sep.replace("\\t", "\t")[:1], quotechar=quote or None))
        return tuple(cell.strip() for cell in cells) if has_header else tuple(f"_c{i}" for i in range(len(cells)))

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(header, files))


def _first_line(spark: SparkSession, file: str, encoding: str) -> str:
    url = urlparse(file)
    if url.scheme in ("", "file") and not url.path.endswith(_COMPRESSED):
        with open(unquote(url.path), encoding=encoding, errors="replace") as lines:
            return lines.readline().rstrip("\r\n")
    first = spark.read.text(file).head()
    return first.value.lstrip("\ufeff") if first else ""


def _options(source: Source) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in source.options.items()
    }


# --- mapping ---------------------------------------------------------------------------------------------------------


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _declared_type(source: Source, name: str) -> str | None:
    return next((type_ for column, type_ in source.types.items() if column.lower() == name.lower()), None)


def _typed(raw: DataFrame, name: str, declared: str | None) -> Column:
    """The column as SQL calculates with it: whole numbers as exact decimals, so that nothing wraps around."""
    column = F.col(_quoted(name))
    actual = declared or raw.schema[name].dataType.simpleString()
    if declared:
        column = column.try_cast(declared)
    aliases = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
    digits = _EXACT_INTEGER.get(aliases.get(actual.lower(), actual.lower()))
    return column.cast(f"decimal({digits},0)") if digits else column


def _type_faults(raw: DataFrame, source: Source, names: list[str]) -> dict[str, Column]:
    """For each declared type a column that is true where a present value did not fit it, named by its reason."""
    known = {name.lower(): name for name in names}
    faults = {}
    for column, type_ in source.types.items():
        name = known[column.lower()]
        value, kind = F.col(_quoted(name)), type_.split("(")[0].strip().lower()
        unfit = value.try_cast(type_).isNull()
        if isinstance(raw.schema[name].dataType, T.StringType):
            present = F.trim(value) != ""
            unfit = unfit | (F.isnan(value.try_cast("double")) if kind in ("float", "double") else F.lit(False))
        else:
            present = value.isNotNull()
        reason = f"not_a_number:{column}" if kind in _NUMERIC else f"not_a_{kind}:{column}"
        faults[TYPE_FAULT + reason] = F.coalesce(present & unfit, F.lit(False))
    return faults


def _event_base(raw: DataFrame, source: Source, names: list[str]) -> Column:
    """The declared identity as readable text, or a hash over the whole row; null where every declared part is null."""
    declared = source.event_id_columns
    if declared is None:
        return F.md5(F.concat_ws("\x1f", *(F.coalesce(_as_text(raw, name), F.lit("\x00")) for name in names)))
    known = {name.lower(): name for name in names}
    parts = [F.col(_quoted(known[name.lower()])).cast("string") for name in declared]
    if len(parts) == 1:
        return F.when(F.trim(parts[0]) != "", parts[0])
    return F.when(F.coalesce(*parts).isNotNull(), F.concat_ws("|", *(_escaped(part) for part in parts)))


def _escaped(part: Column) -> Column:
    """One part of a joined identity, so that no two lists of parts join alike."""
    escaped = F.replace(F.replace(part, F.lit("\\"), F.lit("\\\\")), F.lit("|"), F.lit("\\|"))
    return F.when(part.isNull(), F.lit("\\N")).when(part.contains("|") | part.contains("\\"), escaped).otherwise(part)


def _as_text(raw: DataFrame, name: str) -> Column:
    nested = isinstance(raw.schema[name].dataType, T.StructType | T.ArrayType | T.MapType)
    column = F.col(_quoted(name))
    return F.to_json(F.struct(column)) if nested else column.cast("string")


def _column(typed: DataFrame, source: Source, alias: str, expression: Expression, names: list[str]) -> Column:
    if expression.column is None:
        return _sql(typed, str(expression.sql), f"sources.{source.name}.columns.{alias[2:]}.sql", source)
    name = next(name for name in names if name.lower() == str(expression.column).lower())
    declared = _declared_type(source, name)
    as_read = F.col(f"{RAW}.{_quoted(name)}")
    return as_read.try_cast(declared) if declared else as_read


def _order_is_event(source: Source, raw_names: Iterable[str]) -> bool:
    order = source.columns.get("order_id")
    return order is not None and order.column == "event_id" and "event_id" not in {n.lower() for n in raw_names}


def _event_type(typed: DataFrame, source: Source, event_type: EventType) -> Column:
    if event_type.constant:
        return F.lit(event_type.constant)
    if event_type.sql:
        return _sql(typed, event_type.sql, f"sources.{source.name}.event_type.sql", source)
    value = F.trim(F.col(_quoted(str(event_type.column))).cast("string"))
    mapped = F.lit(None).cast("string")
    for theirs, ours in (event_type.values or {}).items():
        mapped = F.when(value == theirs, F.lit(ours)).otherwise(mapped)
    return mapped


def _sql(frame: DataFrame, sql: str, path: str, source: Source) -> Column:
    """The expression, resolved now so that a typo is named before any row is read."""
    column = F.expr(sql)
    try:
        frame.select(column).schema  # noqa: B018 - resolves the expression
    except AnalysisException as error:
        raise ConfigError(
            [Fault(path, f"{first_line(error)} (columns of {source.name}: {_listed(frame.columns)})")]
        ) from None
    return column


def first_line(error: Exception) -> str:
    """Spark's message in one line, without its plan or code."""
    text = str(error).strip().splitlines()[0]
    return text.split(". SQLSTATE")[0].split(" SQLSTATE:")[0]


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
    near = difflib.get_close_matches(name, present, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if source.format == "csv" and len(present) == 1 and not near:
        separators = [s for s in (";", "\t", "|", ",") if s in present[0]]
        hint = f"; the file looks separated by {separators[0]!r}: set options.sep" if separators else hint
    return f"no column {name}; found {_listed(present)}{hint}"


def _listed(names: Iterable[str]) -> str:
    shown = [name for name in names if not name.startswith("_")]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _no_rows(source: Source, found: str) -> str:
    return (
        f"source {source.name}: found {found} at {source.path}, expected {source.format} with at least its column names"
    )


def _explain_unreadable(source: Source, error: AnalysisException) -> str:
    place = source.table if source.format == "table" else source.path
    text = str(error)
    if "PATH_NOT_FOUND" in text or "does not exist" in text:
        return f"source {source.name}: nothing found at {place}; check path, or mount what holds it"
    if "TABLE_OR_VIEW_NOT_FOUND" in text:
        return f"source {source.name}: no table {place} in the catalog; check its name and your rights"
    if "UNABLE_TO_INFER_SCHEMA" in text:
        return _no_rows(source, "no readable file")
    return f"source {source.name}: cannot read {place} as {source.format}: {first_line(error)}"

"""Raw columns as canonical ones: each a column of the source, or SQL over its columns."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.base import Expression
from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.source import CANONICAL_COLUMNS, EventType, Source
from rfm_spark.errors import ConfigError, Fault, InputError
from rfm_spark.sources.columns import BASE_ID, CORRUPT, FILE, ORDER_IS_EVENT, RAW, TYPE_FAULT, order_is_event, shown
from rfm_spark.sources.messages import require_columns
from rfm_spark.sources.united import widened
from rfm_spark.sql import ISO_DAY, as_text, quoted, try_decimal, type_of

_NUMERIC = ("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "float", "double", "decimal")
_DAY = r"^\s*(\d{4}-\d{1,2}-\d{1,2})"
_NEVER_ESCAPED = (T.NumericType, T.BooleanType, T.DateType, T.TimestampType, T.TimestampNTZType)
_EXACT_INTEGER = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 20}


def canonical(raw: DataFrame, source: Source) -> DataFrame:
    """Map a frame of raw columns (and `_file`) to canonical ones; see `read`."""
    names = [name for name in raw.columns if name != FILE]
    require_columns(source, names)
    typed = raw.select(
        FILE,
        F.struct(*(F.col(quoted(name)) for name in names)).alias(RAW),
        *(_typed(raw, name, _type_in_sql(source, raw.schema[name])).alias(name) for name in names if name != CORRUPT),
        *(fault.alias(name) for name, fault in _type_faults(raw, source, names).items()),
        _event_base(raw, source, names).alias(BASE_ID),
        F.lit(order_is_event(source, names)).alias(ORDER_IS_EVENT),
    )
    wanted = {f"c_{name}": expression for name, expression in source.columns.items()}
    if order_is_event(source, names):
        del wanted["c_order_id"]
    wanted |= {f"a_{name}": expression for name, expression in source.attributes.items()}
    wanted |= {f"i_{name}": expression for name, expression in source.ids.items()}
    mapped = {alias: _column(typed, source, alias, expression, names) for alias, expression in wanted.items()}
    if source.event_type is not None:
        mapped["c_event_type"] = _event_type(typed, source, source.event_type)
    return typed.withColumns(mapped)


def _type_in_sql(source: Source, field: T.StructField) -> str | None:
    """What a column is cast to: its declared type, or what holds all rows where files differ; None: as it is."""
    declared = (type_ for column, type_ in source.types.items() if column.lower() == field.name.lower())
    return next(declared, widened(field))


def _typed(raw: DataFrame, name: str, declared: str | None) -> Column:
    """The column as SQL calculates with it: whole numbers as exact decimals, so that nothing wraps around."""
    actual = declared or raw.schema[name].dataType.simpleString()
    column = _cast(raw, F.col(quoted(name)), raw.schema[name].dataType, declared)
    aliases = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
    digits = _EXACT_INTEGER.get(aliases.get(actual.lower(), actual.lower()))
    return column.cast(f"decimal({digits},0)") if digits else column


def _cast(frame: DataFrame, column: Column, actual: T.DataType, declared: str | None) -> Column:
    """The declared type, or null; a text is a date or time only with year, month and day, never by the clock."""
    if declared is None:
        return column
    kind = declared.split("(")[0].strip().lower()
    if isinstance(actual, T.StringType) and kind in ("date", "timestamp"):
        # not every engine casts the text of a time to a date
        text = F.regexp_extract(column, _DAY, 1) if kind == "date" else column
        return F.when(column.rlike(ISO_DAY), text.try_cast(declared))
    return try_decimal(frame, column, actual, declared) if kind == "decimal" else column.try_cast(declared)


def _type_faults(raw: DataFrame, source: Source, names: list[str]) -> dict[str, Column]:
    """For each declared type a column that is true where a present value did not fit it, named by its reason."""
    known = {name.lower(): name for name in names}
    faults = {}
    for column, type_ in source.types.items():
        name = known[column.lower()]
        value, kind = F.col(quoted(name)), type_.split("(")[0].strip().lower()
        unfit = _cast(raw, value, raw.schema[name].dataType, type_).isNull()
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
    columns = [known[name.lower()] for name in declared]
    parts = [_as_text(raw, name) for name in columns]
    if len(parts) == 1:
        return F.when(F.trim(parts[0]) != "", parts[0])
    joined = plain = F.concat_ws("|", *map(_or_none, parts))
    is_text = [not isinstance(raw.schema[name].dataType, _NEVER_ESCAPED) for name in columns]
    if texts := [part for part, text in zip(parts, is_text, strict=True) if text]:
        told_apart = [_escaped(part) if text else part for part, text in zip(parts, is_text, strict=True)]
        all_text, escaped = F.concat_ws("", *texts), F.concat_ws("|", *map(_or_none, told_apart))
        joined = F.when(all_text.contains("|") | all_text.contains("\\"), escaped).otherwise(plain)
    return F.when(F.coalesce(*parts).isNotNull(), joined)


def _or_none(part: Column) -> Column:
    return F.coalesce(part, F.lit("\\N"))


def _escaped(part: Column) -> Column:
    """One part of a joined identity, so that no two lists of parts join alike."""
    return F.replace(F.replace(part, F.lit("\\"), F.lit("\\\\")), F.lit("|"), F.lit("\\|"))


def _as_text(raw: DataFrame, name: str) -> Column:
    nested = isinstance(raw.schema[name].dataType, T.StructType | T.ArrayType | T.MapType)
    column = F.col(quoted(name))
    return F.to_json(F.struct(column)) if nested else as_text(raw, column, raw.schema[name].dataType)


def _column(typed: DataFrame, source: Source, alias: str, expression: Expression, names: list[str]) -> Column:
    if expression.column is None:
        section = {"a": "attributes", "i": "ids"}.get(alias[0], "columns")
        return _sql(typed, str(expression.sql), f"sources.{source.name}.{section}.{alias[2:]}.sql", source)
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
    return _cast(typed, as_read, data_type, _type_in_sql(source, raw[name]))


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
        raise ConfigError([Fault(path, f"{fault} (columns of {source.name}: {shown(frame.columns)})")]) from None
    return F.expr(sql)

"""What a mapped cell says: text, ids, money, whole numbers, instants in UTC; null where nothing is said or mapped."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.identity import NULL_LIKE
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.schemas import MONEY
from rfm_spark.sql import ISO_DAY, as_text, try_decimal

_ZONED_TEXT = r"\d[T ]\d[\d:.]*\s*[A-Za-z+\[-]"  # something stands after the time: an offset or a zone
_SPACE = " \t\r\n\u00a0"
_ZONED_PATTERN = "XxZzVO"


def id_column(id_type: str) -> str:
    """The column of judged rows that holds ids of a type, as their source has them."""
    return f"_id_{id_type}"


def has(frame: DataFrame, name: str) -> bool:
    """Whether the source maps a column."""
    return name in frame.columns


def trimmed(column: Column) -> Column:
    """The text without the blanks, tabs and line ends that exports leave around it."""
    return F.btrim(column.cast("string"), F.lit(_SPACE))


def text(frame: DataFrame, name: str) -> Column:
    """A cell as text without blanks around it; null where nothing is left, or it is NaN."""
    if not has(frame, name):
        return F.lit(None).cast("string")
    data_type = frame.schema[name].dataType
    written = trimmed(as_text(frame, F.col(name), data_type))
    is_told = written != ""
    if isinstance(data_type, T.FloatType | T.DoubleType):
        is_told &= ~F.isnan(name)
    return F.when(is_told, written)


def with_ids(parsed: DataFrame, source: Source) -> DataFrame:
    """The rows with a text an id type; null where there is none, or one of what exports write for none."""
    texts = {id_column(name): _id_text(parsed, f"i_{name}") for name in source.ids}
    told = {name: F.when(~F.lower(text).isin(*sorted(NULL_LIKE)), text) for name, text in texts.items()}
    return parsed.withColumns(told) if told else parsed


def _id_text(frame: DataFrame, name: str) -> Column:
    """An id as text; a whole number by its digits, however it is stored."""
    if isinstance(frame.schema[name].dataType, T.DoubleType | T.FloatType | T.DecimalType):
        whole = F.round(F.col(name), 0).try_cast("decimal(38,0)")
        return F.coalesce(
            F.when(whole.cast("double") == F.col(name).cast("double"), whole.cast("string")), text(frame, name)
        )
    return text(frame, name)


def _is_text(frame: DataFrame, name: str) -> bool:
    return isinstance(frame.schema[name].dataType, T.StringType)


def money(frame: DataFrame, name: str) -> Column:
    """A cell as an amount, to the cent."""
    if not has(frame, name):
        return F.lit(None).cast(MONEY)
    column = trimmed(F.col(name)) if _is_text(frame, name) else F.col(name)
    return try_decimal(frame, column, frame.schema[name].dataType, MONEY)


def whole(frame: DataFrame, name: str) -> Column:
    """A cell as a whole number."""
    if not has(frame, name):
        return F.lit(None).cast("bigint")
    number = try_decimal(frame, trimmed(F.col(name)), T.StringType(), "decimal(28,6)")
    return F.round(number, 0).try_cast("bigint")


def times(frame: DataFrame, source: Source, config: ProjectConfig) -> dict[str, Column]:
    """event_ts, and event_date in the project's zone."""
    at = instant(frame, "c_event_ts", source, config)
    return {"event_ts": at, "event_date": F.from_utc_timestamp(at, config.timezone).cast("date")}


def instant(frame: DataFrame, name: str, source: Source, config: ProjectConfig) -> Column:
    """The UTC instant of a time, local ones read in the source's zone."""
    if not has(frame, name):
        return F.lit(None).cast("timestamp")
    zone, data_type = source.timezone or config.timezone, frame.schema[name].dataType
    if isinstance(data_type, T.TimestampType):
        return F.col(name)
    if source.timestamp_formats and not _is_time(data_type):
        text = trimmed(F.col(name))
        return F.coalesce(*(_parsed_by(text, pattern, zone) for pattern in source.timestamp_formats))
    local = local_time(frame, name, source)
    if _is_time(data_type):
        return F.to_utc_timestamp(local, zone)
    return F.when(F.col(name).cast("string").rlike(_ZONED_TEXT), local).otherwise(F.to_utc_timestamp(local, zone))


def _parsed_by(text: Column, pattern: str, zone: str) -> Column:
    local = F.try_to_timestamp(text, F.lit(pattern))
    return local if set(_unquoted(pattern)) & set(_ZONED_PATTERN) else F.to_utc_timestamp(local, zone)


def _is_time(data_type: T.DataType) -> bool:
    """Whether a value of the type has a day; a time of day alone has none."""
    return isinstance(data_type, T.DateType | T.TimestampType | T.TimestampNTZType)


def local_time(frame: DataFrame, name: str, source: Source) -> Column:
    """The time as written, as if it were UTC; an explicit offset in it is already applied. Null where unparseable."""
    column = F.col(name)
    if _is_time(frame.schema[name].dataType):
        return column.cast("timestamp")
    text = trimmed(column)
    if source.timestamp_formats:
        return F.coalesce(*(F.try_to_timestamp(text, F.lit(pattern)) for pattern in source.timestamp_formats))
    return F.when(text.rlike(ISO_DAY), F.try_to_timestamp(text))


def _unquoted(pattern: str) -> str:
    return "".join(pattern.split("'")[::2])

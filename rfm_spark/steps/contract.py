"""Contract: every row is parsed and judged; a row that fails keeps all its reasons and its raw record."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.identity import NULL_LIKE
from rfm_spark.config.models import CANONICAL_COLUMNS, EVENT_TYPES, ProjectConfig, Rule, Source
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.schemas import MONEY
from rfm_spark.sql import ISO_DAY, as_text, quoted, row_json, try_decimal, type_of

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_ZONED_TEXT = r"\d[T ]\d[\d:.]*\s*[A-Za-z+\[-]"  # something stands after the time: an offset or a zone
_SPACE = " \t\r\n\u00a0"
_ZONED_PATTERN = "XxZzVO"
_SEPARATOR = "\x1f"
_RATE, _CONVERTIBLE = "decimal(20,12)", "decimal(17,2)"  # whose product fits 38 digits, so that it is rounded once


def judge_events(mapped: DataFrame, source: Source, config: ProjectConfig, rates: DataFrame | None) -> DataFrame:
    """One row a source row, parsed, with every reason it does not meet the contract.

    Reads: a frame of `sources.read`; `rates` (currency, valid_from, valid_to, rate) where an amount may be foreign.
    Returns: source, event_base, order_is_event, source_customer_id, customer_key, event_type, event_ts (UTC),
        event_date (project's zone), order_id, amount (positive, project's currency), duration_seconds,
        original_amount, original_currency, content_hash, source_file, extra columns, reasons (sorted; empty: clean),
        one column an id type of the source (`id_column`, as text) and _raw (the row as read, for `with_record`).
    Rules: a local time that a zone skips moves forward by the gap, one that it repeats is the first; amounts round
        half up to the cent; a refund's amount is its absolute value; null does not meet a rule of the user's.
    No shuffle but for the broadcast of `rates`.
    """
    extras = [name for name in source.columns if name not in CANONICAL_COLUMNS]
    ids = [id_column(name) for name in source.ids]
    parsed = _with_ids(_with_currency(_parsed(mapped, source, config, extras), config, rates), source)
    reasons = _standard_reasons(parsed, source, config) | _shape_reasons(parsed, source)
    reasons |= _rule_reasons(parsed, config, source)
    content = ["source_customer_id", "event_type", "event_ts", "order_id", "original_amount", "original_currency"]
    content += ["duration_seconds", *extras, *ids]
    parsed_columns = ["source_customer_id", "event_type", "event_ts", "event_date", "order_id", "amount"]
    parsed_columns += ["duration_seconds", "original_amount", "original_currency"]
    content_hash = _content_hash(parsed, content)
    judged = parsed.select(
        F.lit(source.name).alias("source"),
        F.coalesce("_event_base", F.concat_ws("-", F.lit("none"), content_hash)).alias("event_base"),
        F.col("_order_is_event").alias("order_is_event"),
        *parsed_columns,
        content_hash.alias("content_hash"),
        F.col("_file").alias("source_file"),
        *extras,
        *ids,
        _all_reasons(parsed, reasons).alias("reasons"),
        F.col("_raw"),
    )
    converted = F.col("original_currency") != config.currency
    return judged.withColumns(
        {
            "customer_key": F.col("source_customer_id"),
            "original_amount": F.when(converted, F.col("original_amount")),
            "original_currency": F.when(converted & F.col("original_amount").isNotNull(), F.col("original_currency")),
        }
    )


def with_record(judged: DataFrame) -> DataFrame:
    """The same rows with `record` (json, hash, schema of the raw row) in place of `_raw`; computed only where used."""
    return judged.withColumn("record", _record(judged)).drop("_raw")


def judge_profiles(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a row of a profile source: customer_key, profile_date, attributes, ids, content_hash, reasons, record.

    Rules: customer_key is the id in the source, as long as no identity is known. `event_ts`, where
        mapped, is when the attributes became known; without it they always were.
    """
    attributes, ids = list(source.attributes), [id_column(name) for name in source.ids]
    named = {name: F.col(f"a_{name}") for name in attributes}
    key = {"customer_key": _text(mapped, "c_source_customer_id"), **_times(mapped, source, config)}
    parsed = _with_ids((mapped.withColumns(named) if named else mapped).withColumns(key), source)
    reasons = {
        "no_customer": F.col("customer_key").isNull(),
        **_shape_reasons(parsed, source),
        **_rule_reasons(parsed, config, source),
    }
    reasons |= _time_reasons(config) if "event_ts" in source.columns else {}
    return parsed.select(
        F.lit(source.name).alias("source"),
        "customer_key",
        F.col("event_date").alias("profile_date"),
        *attributes,
        *ids,
        _content_hash(parsed, ["customer_key", "event_date", *attributes, *ids]).alias("content_hash"),
        F.col("_file").alias("source_file"),
        _all_reasons(parsed, reasons).alias("reasons"),
        _record(parsed).alias("record"),
    )


GRANTED = "granted"
REFUSALS = ("refused", "withdrawn", "revoked", "denied")  # another word refuses as well, and is told of


def judge_consents(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a decision on being contacted, or an entry of a suppression or exclusion list.

    Returns: the columns of `consents`, understood (the status is a known word), reasons, record and source_file.
    Rules: what does not clearly grant refuses: a status that is not `granted`; a refusal without a readable time holds
        always. A grant needs a channel, a purpose, a time, and where an expiry is given one that can be read. Blank,
        `all` and `*` are every channel or purpose.
    """
    blank = F.lit(None).cast("string")
    listed = source.kind != "consent"
    status = F.lower(_text(mapped, "c_status")) if _has(mapped, "c_status") else blank
    granted = F.coalesce(status == GRANTED, F.lit(False)) & F.lit(not listed)
    texts = {
        "customer_key": _text(mapped, "c_source_customer_id"),
        "channel": _scope(mapped, "c_channel"),
        "purpose": _scope(mapped, "c_purpose"),
        "status": F.when(granted, F.lit(GRANTED)).otherwise(F.lit("refused")),
        "understood": F.coalesce(status.isin(GRANTED, *REFUSALS), F.lit(listed)),
        "decided_at": _instant_or_null(mapped, "c_granted_at", source, config),
        "expires_at": F.when(granted, _instant_or_null(mapped, "c_expires_at", source, config)),
    }
    parsed = _with_ids(mapped.withColumns(texts), source)
    reasons = {
        "no_customer": F.col("customer_key").isNull(),
        **_shape_reasons(parsed, source),
        **_rule_reasons(parsed, config, source),
    }
    if not listed:
        grant, missing = F.col("status") == GRANTED, F.col("decided_at").isNull()
        reasons |= {
            "no_channel": grant & F.col("channel").isNull(),
            "no_purpose": grant & F.col("purpose").isNull(),
            "missing_time": grant & missing & _blank("c_granted_at"),
            "unparseable_time": grant & missing & ~_blank("c_granted_at"),
        }
        if _has(parsed, "c_expires_at"):
            reasons["unparseable_expiry"] = grant & F.col("expires_at").isNull() & ~_blank("c_expires_at")
    columns = ["customer_key", "kind", "channel", "purpose", "status", "decided_at", "expires_at"]
    named, ids = parsed.withColumn("kind", F.lit(source.kind)), [id_column(name) for name in source.ids]
    return named.select(
        F.lit(source.name).alias("source"),
        *columns,
        *ids,
        _content_hash(named, [*columns, *ids]).alias("content_hash"),
        "understood",
        F.col("_file").alias("source_file"),
        _all_reasons(parsed, reasons).alias("reasons"),
        _record(parsed).alias("record"),
    )


def _scope(frame: DataFrame, name: str) -> Column:
    if not _has(frame, name):
        return F.lit(None).cast("string")
    text = F.lower(_text(frame, name))
    return F.when(~text.isin("all", "*"), text)


def _instant_or_null(frame: DataFrame, name: str, source: Source, config: ProjectConfig) -> Column:
    if not _has(frame, name):
        return F.lit(None).cast("timestamp")
    return _instant(frame, name, source, config).cast("timestamp")


def judge_rates(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a dated rate: currency, date, rate (project's currency for one unit), reasons, record."""
    parsed = mapped.withColumns(
        {
            "currency": F.upper(_text(mapped, "c_currency")),
            "date": _local_time(mapped, "c_date", source).cast("date"),
            "rate": try_decimal(mapped, _trimmed(F.col("c_rate")), T.StringType(), _RATE),
        }
    )
    reasons = {
        "no_currency": F.col("currency").isNull(),
        "unparseable_time": F.col("date").isNull(),
        "not_a_number:rate": F.col("rate").isNull(),
        "rate_out_of_range": F.col("rate") <= 0,
        **_shape_reasons(parsed, source),
    }
    return parsed.select(
        F.lit(source.name).alias("source"),
        "currency",
        "date",
        "rate",
        _content_hash(parsed, ["currency", "date", "rate"]).alias("content_hash"),
        F.col("_file").alias("source_file"),
        _all_reasons(parsed, reasons).alias("reasons"),
        _record(parsed).alias("record"),
    )


# --- parsing ---------------------------------------------------------------------------------------------------------


def _parsed(mapped: DataFrame, source: Source, config: ProjectConfig, extras: list[str]) -> DataFrame:
    event_type = F.lower(F.trim(F.col("c_event_type")))
    money = event_type.isin("purchase", "refund")
    amount = _money(mapped, "c_amount")
    canonical: dict[str, Column] = {
        "source_customer_id": _text(mapped, "c_source_customer_id"),
        "event_type": F.when(event_type.isin(*EVENT_TYPES), event_type),
        "order_id": _text(mapped, "c_order_id") if "c_order_id" in mapped.columns else F.lit(None).cast("string"),
        "original_amount": F.when(money, F.when(event_type == "refund", F.abs(amount)).otherwise(amount)),
        "original_currency": _currency(mapped, source, config),
        "duration_seconds": _whole(mapped, "c_duration_seconds"),
        **{name: F.col(f"c_{name}") for name in extras},
        **_times(mapped, source, config),
    }
    taken = {name.lower() for name in canonical} | {"amount"}
    return mapped.select(
        *(F.col(quoted(name)) for name in mapped.columns if name.lower() not in taken), *_aliased(canonical)
    )


def _aliased(columns: dict[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in columns.items()]


def _trimmed(column: Column) -> Column:
    """The text without the blanks, tabs and line ends that exports leave around it."""
    return F.btrim(column.cast("string"), F.lit(_SPACE))


def _text(frame: DataFrame, name: str) -> Column:
    text = _trimmed(as_text(frame, F.col(name), frame.schema[name].dataType))
    return F.when(text != "", text)


def id_column(id_type: str) -> str:
    """The column of judged rows that holds ids of a type, as their source has them."""
    return f"_id_{id_type}"


def _with_ids(parsed: DataFrame, source: Source) -> DataFrame:
    """The rows with a text an id type; null where there is none, or one of what exports write for none."""
    texts = {id_column(name): _id_text(parsed, f"i_{name}") for name in source.ids}
    told = {name: F.when(~F.lower(text).isin(*sorted(NULL_LIKE)), text) for name, text in texts.items()}
    return parsed.withColumns(told) if told else parsed


def _id_text(frame: DataFrame, name: str) -> Column:
    """An id as text; a whole number by its digits, however it is stored."""
    if isinstance(frame.schema[name].dataType, T.DoubleType | T.FloatType | T.DecimalType):
        whole = F.round(F.col(name), 0).try_cast("decimal(38,0)")
        return F.coalesce(
            F.when(whole.cast("double") == F.col(name).cast("double"), whole.cast("string")), _text(frame, name)
        )
    return _text(frame, name)


def _has(frame: DataFrame, name: str) -> bool:
    return name in frame.columns


def _is_text(frame: DataFrame, name: str) -> bool:
    return isinstance(frame.schema[name].dataType, T.StringType)


def _money(frame: DataFrame, name: str) -> Column:
    if not _has(frame, name):
        return F.lit(None).cast(MONEY)
    column = _trimmed(F.col(name)) if _is_text(frame, name) else F.col(name)
    return try_decimal(frame, column, frame.schema[name].dataType, MONEY)


def _whole(frame: DataFrame, name: str) -> Column:
    if not _has(frame, name):
        return F.lit(None).cast("bigint")
    number = try_decimal(frame, _trimmed(F.col(name)), T.StringType(), "decimal(28,6)")
    return F.round(number, 0).try_cast("bigint")


def _currency(frame: DataFrame, source: Source, config: ProjectConfig) -> Column:
    default = F.lit(source.currency or config.currency)
    return F.coalesce(F.upper(_text(frame, "c_currency")), default) if _has(frame, "c_currency") else default


def _times(frame: DataFrame, source: Source, config: ProjectConfig) -> dict[str, Column]:
    if not _has(frame, "c_event_ts"):
        return {"event_ts": F.lit(None).cast("timestamp"), "event_date": F.lit(None).cast("date")}
    instant = _instant(frame, "c_event_ts", source, config)
    return {"event_ts": instant, "event_date": F.from_utc_timestamp(instant, config.timezone).cast("date")}


def _instant(frame: DataFrame, name: str, source: Source, config: ProjectConfig) -> Column:
    """The UTC instant of a time, local ones read in the source's zone."""
    zone, data_type = source.timezone or config.timezone, frame.schema[name].dataType
    if isinstance(data_type, T.TimestampType):
        return F.col(name)
    if source.timestamp_formats and not _is_time(data_type):
        text = _trimmed(F.col(name))
        return F.coalesce(*(_parsed_by(text, pattern, zone) for pattern in source.timestamp_formats))
    local = _local_time(frame, name, source)
    if _is_time(data_type):
        return F.to_utc_timestamp(local, zone)
    return F.when(F.col(name).cast("string").rlike(_ZONED_TEXT), local).otherwise(F.to_utc_timestamp(local, zone))


def _parsed_by(text: Column, pattern: str, zone: str) -> Column:
    local = F.try_to_timestamp(text, F.lit(pattern))
    return local if set(_unquoted(pattern)) & set(_ZONED_PATTERN) else F.to_utc_timestamp(local, zone)


def _is_time(data_type: T.DataType) -> bool:
    """Whether a value of the type has a day; a time of day alone has none."""
    return isinstance(data_type, T.DateType | T.TimestampType | T.TimestampNTZType)


def _local_time(frame: DataFrame, name: str, source: Source) -> Column:
    """The time as written, as if it were UTC; an explicit offset in it is already applied. Null where unparseable."""
    column = F.col(name)
    if _is_time(frame.schema[name].dataType):
        return column.cast("timestamp")
    text = _trimmed(column)
    if source.timestamp_formats:
        return F.coalesce(*(F.try_to_timestamp(text, F.lit(pattern)) for pattern in source.timestamp_formats))
    return F.when(text.rlike(ISO_DAY), F.try_to_timestamp(text))


def _unquoted(pattern: str) -> str:
    return "".join(pattern.split("'")[::2])


def _with_currency(parsed: DataFrame, config: ProjectConfig, rates: DataFrame | None) -> DataFrame:
    """`amount` in the project's currency, at the newest rate on or before the event's business date."""
    if rates is None:
        return parsed.withColumns({"amount": F.col("original_amount"), "_rate": F.lit(None)})
    dated = F.broadcast(
        rates.select(F.col("currency").alias("_currency"), "valid_from", "valid_to", F.col("rate").alias("_rate"))
    )
    on = (
        (F.col("original_currency") == F.col("_currency"))
        & (F.col("event_date") >= F.col("valid_from"))
        & (F.col("event_date") < F.col("valid_to"))
    )
    own = F.col("original_currency") == config.currency
    converted = F.round(F.col("original_amount").try_cast(_CONVERTIBLE) * F.col("_rate"), 2).try_cast(MONEY)
    return (
        parsed.join(dated, on, "left")
        .withColumn("amount", F.when(own, F.col("original_amount")).otherwise(converted))
        .drop("_currency", "valid_from", "valid_to")
    )


# --- reasons ---------------------------------------------------------------------------------------------------------
# A reason is a name and the condition under which a row has it. What is costly to tell (was the text blank, was it a
# number?) is asked only of rows whose parsed value is null.


def _all_reasons(parsed: DataFrame, reasons: dict[str, Column]) -> Column:
    """The names of all reasons that hold, sorted."""
    faults = {
        name.removeprefix("_fault:"): F.col(quoted(name)) for name in parsed.columns if name.startswith("_fault:")
    }
    held = [F.when(condition, F.lit(name)) for name, condition in sorted((faults | reasons).items())]
    text = F.concat_ws(_SEPARATOR, *held)
    return F.when(text == "", F.array().cast("array<string>")).otherwise(F.split(text, _SEPARATOR))


def _standard_reasons(parsed: DataFrame, source: Source, config: ProjectConfig) -> dict[str, Column]:
    reasons = {
        "unknown_event_type": F.col("event_type").isNull(),
        "no_customer": F.col("source_customer_id").isNull(),
        "no_event_id": F.col("_event_base").isNull(),
        **_time_reasons(config),
        **_amount_reasons(parsed, config),
    }
    return reasons | (_duration_reasons(config) if "duration_seconds" in source.columns else {})


def _blank(name: str) -> Column:
    return F.coalesce(_trimmed(F.col(name)), F.lit("")) == ""


def _is_number(name: str) -> Column:
    return F.coalesce(F.col(name).cast("string").rlike(_NUMBER), F.lit(False))


def _time_reasons(config: ProjectConfig) -> dict[str, Column]:
    contract, missing = config.contract, F.col("event_ts").isNull()
    return {
        "missing_time": missing & _blank("c_event_ts"),
        "unparseable_time": missing & ~_blank("c_event_ts"),
        "time_out_of_range": ~F.col("event_date").between(F.lit(contract.earliest), F.lit(contract.latest)),
    }


def _amount_reasons(parsed: DataFrame, config: ProjectConfig) -> dict[str, Column]:
    money = F.col("event_type").isin("purchase", "refund")
    if not _has(parsed, "c_amount"):
        return {"missing_amount": money}
    missing = money & F.col("original_amount").isNull()
    overflows = F.col("amount").isNull() & F.col("_rate").isNotNull() & F.col("original_amount").isNotNull()
    too_much = F.abs("amount").cast("double") > config.contract.max_amount
    foreign = F.col("original_currency") != config.currency
    return {
        "missing_amount": missing & _blank("c_amount"),
        "not_a_number:amount": missing & ~_blank("c_amount") & ~_is_number("c_amount"),
        "amount_out_of_range": (missing & _is_number("c_amount")) | (money & (overflows | too_much)),
        "negative_amount": (F.col("event_type") == "purchase") & (F.col("original_amount") < 0),
        "no_rate": money & foreign & F.col("original_amount").isNotNull() & F.col("_rate").isNull(),
    }


def _duration_reasons(config: ProjectConfig) -> dict[str, Column]:
    seconds, missing = F.col("duration_seconds"), F.col("duration_seconds").isNull()
    return {
        "missing_duration": missing & (F.col("event_type") == "engagement") & _blank("c_duration_seconds"),
        "not_a_number:duration_seconds": missing & ~_blank("c_duration_seconds") & ~_is_number("c_duration_seconds"),
        "negative_duration": seconds < 0,
        "absurd_duration": (seconds > config.contract.max_duration_seconds)
        | (missing & _is_number("c_duration_seconds")),
    }


def _shape_reasons(parsed: DataFrame, source: Source) -> dict[str, Column]:
    """A row that did not parse as its format, or that was not text in the file's encoding."""
    if source.format not in ("csv", "json"):
        return {}
    raw = parsed.schema["_raw"].dataType
    assert isinstance(raw, T.StructType)
    texts = [F.col(f"_raw.{quoted(field.name)}") for field in raw if isinstance(field.dataType, T.StringType)]
    corrupt = "_corrupt_record" in raw.fieldNames()
    return {
        "malformed_row": F.col("_raw._corrupt_record").isNotNull() if corrupt else F.lit(False),
        "undecodable_text": F.concat_ws("", *texts).contains("\ufffd"),
    }


def _rule_reasons(parsed: DataFrame, config: ProjectConfig, source: Source) -> dict[str, Column]:
    """The user's own rules; those without `sources` hold for every source of events. Raises: ConfigError."""
    own = [source.name] if source.kind == "events" else []
    rules = {i: rule for i, rule in enumerate(config.contract.rules) if source.name in (rule.sources or own)}
    faults = [fault for i, rule in rules.items() for fault in _rule_faults(parsed, i, rule, source)]
    if faults:
        raise ConfigError(faults)
    return {rule.name: ~F.coalesce(F.expr(rule.sql), F.lit(False)) for rule in rules.values()}


def _rule_faults(parsed: DataFrame, i: int, rule: Rule, source: Source) -> list[Fault]:
    path = f"contract.rules[{i}].sql"
    try:
        found = type_of(parsed, rule.sql)
    except SqlFault as fault:
        hint = "; where the rule is not for this source, name its sources" if rule.sources is None else ""
        return [Fault(path, f"rule {rule.name} does not fit source {source.name}: {fault}{hint}")]
    if isinstance(found, T.BooleanType | T.NullType):
        return []
    return [Fault(path, f"rule {rule.name} gives {found.simpleString()}, expected a condition that is true or false")]


def _content_hash(parsed: DataFrame, names: list[str]) -> Column:
    """A hash that tells null from absent: the values, and which of them are null."""
    nested = {n for n in names if isinstance(parsed.schema[n].dataType, T.StructType | T.ArrayType | T.MapType)}
    columns = [F.to_json(F.struct(name)) if name in nested else F.col(name) for name in names]
    nulls = reduce(lambda bits, column: bits * 2 + column.isNull().cast("bigint"), columns, F.lit(0).cast("bigint"))
    return F.xxhash64(*columns, nulls)


def _record(parsed: DataFrame) -> Column:
    """The raw row: its JSON, its hash, and its schema to read the JSON back by; ask for it only where it is used.

    Neither the order of columns nor an empty one more changes the hash.
    """
    schema = parsed.schema["_raw"].dataType
    assert isinstance(schema, T.StructType)
    names = schema.fieldNames()
    # cast and nullif for engines whose md5 is text of another kind, and whose unions want one nullability
    return F.struct(
        row_json(parsed, "_raw", names, nulls=True).alias("json"),
        F.md5(row_json(parsed, "_raw", sorted(names, key=str.lower), nulls=False)).cast("string").alias("hash"),
        F.nullif(F.lit(schema.json()), F.lit("")).alias("schema"),
    )

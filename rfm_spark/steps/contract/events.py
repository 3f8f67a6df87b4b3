"""Rows of events: parsed, in the project's currency, and judged."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import EVENT_TYPES, Source
from rfm_spark.schemas import MONEY
from rfm_spark.sql import quoted
from rfm_spark.steps.contract import reasons as why
from rfm_spark.steps.contract import records, values

_CONVERTIBLE = "decimal(17,2)"  # whose product with a rate fits 38 digits, so that it is rounded once


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
    extras = source.extra_columns
    ids = [values.id_column(name) for name in source.ids]
    parsed = values.with_ids(_with_currency(_parsed(mapped, source, config, extras), config, rates), source)
    reasons = _standard_reasons(parsed, source, config) | why.of_shape(parsed, source)
    reasons |= why.of_rules(parsed, config, source)
    content = ["source_customer_id", "event_type", "event_ts", "order_id", "original_amount", "original_currency"]
    content += ["duration_seconds", *extras, *ids]
    parsed_columns = ["source_customer_id", "event_type", "event_ts", "event_date", "order_id", "amount"]
    parsed_columns += ["duration_seconds", "original_amount", "original_currency"]
    content_hash = records.content_hash(parsed, content)
    judged = parsed.select(
        F.lit(source.name).alias("source"),
        F.coalesce("_event_base", F.concat_ws("-", F.lit("none"), content_hash)).alias("event_base"),
        F.col("_order_is_event").alias("order_is_event"),
        *parsed_columns,
        content_hash.alias("content_hash"),
        F.col("_file").alias("source_file"),
        *extras,
        *ids,
        why.that_hold(parsed, reasons).alias("reasons"),
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


def _parsed(mapped: DataFrame, source: Source, config: ProjectConfig, extras: list[str]) -> DataFrame:
    event_type = F.lower(F.trim(F.col("c_event_type")))
    money = event_type.isin("purchase", "refund")
    amount = values.money(mapped, "c_amount")
    canonical: dict[str, Column] = {
        "source_customer_id": values.text(mapped, "c_source_customer_id"),
        "event_type": F.when(event_type.isin(*EVENT_TYPES), event_type),
        "order_id": values.text(mapped, "c_order_id"),
        "original_amount": F.when(money, F.when(event_type == "refund", F.abs(amount)).otherwise(amount)),
        "original_currency": _currency(mapped, source, config),
        "duration_seconds": values.whole(mapped, "c_duration_seconds"),
        **{name: F.col(f"c_{name}") for name in extras},
        **values.times(mapped, source, config),
    }
    taken = {name.lower() for name in canonical} | {"amount"}
    return mapped.select(
        *(F.col(quoted(name)) for name in mapped.columns if name.lower() not in taken), *_aliased(canonical)
    )


def _aliased(columns: dict[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in columns.items()]


def _currency(frame: DataFrame, source: Source, config: ProjectConfig) -> Column:
    return F.coalesce(F.upper(values.text(frame, "c_currency")), F.lit(source.currency or config.currency))


def _with_currency(parsed: DataFrame, config: ProjectConfig, rates: DataFrame | None) -> DataFrame:
    """`amount` in the project's currency, at the newest rate on or before the event's business date."""
    if rates is None:
        return parsed.withColumns({"amount": F.col("original_amount"), "_rate": F.lit(None)})
    dated = F.broadcast(
        rates.select(*(F.col(name).alias(f"_{name}") for name in ("currency", "valid_from", "valid_to", "rate")))
    )
    on = (
        (F.col("original_currency") == F.col("_currency"))
        & (F.col("event_date") >= F.col("_valid_from"))
        & (F.col("event_date") < F.col("_valid_to"))
    )
    own = F.col("original_currency") == config.currency
    converted = F.round(F.col("original_amount").try_cast(_CONVERTIBLE) * F.col("_rate"), 2).try_cast(MONEY)
    return (
        parsed.join(dated, on, "left")
        .withColumn("amount", F.when(own, F.col("original_amount")).otherwise(converted))
        .drop("_currency", "_valid_from", "_valid_to")
    )


def _standard_reasons(parsed: DataFrame, source: Source, config: ProjectConfig) -> dict[str, Column]:
    reasons = {
        "unknown_event_type": F.col("event_type").isNull(),
        "no_customer": F.col("source_customer_id").isNull(),
        "no_event_id": F.col("_event_base").isNull(),
        **why.of_time(config),
        **_amount_reasons(parsed, config),
    }
    return reasons | (_duration_reasons(config) if "duration_seconds" in source.columns else {})


def _amount_reasons(parsed: DataFrame, config: ProjectConfig) -> dict[str, Column]:
    money = F.col("event_type").isin("purchase", "refund")
    if not values.has(parsed, "c_amount"):
        return {"missing_amount": money}
    missing = money & F.col("original_amount").isNull()
    overflows = F.col("amount").isNull() & F.col("_rate").isNotNull() & F.col("original_amount").isNotNull()
    too_much = F.abs("amount").cast("double") > config.contract.max_amount
    foreign = F.col("original_currency") != config.currency
    return {
        "missing_amount": missing & why.blank("c_amount"),
        "not_a_number:amount": missing & ~why.blank("c_amount") & ~why.is_number("c_amount"),
        "amount_out_of_range": (missing & why.is_number("c_amount")) | (money & (overflows | too_much)),
        "negative_amount": (F.col("event_type") == "purchase") & (F.col("original_amount") < 0),
        "no_rate": money & foreign & F.col("original_amount").isNotNull() & F.col("_rate").isNull(),
    }


def _duration_reasons(config: ProjectConfig) -> dict[str, Column]:
    seconds, missing, cell = F.col("duration_seconds"), F.col("duration_seconds").isNull(), "c_duration_seconds"
    return {
        "missing_duration": missing & (F.col("event_type") == "engagement") & why.blank(cell),
        "not_a_number:duration_seconds": missing & ~why.blank(cell) & ~why.is_number(cell),
        "negative_duration": seconds < 0,
        "absurd_duration": (seconds > config.contract.max_duration_seconds) | (missing & why.is_number(cell)),
    }

"""Rows of profiles: parsed and judged."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.steps.contract import reasons as why
from rfm_spark.steps.contract import records, values


def judge_profiles(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a row of a profile source: customer_key, profile_date, attributes, ids, content_hash, reasons, record.

    Rules: customer_key is the id in the source, as long as no identity is known. `event_ts`, where
        mapped, is when the attributes became known; without it they always were.
    """
    attributes, ids = list(source.attributes), [values.id_column(name) for name in source.ids]
    named = {name: F.col(f"a_{name}") for name in attributes}
    key = {"customer_key": values.text(mapped, "c_source_customer_id"), **values.times(mapped, source, config)}
    parsed = values.with_ids((mapped.withColumns(named) if named else mapped).withColumns(key), source)
    reasons = {
        "no_customer": F.col("customer_key").isNull(),
        **why.of_shape(parsed, source),
        **why.of_rules(parsed, config, source),
    }
    reasons |= why.of_time(config) if "event_ts" in source.columns else {}
    return parsed.select(
        F.lit(source.name).alias("source"),
        "customer_key",
        F.col("event_date").alias("profile_date"),
        *attributes,
        *ids,
        records.content_hash(parsed, ["customer_key", "event_date", *attributes, *ids]).alias("content_hash"),
        F.col("_file").alias("source_file"),
        why.that_hold(parsed, reasons).alias("reasons"),
        records.as_read(parsed).alias("record"),
    )

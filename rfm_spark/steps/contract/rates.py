"""Rows of exchange rates: parsed and judged."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.sql import try_decimal
from rfm_spark.steps.contract import reasons as why
from rfm_spark.steps.contract import records, values

_RATE = "decimal(20,12)"


def judge_rates(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a dated rate: source, currency, date, rate (project's currency for one unit), content_hash, source_file,
    reasons, record."""
    parsed = mapped.withColumns(
        {
            "currency": F.upper(values.text(mapped, "c_currency")),
            "date": values.local_time(mapped, "c_date", source).cast("date"),
            "rate": try_decimal(mapped, values.trimmed(F.col("c_rate")), T.StringType(), _RATE),
        }
    )
    reasons = {
        "no_currency": F.col("currency").isNull(),
        "unparseable_time": F.col("date").isNull(),
        "not_a_number:rate": F.col("rate").isNull(),
        "rate_out_of_range": F.col("rate") <= 0,
        **why.of_shape(parsed, source),
        **why.of_rules(parsed, config, source),
    }
    return parsed.select(
        F.lit(source.name).alias("source"),
        "currency",
        "date",
        "rate",
        records.content_hash(parsed, ["currency", "date", "rate"]).alias("content_hash"),
        F.col("_file").alias("source_file"),
        why.that_hold(parsed, reasons).alias("reasons"),
        records.as_read(parsed).alias("record"),
    )

"""Rows of consents, suppressions and exclusions: parsed and judged."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.steps.contract import reasons as why
from rfm_spark.steps.contract import records, values

GRANTED = "granted"
REFUSALS = ("refused", "withdrawn", "revoked", "denied")  # another word refuses as well, and is told of


def judge_consents(mapped: DataFrame, source: Source, config: ProjectConfig) -> DataFrame:
    """One row a decision on being contacted, or an entry of a suppression or exclusion list.

    Returns: the columns of `consents`, understood (the status is a known word), reasons, record and source_file.
    Rules: what does not clearly grant refuses: a status that is not `granted`; a refusal without a readable time holds
        always. A grant needs a channel, a purpose, a time, and where an expiry is given one that can be read. Blank,
        `all` and `*` are every channel or purpose.
    """
    listed = source.kind != "consent"
    status = F.lower(values.text(mapped, "c_status"))
    granted = F.coalesce(status == GRANTED, F.lit(False)) & F.lit(not listed)
    texts = {
        "customer_key": values.text(mapped, "c_source_customer_id"),
        "channel": _scope(mapped, "c_channel"),
        "purpose": _scope(mapped, "c_purpose"),
        "status": F.when(granted, F.lit(GRANTED)).otherwise(F.lit("refused")),
        "understood": F.coalesce(status.isin(GRANTED, *REFUSALS), F.lit(listed)),
        "decided_at": values.instant(mapped, "c_granted_at", source, config).cast("timestamp"),
        "expires_at": F.when(granted, values.instant(mapped, "c_expires_at", source, config).cast("timestamp")),
    }
    parsed = values.with_ids(mapped.withColumns(texts), source)
    reasons = {
        "no_customer": F.col("customer_key").isNull(),
        **why.of_shape(parsed, source),
        **why.of_rules(parsed, config, source),
    }
    if not listed:
        grant, missing = F.col("status") == GRANTED, F.col("decided_at").isNull()
        reasons |= {
            "no_channel": grant & F.col("channel").isNull(),
            "no_purpose": grant & F.col("purpose").isNull(),
            "missing_time": grant & missing & why.blank("c_granted_at"),
            "unparseable_time": grant & missing & ~why.blank("c_granted_at"),
        }
        if values.has(parsed, "c_expires_at"):
            reasons["unparseable_expiry"] = grant & F.col("expires_at").isNull() & ~why.blank("c_expires_at")
    columns = ["customer_key", "kind", "channel", "purpose", "status", "decided_at", "expires_at"]
    named, ids = parsed.withColumn("kind", F.lit(source.kind)), [values.id_column(name) for name in source.ids]
    return named.select(
        F.lit(source.name).alias("source"),
        *columns,
        *ids,
        records.content_hash(named, [*columns, *ids]).alias("content_hash"),
        "understood",
        F.col("_file").alias("source_file"),
        why.that_hold(parsed, reasons).alias("reasons"),
        records.as_read(parsed).alias("record"),
    )


def _scope(frame: DataFrame, name: str) -> Column:
    text = F.lower(values.text(frame, name))
    return F.when(~text.isin("all", "*"), text)

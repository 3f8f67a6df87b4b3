"""Consent: who may be contacted over a channel for a purpose at the time of the send, and if not, why."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.sql import any_of

SUPPRESSED, REFUSED, NONE, EXPIRED, EXCLUDED = (
    "suppressed", "consent_refused", "no_consent", "consent_expired", "excluded",
)  # fmt: skip
_NEVER = 1 << 60  # seconds, after every expiry


def refusals(people: DataFrame, consents: DataFrame | None, channel: str, purpose: str, lists: list[str]) -> DataFrame:
    """The same people with `refusal`: why they may not be contacted, null where a decision allows it.

    Reads: people (customer_key, send_at, …), a row a person; consents, None where there are none; `lists`, the
        sources of kind exclusion that are left out.
    Rules: unknown means no. A suppression list wins over everything, then an exclusion list. Of the decisions for this
        channel and purpose at or before the send the newest counts, of several at one time the refusal, of several
        grants the one that expires first; it holds until just before its expiry. A refusal without a time always
        holds; one without a channel or purpose is for all of them. A grant is for its own channel and purpose alone.
    One shuffle by customer_key.
    """
    if consents is None:
        return people.withColumn("refusal", F.lit(NONE))
    asked = people.select(F.col("customer_key").alias("_person"), "send_at")
    same_channel = F.col("channel") == channel.strip().lower()
    same_purpose = F.col("purpose") == purpose.strip().lower()
    granted = (F.col("status") == "granted") & same_channel & same_purpose
    refused = (F.col("status") != "granted") & (
        (F.col("channel").isNull() | same_channel) & (F.col("purpose").isNull() | same_purpose)
    )
    known = consents.filter(granted | refused)
    seen = known.join(asked, known.customer_key == asked["_person"]).filter(
        F.col("decided_at").isNull() | (F.col("decided_at") <= F.col("send_at"))
    )
    decision = F.col("kind") == "consent"
    dated = F.struct(
        F.col("decided_at").alias("at"),
        F.when(F.col("status") == "granted", F.lit(0)).otherwise(F.lit(1)).alias("refuses"),
        (F.lit(0) - F.coalesce(F.unix_timestamp("expires_at"), F.lit(_NEVER))).cast("bigint").alias("sooner"),
        (F.col("expires_at") <= F.col("send_at")).alias("over"),
    )
    on_list = (F.col("kind") == "exclusion") & F.col("source").isin(lists or [""])
    found = seen.groupBy("_person").agg(
        any_of(F.col("kind") == "suppression").alias("_suppressed"),
        any_of(on_list).alias("_excluded"),
        any_of(decision & F.col("decided_at").isNull()).alias("_always_refused"),
        F.max(F.when(decision & F.col("decided_at").isNotNull(), dated)).alias("_newest"),
    )
    refusal = (
        F.when(F.col("_suppressed") == 1, F.lit(SUPPRESSED))
        .when(F.col("_excluded") == 1, F.lit(EXCLUDED))
        .when((F.col("_always_refused") == 1) | (F.col("_newest.refuses") == 1), F.lit(REFUSED))
        .when(F.col("_newest.at").isNull(), F.lit(NONE))
        .when(F.col("_newest.over"), F.lit(EXPIRED))
    )
    told = found.select("_person", F.lit(True).alias("_found"), refusal.alias("refusal"))
    joined = people.join(told, people.customer_key == told["_person"], "left")
    return joined.withColumn("refusal", F.when(F.col("_found").isNull(), F.lit(NONE)).otherwise(F.col("refusal"))).drop(
        "_person", "_found"
    )

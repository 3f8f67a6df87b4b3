"""What people did around a send, summed by group; no person leaves the executors."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import RefundPolicy
from rfm_spark.schemas import MONEY
from rfm_spark.sql import any_of, negated

RATE, VALUE = "rate", "value"
BUCKETS = 1024  # groups of people that the bootstrap draws


def once(assigned: DataFrame) -> DataFrame:
    """One row a person: assigned (customer_key, segment, arm, start_s, …) without doubles; `contaminated`.

    Rules: who is in several groups (by a merge, or twice in a file) is contaminated, of several rows of one group the
        earliest start counts, then the first segment. One shuffle by customer_key.
    """
    first = F.struct("start_s", "end_s", "pre_s", "segment", "arm")
    found = assigned.groupBy("customer_key").agg(
        F.min(first).alias("_first"), (F.min("arm") != F.max("arm")).alias("contaminated")
    )
    names = ("segment", "arm", "start_s", "end_s", "pre_s")
    return found.select("customer_key", *(F.col(f"_first.{name}").alias(name) for name in names), "contaminated")


def followed(people: DataFrame, merges: DataFrame) -> DataFrame:
    """The same rows by the keys that people have since merges: rows of one person may now have one key.

    Reads: people (customer_key, …); merges (other_key, customer_key, order), a row a key that became another, the
        greater order later. Rules: of several merges of a key the newest counts. No shuffle where merges are few.
    """
    newest = merges.groupBy("other_key").agg(F.max(F.struct("order", "customer_key"))["customer_key"].alias("_now"))
    joined = people.join(newest, people.customer_key == newest["other_key"], "left")
    return joined.withColumn("customer_key", F.coalesce("_now", "customer_key")).drop("other_key", "_now")


def outcomes(people: DataFrame, events: DataFrame, success: str, policy: RefundPolicy) -> DataFrame:
    """One row a person: segment, arm, and rate, value, rate_before, value_before; zeros for who did nothing.

    Reads: a frame of `once`, contaminated ones left out; events before as_of.
    Rules: rate is 1 where an event of the success's type lies within [start_s, end_s), seconds since 1970; value is
        purchases less refunds within it, refunds not where the project ignores them; before: within [pre_s, start_s).
    One shuffle of the events by customer_key.
    """
    at = F.unix_timestamp("event_ts")
    amount = F.when(F.col("event_type") == "purchase", F.col("amount"))
    if policy != "ignore":
        amount = amount.when(F.col("event_type") == "refund", negated("amount", MONEY))
    wanted = events.filter(F.col("event_type").isin("purchase", "refund", success)).select(
        F.col("customer_key").alias("_person"), at.alias("_at"),
        (F.col("event_type") == success).alias("_success"), amount.cast(MONEY).alias("_amount"),
    )  # fmt: skip
    joined = people.join(wanted, people.customer_key == wanted["_person"], "left")
    within = (F.col("_at") >= F.col("start_s")) & (F.col("_at") < F.col("end_s"))
    before = (F.col("_at") >= F.col("pre_s")) & (F.col("_at") < F.col("start_s"))
    return joined.groupBy("customer_key", "segment", "arm").agg(
        any_of(within & F.col("_success")).alias("rate"),
        _total(within).alias("value"),
        any_of(before & F.col("_success")).alias("rate_before"),
        _total(before).alias("value_before"),
    )


def _total(condition: Column) -> Column:
    return F.coalesce(F.sum(F.when(condition, F.col("_amount"))), F.lit(0)).cast(MONEY)


def sums(measured: DataFrame, bucket: Column) -> DataFrame:
    """One row a segment, arm and bucket of people: n, and of each metric the sums y, yy, x, xx and xy.

    Reads: a frame of `outcomes`; `bucket`, 0..BUCKETS-1, of the person's key. y is the metric, x the same before.
    Rules: sums are of exact decimals, the same whatever the partitions. One shuffle of partial results.
    """
    columns = [F.count(F.lit(1)).alias("n")]
    for metric in (RATE, VALUE):
        y, x = F.col(metric).cast(MONEY), F.col(f"{metric}_before").cast(MONEY)
        parts = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
        columns += [F.sum(part).cast("double").alias(f"{metric}_{name}") for name, part in parts.items()]
    return measured.groupBy("segment", "arm", bucket.alias("bucket")).agg(*columns)

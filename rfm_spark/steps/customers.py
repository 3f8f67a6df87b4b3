"""Customers: one profile a person, from every profile source."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def merge_profiles(profiles: list[DataFrame]) -> DataFrame:
    """One row a customer that any profile source knows.

    Reads: clean rows of `contract.judge_profiles`, one frame a source, in the config's order.
    Returns: customer_key, profile_date (first known; null: always), one column an attribute.
    Rules: within a source the newest non-null value, ties by the greater value; between sources the first in the
        config's order that has one.
    One shuffle by customer_key a source, one join more a source.
    """
    merged = _newest(profiles[0])
    for profile in profiles[1:]:
        merged = _coalesce(merged, _newest(profile))
    return merged


def _attributes(profile: DataFrame) -> list[str]:
    reserved = {"source", "customer_key", "profile_date", "content_hash", "source_file", "reasons", "record"}
    return [name for name in profile.columns if name not in reserved]


def _newest(profile: DataFrame) -> DataFrame:
    age = F.coalesce("profile_date", F.lit("0001-01-01").cast("date"))
    newest = [
        F.max(F.when(F.col(name).isNotNull(), F.struct(age.alias("at"), F.col(name).alias("value"))))["value"].alias(
            name
        )
        for name in _attributes(profile)
    ]
    since = F.when(F.count_if(F.col("profile_date").isNull()) == 0, F.min("profile_date")).alias("profile_date")
    return profile.groupBy("customer_key").agg(since, *newest)


def _coalesce(first: DataFrame, second: DataFrame) -> DataFrame:
    names = list(dict.fromkeys([*first.columns, *second.columns]))
    joined = first.alias("a").join(second.alias("b"), F.col("a.customer_key") == F.col("b.customer_key"), "full_outer")
    both = {"customer_key"} | (set(first.columns) & set(second.columns) - {"profile_date"})
    since = F.when(
        F.col("a.customer_key").isNotNull() & F.col("b.customer_key").isNotNull(),
        F.when(
            F.col("a.profile_date").isNotNull() & F.col("b.profile_date").isNotNull(),
            F.least("a.profile_date", "b.profile_date"),
        ),
    ).otherwise(F.coalesce("a.profile_date", "b.profile_date"))
    columns = []
    for name in names:
        if name == "profile_date":
            columns.append(since.alias(name))
        elif name in both:
            columns.append(F.coalesce(f"a.{name}", f"b.{name}").alias(name))
        else:
            columns.append(F.col(f"a.{name}" if name in first.columns else f"b.{name}"))
    return joined.select(*columns)

"""Customers: one profile a person, from every profile source."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import Survivorship


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
    return [name for name in profile.columns if name not in reserved and not name.startswith("_")]


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


def survivors(rows: DataFrame, sources: Sequence[str], rules: Mapping[str, Survivorship]) -> DataFrame:
    """One row a person that any profile source knows, whose rows may be of several customers and sources.

    Reads: clean rows of `contract.judge_profiles` of all sources, customer_key the person's; `sources`, in the config's
        order; `rules`, by attribute.
    Returns: customer_key, profile_date (first known; null: always), one column an attribute, attribute_sources.
    Rules: source_priority, if nothing else is said: the first source of its list, or of the config's order, that has a
        value, there the newest; newest: of all sources, then the first source; most_frequent: what most rows say, then
        the newest. Ties by the greater value. A source that is in no list comes last.
    One shuffle by customer_key; one more of each attribute by most_frequent.
    """
    attributes = _attributes(rows)
    age = F.coalesce("profile_date", F.lit("0001-01-01").cast("date"))
    winners = []
    for name in attributes:
        rule = rules.get(name, Survivorship(rule="source_priority"))
        order = [*(rule.sources or ()), *(source for source in sources if source not in (rule.sources or ()))]
        rank = _rank(order)
        value = [F.col(name).alias("value"), F.col("source").alias("source")]
        keys = [rank.alias("rank"), age.alias("at")]
        if rule.rule != "source_priority":
            keys.reverse()
        if rule.rule == "most_frequent":
            rows = _with_counts(rows, name)
            keys = [F.col(f"_n_{name}").alias("n"), *keys]
        best = F.max(F.when(F.col(name).isNotNull(), F.struct(*keys, *value)))
        winners.append(best.alias(f"_best_{name}"))
    since = F.when(F.count_if(F.col("profile_date").isNull()) == 0, F.min("profile_date")).alias("profile_date")
    found = rows.groupBy("customer_key").agg(since, *winners)
    origins: list[Column] = []
    for name in attributes:
        origins += [F.lit(name), F.col(f"_best_{name}.source")]
    told = F.create_map(*origins) if origins else F.create_map().cast("map<string,string>")
    return found.select(
        "customer_key",
        "profile_date",
        *(F.col(f"_best_{name}.value").alias(name) for name in attributes),
        told.alias("attribute_sources"),
    )


def _rank(order: Sequence[str]) -> Column:
    """Greater for an earlier source."""
    rank = F.lit(-len(order))
    for position, source in enumerate(order):
        rank = F.when(F.col("source") == source, F.lit(-position)).otherwise(rank)
    return rank


def _with_counts(rows: DataFrame, name: str) -> DataFrame:
    key = ["customer_key", name]
    counts = rows.filter(F.col(name).isNotNull()).groupBy(*key).agg(F.count(F.lit(1)).alias(f"_n_{name}"))
    return rows.join(counts, key, "left")

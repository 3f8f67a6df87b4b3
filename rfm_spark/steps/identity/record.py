"""Record: the rows of `identities` and `identity_links`."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import OWN_ID
from rfm_spark.sql import union
from rfm_spark.steps.identity.links import GOOD, OWNER, hash_of
from rfm_spark.steps.identity.people import PROBABILISTIC

_VALUE = ["id_type", "id_value"]


def with_outcome(links: DataFrame, dropped: DataFrame | None) -> DataFrame:
    """The links with `outcome`: joined, or why they join nobody. One shuffle by value, where any is dropped."""
    if dropped is None:
        return links.withColumn("outcome", F.col("state"))
    first = dropped.groupBy("value").agg(F.min("reason").alias("_reason"))
    told = links.join(first, "value", "left")
    reason = F.when((F.col("state") == GOOD) & F.col("_reason").isNotNull(), F.col("_reason"))
    return told.withColumn("outcome", F.coalesce(reason, "state")).drop("_reason")


def identities(
    named: DataFrame, links: DataFrame, alike: DataFrame | None, id_types: Sequence[str], before: DataFrame, run_id: str
) -> DataFrame:
    """One row an id of a source, as table `identities`.

    Reads: `named` (source, source_customer_id, node, person, customer_key, key_since_us); links with outcome;
        `alike` (a, b) or None; `id_types`, strongest first; `before`, the rows that were known.
    Shuffles by value, twice by customer, and by id beside what was known.
    """
    ranks = F.lit(len(id_types))
    for rank, name in reversed(list(enumerate(id_types))):
        ranks = F.when(F.col("id_type") == name, F.lit(rank)).otherwise(ranks)
    joined = links.filter(F.col("outcome") == GOOD).select("node", "value", ranks.alias("rank")).distinct()
    shared = joined.groupBy("value").agg(F.count(F.lit(1)).alias("_n")).filter("_n > 1").select("value")
    ties = [joined.join(shared, "value", "left_semi").select("node", "rank")]
    if alike is not None:
        person = named.select("node", "person")
        a, b = (person.select(F.col("node").alias(end), F.col("person").alias(f"_{end}")) for end in "ab")
        together = alike.join(a, "a").join(b, "b").filter("_a = _b")
        ties += [together.select(F.col(end).alias("node"), F.lit(len(id_types)).alias("rank")) for end in "ab"]
    best = union(ties).groupBy("node").agg(F.min("rank").alias("rank"))
    rule = F.lit(OWN_ID)
    for rank, name in enumerate([*id_types, PROBABILISTIC]):
        rule = F.when(F.col("rank") == rank, F.lit(name)).otherwise(rule)
    own = named.join(best, "node", "left").select(
        "source",
        F.lit(OWN_ID).alias("id_type"),
        F.col("source_customer_id").alias("id_value"),
        "customer_key",
        rule.alias("rule"),
        F.lit(None).cast("array<string>").alias("spellings"),
        F.timestamp_micros("key_since_us").alias("key_since"),
    )
    keyed = links.join(named.select(*OWNER, "customer_key"), OWNER)
    one_key = F.when(F.min("customer_key") == F.max("customer_key"), F.min("customer_key"))
    outcome = F.min("outcome")
    values = keyed.groupBy("source", *_VALUE).agg(
        one_key.alias("customer_key"),
        outcome.alias("_outcome"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_list("spellings")))).alias("spellings"),
    )
    values = values.select(
        "source",
        *_VALUE,
        "customer_key",
        F.when(F.col("_outcome") == GOOD, F.col("id_type")).otherwise(F.col("_outcome")).alias("rule"),
        "spellings",
        F.lit(None).cast("timestamp").alias("key_since"),
    )
    seen = before.select("source", *_VALUE, F.col("first_seen_run_id").alias("_seen"))
    told = union([own, values]).join(seen, ["source", *_VALUE], "left")
    return told.withColumn("first_seen_run_id", F.coalesce("_seen", F.lit(run_id))).drop("_seen")


def links(named: DataFrame, links: DataFrame, alike: DataFrame | None, dropped: DataFrame | None) -> DataFrame:
    """One row a link, as table `identity_links`. Shuffles by customer."""
    keyed = named.select(*OWNER, "customer_key")
    rows = links.join(keyed, OWNER).select(
        *OWNER,
        F.col("id_type").alias("rule"),
        hash_of("id_type", "id_value").alias("to_id"),
        F.lit(1.0).alias("weight"),
        "outcome",
        "customer_key",
    )
    if alike is None:
        return rows
    a = named.select(F.col("node").alias("a"), *OWNER, "customer_key")
    b = named.select(F.col("node").alias("b"), hash_of(*OWNER).alias("to_id"))
    weak = with_outcome(alike.withColumn("state", F.lit(GOOD)), dropped).join(a, "a").join(b, "b")
    told = weak.select(*OWNER, F.lit(PROBABILISTIC).alias("rule"), "to_id", "weight", "outcome", "customer_key")
    return rows.unionAll(told)

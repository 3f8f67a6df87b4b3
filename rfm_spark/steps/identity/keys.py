"""Keys: a key for each person that stays, whatever comes to join or leave them."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.steps.identity.links import OWNER, hash_of

MERGE, SPLIT = "merge", "split"
_NEVER = 2**62  # after every event, in microseconds


def keyed(owners: DataFrame, before: DataFrame, started_us: int, salt: str) -> tuple[DataFrame, DataFrame]:
    """The owners with their person's key: source, source_customer_id, node, person, customer_key, key_since_us; and
    what changed: change (merge, split), customer_key, other_key.

    Reads: owners (node, person, source, source_customer_id, first_us: the instant of their first event, or null);
        `before` (source, source_customer_id, customer_key, key_since_us), whom they were known as.
    Rules: a key goes to the person with the customer that it was made of, else to the one with most of its customers,
        so that a split leaves it there and the others get a new one. Of several keys a person keeps the oldest (ties:
        whose first event is earlier), and the merge is told. A new key is made of the person's first customer, by
        the first event, so that a rebuild from nothing finds the same; `salt` is for one that is taken.
    Shuffles by customer, by key and by person, of a row a customer.
    """
    first = F.coalesce("first_us", F.lit(_NEVER))
    own = owners.withColumns({"first_us": first, "_own": hash_of(*OWNER)})
    known = own.join(before.withColumnRenamed("customer_key", "_key"), OWNER, "left")
    held = (
        known.filter(F.col("_key").isNotNull())
        .groupBy("_key", "person")
        .agg(
            F.max((F.col("_key") == F.col("_own")).cast("int")).alias("_founder"),
            F.count(F.lit(1)).alias("_n"),
            F.min("key_since_us").alias("_since"),
            F.min("first_us").alias("_first"),
        )
    )
    order = F.struct((1 - F.col("_founder")).alias("f"), (0 - F.col("_n")).alias("n"), "_first", "person")
    heirs = held.groupBy("_key").agg(F.min(order)["person"].alias("_heir"))
    inherited = held.join(heirs, "_key")
    kept = (
        inherited.filter(F.col("person") == F.col("_heir"))
        .groupBy("person")
        .agg(F.min(F.struct("_since", "_first", "_key")).alias("_oldest"))
        .select("person", F.col("_oldest._key").alias("customer_key"), F.col("_oldest._since").alias("key_since_us"))
    )
    nameless = known.join(kept.select("person"), "person", "left_anti")
    taken = kept.select(F.col("customer_key").alias("_own"), F.lit(True).alias("_taken"))
    own_key = F.when(F.col("_taken"), hash_of("_own", F.lit(salt))).otherwise(F.col("_own"))
    choice = F.struct(F.coalesce(F.col("_taken").cast("int"), F.lit(0)).alias("t"), "first_us", own_key.alias("key"))
    made = nameless.join(taken, "_own", "left").groupBy("person").agg(F.min(choice)["key"].alias("customer_key"))
    named = kept.unionAll(made.select("person", "customer_key", F.lit(started_us).cast("bigint")))
    result = own.join(named, "person").select(*OWNER, "node", "person", "customer_key", "key_since_us")
    told = inherited.join(named.select("person", "customer_key"), "person").filter("_key <> customer_key")
    change = F.when(F.col("person") == F.col("_heir"), MERGE).otherwise(SPLIT)
    return result, told.select(change.alias("change"), "customer_key", F.col("_key").alias("other_key"))

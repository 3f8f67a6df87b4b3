"""Events: which judged rows are new, which are exact duplicates, which contradict another row."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

from rfm_spark.sql import within

ACCEPTED, REPLACED, DUPLICATE, QUARANTINED = "accepted", "replaced", "exact_duplicate", "quarantined"
CONFLICT, NO_ORDER = "duplicate_conflict", "refund_without_order"


def identify(judged: DataFrame) -> DataFrame:
    """Give every row its `event_id`: the declared one, or the row's hash and its occurrence within its file.

    Reads: rows of `contract.judge_events` of all sources, with `declared_id` (whether the source declares event_id).
    Returns: the same rows with event_id, order_id filled where every row is an order, and event_month.
    One shuffle by event_base.
    """
    key = ["event_base", "source", "source_file"]
    occurrence = F.row_number().over(W.partitionBy(*key).orderBy("content_hash"))
    numbered = within(judged.repartition("event_base"), key, {"_nth": occurrence}, {"_nth": F.lit(1)})
    event_id = F.when(F.col("declared_id"), F.col("event_base")).otherwise(
        F.concat_ws("-", "event_base", F.col("_nth").cast("string"))
    )
    return with_order_and_month(numbered.withColumn("event_id", event_id).drop("_nth"))


def with_order_and_month(rows: DataFrame) -> DataFrame:
    """Fill order_id where every row is an order, and the partition of `events`."""
    return rows.withColumns(
        {
            "order_id": F.when(F.col("order_is_event"), F.col("event_id")).otherwise(F.col("order_id")),
            # not trunc, which on some engines knows the years from 1678 to 2262 alone
            "event_month": F.make_date(F.year("event_date"), F.month("event_date"), F.lit(1)),
        }
    )


def settle(rows: DataFrame, existing: DataFrame | None) -> DataFrame:
    """Decide where every row goes: `outcome` is accepted, replaced, exact_duplicate or quarantined.

    Reads: identified rows with `reasons` and `on_change`; `existing` (source, event_id, content_hash,
        earlier_content) of the events already in the lake, or None.
    Returns: the rows with outcome, reasons, earlier_content and `known` (an exact duplicate of an event in the lake).
    Rules: a row with reasons is quarantined; same event_id and content is an exact duplicate, also of content that
        was replaced since; other content within one delivery quarantines all of them, in a later delivery the new
        ones, unless `on_change` is replace.
    One shuffle by event_id (none where `identify` made it and the lake is empty); where the lake has events, their
        ids and hashes are shuffled too.
    """
    compared = _compared(_beside_existing(rows, existing))
    bad, first = F.size("reasons") > 0, F.col("_nth") == 1
    changed = F.coalesce(F.col("_theirs") != F.col("content_hash"), F.lit(False))
    contradicts = ~F.col("known") & (F.col("_differ") | (changed & (F.col("on_change") != "replace")))
    outcome = (
        F.when(bad | contradicts, QUARANTINED)
        .when(F.col("known") | ~first, DUPLICATE)
        .when(changed, REPLACED)
        .otherwise(ACCEPTED)
    )
    earlier = F.concat(F.coalesce("_earlier", F.array().cast("array<bigint>")), F.array("_theirs"))
    return compared.withColumns(
        {
            "outcome": outcome,
            "reasons": F.when(contradicts, _and_reason(CONFLICT)).otherwise(F.col("reasons")),
            "earlier_content": F.when(outcome == REPLACED, earlier),
        }
    ).drop("_differ", "_nth", "_theirs", "_earlier")


def _beside_existing(rows: DataFrame, existing: DataFrame | None) -> DataFrame:
    """Put the content that the lake has of the same event beside each row, and whether the row is known by it."""
    if existing is None:
        nothing = {"_theirs": F.lit(None).cast("bigint"), "_earlier": F.lit(None).cast("array<bigint>")}
        return rows.withColumns({**nothing, "known": F.lit(False)})
    theirs = existing.select(
        "source", "event_id", F.col("content_hash").alias("_theirs"), F.col("earlier_content").alias("_earlier")
    )
    # without a declared id the row is its own identity, so that what changed is its mapping: the newest holds
    replaced_since = F.col("declared_id") & F.array_contains("_earlier", F.col("content_hash"))
    same = (F.col("content_hash") == F.col("_theirs")) | replaced_since
    known = F.coalesce(same, F.lit(False)) & (F.size("reasons") == 0)
    return rows.join(theirs, ["source", "event_id"], "left").withColumn("known", known)


def _compared(rows: DataFrame) -> DataFrame:
    """Whether the rows of one event differ within this delivery, and which of them is the first clean one."""
    key = ["event_base", "event_id", "source", "known"]
    group = W.partitionBy(*key).orderBy(F.size("reasons") > 0, "source_file")
    whole = group.rowsBetween(W.unboundedPreceding, W.unboundedFollowing)
    differ = F.min("content_hash").over(whole) != F.max("content_hash").over(whole)
    alone = {"_differ": F.lit(False), "_nth": F.lit(1)}
    return within(rows, key, {"_differ": differ, "_nth": F.row_number().over(group)}, alone)


def _and_reason(reason: str) -> Column:
    return F.array_sort(F.array_union("reasons", F.array(F.lit(reason))))


def match_refunds(settled: DataFrame, existing_orders: DataFrame | None) -> DataFrame:
    """Quarantine refunds whose (customer_key, order_id) no accepted purchase has.

    Reads: settled rows; `existing_orders` (customer_key, order_id) of purchases already in the lake, or None.
    Shuffles of the refunds and of the orders that they name; all else is only filtered.
    """
    refund = F.coalesce((F.col("event_type") == "refund") & (F.col("outcome") != DUPLICATE), F.lit(False))
    key = ["customer_key", "order_id"]
    wanted = settled.filter(refund).select(*key).distinct()
    orders = settled.filter((F.col("event_type") == "purchase") & is_kept()).select(*key)
    if existing_orders is not None:
        orders = orders.unionByName(existing_orders.select(*key))
    found = orders.join(wanted, key, "left_semi").distinct().withColumn("_found", F.lit(True))
    unmatched = F.col("_found").isNull()
    matched = settled.filter(refund).join(found, key, "left")
    judged = {
        "outcome": F.when(unmatched, QUARANTINED).otherwise(F.col("outcome")),
        "reasons": F.when(unmatched, _and_reason(NO_ORDER)).otherwise(F.col("reasons")),
    }
    return settled.filter(~refund).unionByName(matched.withColumns(judged).drop("_found"))


def is_kept() -> Column:
    """Whether a settled row goes to `events`."""
    return F.col("outcome").isin(ACCEPTED, REPLACED)


def quarantine_rows(rejected: DataFrame, run_id: str, ingest_date: Column) -> DataFrame:
    """One row a rejected source row, as table `quarantine`; the id is the same whenever the row is judged again.

    Reads: rows with source, source_file, reasons, record (json, hash, schema).
    One shuffle by the record's hash, of the rejected alone.
    """
    occurrence = F.row_number().over(W.partitionBy("source", "record.hash").orderBy("source_file"))
    identity = F.concat_ws("\x1f", "source", "record.hash", occurrence.cast("string"))
    return rejected.select(
        F.md5(identity).alias("quarantine_id"),
        "source",
        "reasons",
        F.col("record.json").alias("record"),
        F.col("record.hash").alias("record_hash"),
        F.col("record.schema").alias("record_schema"),
        "source_file",
        F.lit(run_id).alias("run_id"),
        ingest_date.alias("ingest_date"),
    )

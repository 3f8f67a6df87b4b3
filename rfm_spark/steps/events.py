"""Events: which judged rows are new, which are exact duplicates, which contradict another row."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

from rfm_spark.sql import Keep, as_it_is, stacked, union, within

ACCEPTED, REPLACED, DUPLICATE, QUARANTINED = "accepted", "replaced", "exact_duplicate", "quarantined"
RESTATED = ("amount", "event_date")  # what a row of the same content may be otherwise: by rates, by the project's zone
CONFLICT, NO_ORDER = "duplicate_conflict", "refund_without_order"
_NOW = (1 << 63) - 1  # when what is read for the first time is delivered


def identify(judged: DataFrame, reused: Keep = as_it_is) -> DataFrame:
    """Give every row its `event_id`: the declared one, or the row's hash and its occurrence within its file.

    Reads: rows of `contract.judge_events` of all sources, with `declared_id` (whether the source declares event_id);
        `reused` keeps what the plan uses again.
    Returns: the same rows with event_id, order_id filled where every row is an order, and event_month.
    One shuffle by event_base.
    """
    key = ["event_base", "source", "source_file"]
    occurrence = F.row_number().over(W.partitionBy(*key).orderBy("content_hash"))
    numbered = within(judged.repartition("event_base"), key, {"_nth": occurrence}, {"_nth": F.lit(1)}, reused)
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


def divide(of_changed: DataFrame, rows: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Events that changed files have brought: those that the files still bring as they were, and those they do not.

    Reads: `of_changed`, events (source, event_id, source_file, content_hash); identified rows with `reasons`.
    """
    same = ["source", "event_id", "source_file", "content_hash"]
    clean = rows.filter(F.size("reasons") == 0).select(*same)
    return of_changed.join(clean, same, "left_semi"), of_changed.join(clean, same, "left_anti")


def lost_orders(stale: DataFrame, left: Iterable[DataFrame], key: list[str]) -> DataFrame:
    """The orders, one row a `key`, of which stale events were purchases and no purchase is left.

    Reads: `stale`, those of `divide`; `left`, all other events, in one frame or several.
    Shuffles of the orders of all.
    """
    purchase = F.col("event_type") == "purchase"
    orders = stacked(frame.filter(purchase).select(*key) for frame in left)
    return stale.filter(purchase).select(*key).distinct().join(orders, key, "left_anti")


def over_stale(settled: DataFrame, stale: DataFrame) -> DataFrame:
    """Accepted rows in place of what changed files no longer bring as it was: they replace it, and contradict nothing.

    Reads: rows of `settle` against events without the stale ones; `stale`, those of `divide`, without content_hash
        where nobody is to know what they were.
    One shuffle of both, or a broadcast of the stale.
    """
    nothing = F.array().cast("array<bigint>")
    content = F.when(F.col("content_hash").isNull(), nothing).otherwise(F.array("content_hash"))
    was = F.concat(F.coalesce("earlier_content", nothing), content)
    before = stale.select("source", "event_id", was.alias("_was"))
    replaces = is_kept() & F.col("_was").isNotNull()
    changes = {
        "earlier_content": F.when(replaces, F.concat("_was", F.coalesce("earlier_content", nothing))).otherwise(
            F.col("earlier_content")
        ),
        "outcome": F.when(replaces, REPLACED).otherwise(F.col("outcome")),
    }
    return settled.join(before, ["source", "event_id"], "left").withColumns(changes).drop("_was")


def removed(settled: DataFrame, stale: DataFrame) -> DataFrame:
    """(source, event_id, event_month) of stale events that nothing settled replaces. One shuffle of both."""
    kept = settled.filter(is_kept()).select("source", "event_id")
    return stale.join(kept, ["source", "event_id"], "left_anti").select("source", "event_id", "event_month")


def taken_back(settled: DataFrame | None, stale: DataFrame, sources: Sequence[str]) -> DataFrame:
    """(source, event_id) of stale events of these sources that nothing settled replaces, and that had replaced others.

    What they had replaced may still be in a file. One shuffle of both.
    """
    had = F.col("source").isin(list(sources)) & (F.size("earlier_content") > 0)
    gone = stale.filter(had).select("source", "event_id")
    if settled is None:
        return gone
    return gone.join(settled.filter(is_kept()).select("source", "event_id"), ["source", "event_id"], "left_anti")


def settle(
    rows: DataFrame,
    existing: DataFrame | None,
    *,
    few: bool = False,
    reused: Keep = as_it_is,
) -> DataFrame:
    """Decide where every row goes: `outcome` is accepted, replaced, exact_duplicate or quarantined.

    Reads: identified rows with `reasons` and `on_change`; `existing` (source, event_id, content_hash,
        earlier_content, source_file) of the events already in the lake, or None; with amount and event_date where rows
        of the same content may have others today. `few`: the rows fit a broadcast, and are kept, since they are gone
        through twice. `reused` keeps what the plan uses again.
    Returns: the rows with outcome, reasons, earlier_content, `known` (an exact duplicate of an event in the lake) and
        `by_other` (an exact duplicate of what another file has brought).
    Rules: a row with reasons is quarantined; same event_id and content is an exact duplicate, also of content that
        was replaced since, but replaces the event whose amount or date the rates or the project's zone have otherwise
        now; other content within one delivery quarantines all of them, in a later delivery the new ones, unless
        `on_change` is replace.
    One shuffle by event_id (none where `identify` made it and the lake is empty); where the lake has events, those
        columns of all of them are read, and shuffled too unless the rows are few.
    """
    compared = _compared(_beside_existing(rows, existing, few=few), reused)
    bad, first = F.size("reasons") > 0, F.col("_nth") == 1
    changed = F.coalesce(F.col("_theirs") != F.col("content_hash"), F.lit(False))
    contradicts = ~F.col("known") & (F.col("_differ") | (changed & (F.col("on_change") != "replace")))
    outcome = (
        F.when(bad | contradicts, QUARANTINED)
        .when(F.col("known") & first & F.col("_restated"), REPLACED)
        .when(F.col("known") | ~first, DUPLICATE)
        .when(changed, REPLACED)
        .otherwise(ACCEPTED)
    )
    earlier = F.concat(F.coalesce("_earlier", F.array().cast("array<bigint>")), F.array("_theirs"))
    return compared.withColumns(
        {
            "outcome": outcome,
            "reasons": F.when(contradicts, _and_reason(CONFLICT)).otherwise(F.col("reasons")),
            "earlier_content": F.when(
                outcome == REPLACED, F.when(F.col("known"), F.col("_earlier")).otherwise(earlier)
            ),
            "by_other": (outcome == DUPLICATE)
            & ~F.col("source_file").eqNullSafe(
                F.when(F.col("known"), F.col("_their_file")).otherwise(F.col("_first_file"))
            ),
        }
    ).drop("_differ", "_nth", "_first_file", "_theirs", "_earlier", "_their_file", "_restated")


def settle_in_turns(
    rows: DataFrame, existing: DataFrame, keep: Keep, *, few: bool = False, reused: Keep = as_it_is
) -> DataFrame:
    """As `settle`, of rows that were delivered one after the other (`delivered`, a whole number that grows; null: now).

    Rules: where rows of one event differ and are of several deliveries, those of each are settled against what the ones
        before left. A row that a later delivery replaces at once is no event, and a duplicate of what was.
    `keep` keeps rows, since they are gone through several times. One more shuffle, by event, and where there are such
    events, those of `settle` for as many deliveries as one of them has.
    """
    of_event = ["source", "event_id"]
    several = F.min("content_hash") < F.max("content_hash")
    when = F.coalesce("delivered", F.lit(_NOW))
    differing = rows.groupBy(*of_event).agg((several & (F.min(when) < F.max(when))).alias("_differ"))
    contested = keep(differing.filter("_differ").select(*of_event))
    if contested.isEmpty():
        return settle(rows, existing, few=few, reused=reused).drop("delivered")
    turn = F.dense_rank().over(W.partitionBy(*of_event).orderBy(when)).alias("_turn")
    mine = keep(rows.join(contested, of_event, "left_semi").select("*", turn))
    there, done = existing.join(contested, of_event, "left_semi"), []
    for n in range(1, mine.agg(F.max("_turn")).collect()[0][0] + 1):
        now = keep(settle(mine.filter(F.col("_turn") == n), there, few=few))
        kept = now.filter(is_kept())
        there = keep(union([there.join(kept, of_event, "left_anti"), kept.select(*existing.columns)]))
        done.append(now)
    whole = union(done)
    last = whole.filter(is_kept()).groupBy(*of_event).agg(F.max("_turn").alias("_last"))
    over = is_kept() & (F.col("_turn") < F.col("_last"))
    still = {"outcome": F.when(over, DUPLICATE).otherwise(F.col("outcome")), "by_other": over | F.col("by_other")}
    in_turn = whole.join(last, of_event, "left").withColumns(still).drop("_last", "_turn")
    others = settle(rows.join(contested, of_event, "left_anti"), existing, few=few, reused=reused)
    return union([others, in_turn]).drop("delivered")


def _beside_existing(rows: DataFrame, existing: DataFrame | None, *, few: bool) -> DataFrame:
    """Put the content that the lake has of the same event beside each row, and whether the row is known by it."""
    if existing is None:
        nothing = {"_theirs": F.lit(None).cast("bigint"), "_earlier": F.lit(None).cast("array<bigint>")}
        nothing["_their_file"] = F.lit(None).cast("string")
        return rows.withColumns({**nothing, "known": F.lit(False), "_restated": F.lit(False)})
    restated = [name for name in RESTATED if name in existing.columns]
    theirs = existing.select(
        "source",
        "event_id",
        F.col("content_hash").alias("_theirs"),
        F.col("earlier_content").alias("_earlier"),
        F.col("source_file").alias("_their_file"),
        *(F.col(name).alias(f"_their_{name}") for name in restated),
    )
    if few:
        ids = F.broadcast(rows.select("source", "event_id"))
        theirs = F.broadcast(theirs.join(ids, ["source", "event_id"], "left_semi"))
    # without a declared id the row is its own identity, so that what changed is its mapping: the newest holds
    replaced_since = F.col("declared_id") & F.array_contains("_earlier", F.col("content_hash"))
    same = F.col("content_hash") == F.col("_theirs")
    known = F.coalesce(same | replaced_since, F.lit(False)) & (F.size("reasons") == 0)
    others = [~F.col(name).eqNullSafe(F.col(f"_their_{name}")) for name in restated]
    beside = rows.join(theirs, ["source", "event_id"], "left").withColumns(
        {"known": known, "_restated": F.coalesce(same, F.lit(False)) & reduce(or_, others, F.lit(False))}
    )
    return beside.drop(*(f"_their_{name}" for name in restated))


def _compared(rows: DataFrame, reused: Keep) -> DataFrame:
    """Whether the rows of one event differ within this delivery, and which of them is the first clean one."""
    key = ["event_base", "event_id", "source", "known"]
    # who stays the event's own file, where rows of it are the same: the file that it is of, then the one before others
    is_own = F.col("source_file").eqNullSafe(F.col("_their_file"))
    first = [F.col("delivered").asc_nulls_last()] if "delivered" in rows.columns else []
    group = W.partitionBy(*key).orderBy(F.size("reasons") > 0, ~F.col("_restated"), ~is_own, *first, "source_file")
    whole = group.rowsBetween(W.unboundedPreceding, W.unboundedFollowing)
    differ = F.min("content_hash").over(whole) != F.max("content_hash").over(whole)
    first_file = F.first("source_file").over(whole)
    windowed = {"_differ": differ, "_nth": F.row_number().over(group), "_first_file": first_file}
    alone = {"_differ": F.lit(False), "_nth": F.lit(1), "_first_file": F.col("source_file")}
    return within(rows, key, windowed, alone, reused)


def _and_reason(reason: str) -> Column:
    return F.array_sort(F.array_union("reasons", F.array(F.lit(reason))))


def match_refunds(
    settled: DataFrame, existing_orders: DataFrame | None, key: list[str], *, few: bool = False
) -> DataFrame:
    """Quarantine refunds whose order, by the columns of `key`, no accepted purchase has.

    Reads: settled rows; `existing_orders` (the key) of purchases already in the lake, or None; `key` with order_id;
        `few`: the refunds fit a broadcast.
    Shuffles of the refunds and of the orders that they name; all else is only filtered.
    """
    refund = F.coalesce((F.col("event_type") == "refund") & (F.col("outcome") != DUPLICATE), F.lit(False))
    wanted = settled.filter(refund).select(*key).distinct()
    orders = settled.filter((F.col("event_type") == "purchase") & is_kept()).select(*key)
    if existing_orders is not None:
        orders = orders.unionByName(existing_orders.select(*key))
    found = (
        orders.join(F.broadcast(wanted) if few else wanted, key, "left_semi")
        .distinct()
        .withColumn("_found", F.lit(True))
    )
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
    """One row a rejected source row, as table `quarantine`.

    Reads: rows with source, source_file, reasons, record (json, hash, schema).
    Rules: the id is of source, file, record and occurrence in the file, so that it is the same whatever else is read.
    One shuffle by the record's hash, of the rejected alone.
    """
    of_file = W.partitionBy("source", "record.hash", "source_file")
    occurrence = F.row_number().over(of_file.orderBy("source")).cast("string")
    identity = F.concat_ws("\x1f", "source", "record.hash", "source_file", occurrence)
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

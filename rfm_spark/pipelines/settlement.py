"""Settlement: the rows of event sources, judged, and held against the events that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.source import Source
from rfm_spark.pipelines import conservation, ledger, quarantine, unification
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import Keep, as_it_is, choose, union
from rfm_spark.steps import contract, events, rates

_FEW = 200_000  # rows whose ids fit a broadcast
_HELD_AGAINST = ["source", "event_id", "content_hash", "earlier_content", "source_file", "event_month"]
_HELD_AGAINST += ["event_type", "customer_key", "order_id"]
_GONE = ["source", "event_id", "event_month"]
_OF_FILE = ["source", "source_file"]


@dataclass(frozen=True)
class Settlement:
    """Judged rows, a frame an event source, and all with their outcome; the events they were held against.

    `removed`: (source, event_id, event_month) of events that a changed file brought and has no more, or one that is
    withdrawn. `again`: (source, path) of the files that are to be read as well, since they have what went with these:
    refunds of their orders (`orphans`, events), or what they had replaced.
    """

    judged: Sequence[DataFrame] = ()
    settled: DataFrame | None = None
    existing: DataFrame | None = None
    base: int | None = None
    removed: DataFrame | None = None
    again: frozenset[tuple[str, str]] = frozenset()
    orphans: DataFrame | None = None


NOTHING = Settlement()


def settle(
    run: Run,
    mapped: Mapping[str, DataFrame],
    judged_rates: Mapping[str, DataFrame],
    held: quarantine.Held = quarantine.NONE,
    delivered: ledger.Delivery = ledger.NONE,
    before: Settlement | None = None,
) -> Settlement:
    """Judge and settle the rows of event sources, those read and those of `held` that others may have made good.

    `before`: what was found where the files of its `again` were not read; its `orphans` are judged as if they were new.
    """
    base = _base(run)
    existing = _existing(run, base) if base is not None else None
    judged = _judged(run, mapped, held, judged_rates)
    nets_orders = _nets_orders(run)
    few = existing is not None and conservation.total(run, "rows_read", mapped) <= _FEW
    changed = delivered.files(*ledger.REPLACING) if existing is not None else []
    keep, reused = (run.checkpoint, as_it_is) if few else (run.keep, run.reused)
    undeclared = any(source.event_id_columns is None for source in run.config.event_sources())
    hashed = held.may_pass is not None
    # records are costly, and rows are gone through several times: those that have one are kept, or where all have, all
    costly = as_it_is if hashed else reused
    rows = union([_recorded(frame, costly, refunds=nets_orders, hashed=hashed) for frame in judged])
    rows = _identify(reused(rows) if hashed else rows, reused, undeclared=undeclared)
    if few or changed:
        rows = keep(rows)
    elif undeclared:
        rows = run.reused(rows)
    # rows of one content are judged alike, but in files that are judged again, and in tables that keep no such account
    restating = bool(delivered.files(ledger.AGAIN)) or not mapped.keys() <= delivered.found.keys()
    against = stale = None
    if existing is not None:
        against = existing.select(*_HELD_AGAINST, *(events.RESTATED if restating else ()))
        if changed:
            gone = delivered.files(ledger.WITHDRAWN)
            against, stale = _without_stale(run, against, rows, changed, gone, before.orphans if before else None)
    months = _months(rows, {*mapped, *held.mapped} <= delivered.alike) if few else None
    same_months = against.filter(F.col("event_month").isin(months)) if against is not None and months else against
    order = _order(mapped, held, delivered)
    if same_months is not None and order:
        dated_rows = rows.join(ledger.positions(run.lake, order), _OF_FILE, "left")
        settled = events.settle_in_turns(dated_rows, same_months, keep, few=few, reused=reused)
    else:
        settled = events.settle(rows, same_months, few=few, reused=reused)
    settled = keep(settled if stale is None else events.over_stale(settled, stale))
    key = _key_of_orders(run)
    if nets_orders:
        orders = against.filter(F.col("event_type") == "purchase") if against is not None else None
        settled = events.match_refunds(settled, orders, key, few=few)
        settled = run.checkpoint(settled) if few else settled
    again, orphans = frozenset[tuple[str, str]](), None
    if against is not None and stale is not None and before is None:
        if nets_orders:
            orphans = _orphans(run, stale, [settled.filter(events.is_kept()), against], against, delivered)
        again = _taken_back(run, settled, stale, delivered) | _files_of(orphans)
    removed = None if stale is None else run.keep(events.removed(settled, stale))
    return Settlement(judged, settled, existing, base, removed, again, orphans)


def emptied(run: Run, delivered: ledger.Delivery) -> Settlement:
    """Where no row is read: the events that go, since their files hold none any more, or are withdrawn."""
    files, base = delivered.files(*ledger.REPLACING), _base(run)
    if not files or base is None:
        return NOTHING
    existing, of_files = _existing(run, base), ledger.frame(run.lake, files)
    against = existing.select(*_HELD_AGAINST)
    stale = run.keep(against.join(of_files, _OF_FILE, "left_semi"))
    left = against.join(of_files, _OF_FILE, "left_anti")
    orphans = _orphans(run, stale, [left], left, delivered) if _nets_orders(run) else None
    again = _taken_back(run, None, stale, delivered) | _files_of(orphans)
    return Settlement(existing=existing, base=base, removed=stale.select(*_GONE), again=again, orphans=orphans)


def _base(run: Run) -> int | None:
    """The version of events that rows are held against."""

    def complete() -> tuple[int | None, frozenset[str]]:
        now = published(run.lake)
        return now.versions.get("events"), now.run_ids

    return run.lake.settled_version(schemas.EVENTS, complete)


def _existing(run: Run, base: int) -> DataFrame:
    """The events, under their sources' own ids where the project joins ids no more."""
    rows = run.lake.read("events", base)
    return rows.withColumn("customer_key", F.col("source_customer_id")) if unification.was_joined(run) else rows


def _order(
    mapped: Mapping[str, DataFrame], held: quarantine.Held, delivered: ledger.Delivery
) -> Mapping[tuple[str, str], int]:
    """When the files of rows that were delivered before this ingest were; empty where all are of one delivery."""
    if held.mapped or not delivered.found:  # rows that wait are of any file
        return {file: when for file, when in delivered.order.items() if file[0] in {*mapped, *held.mapped}}
    again = delivered.files(ledger.AGAIN)
    order = {file: delivered.order[file] for file in again if file in delivered.order}
    return order if len({*order.values()}) + (len(delivered.files()) > len(again)) > 1 else {}


def _taken_back(
    run: Run, settled: DataFrame | None, stale: DataFrame, delivered: ledger.Delivery
) -> frozenset[tuple[str, str]]:
    """All files that are not read of the sources of which an event goes that had replaced another."""
    replacing = [s.name for s in run.config.event_sources() if s.on_change == "replace" and s.name in delivered.found]
    if not replacing:
        return frozenset()
    lost = events.taken_back(settled, stale, replacing).select("source").distinct().collect()
    names = {row["source"] for row in lost}
    return frozenset((name, one.listed.path) for name in names for one in delivered.found[name] if not one.is_read)


def _files_of(orphans: DataFrame | None) -> frozenset[tuple[str, str]]:
    if orphans is None:
        return frozenset()
    return frozenset(map(tuple, orphans.select(*_OF_FILE).distinct().collect()))


def _nets_orders(run: Run) -> bool:
    """Whether there may be refunds, each of which needs its order."""
    refunds = any(s.event_type and "refund" in s.event_type.possible() for s in run.config.event_sources())
    return refunds and run.config.refunds.policy == "net_on_order_date"


def _key_of_orders(run: Run) -> list[str]:
    """Before identity, of which a new row knows nothing yet: an order of any of a person's ids."""
    return ["order_id"] if run.config.identity is not None else ["customer_key", "order_id"]


def _orphans(
    run: Run, stale: DataFrame, left: Sequence[DataFrame], existing: DataFrame, delivered: ledger.Delivery
) -> DataFrame | None:
    """The events that are refunds of orders that go with the stale events, and whose files are still there; None where
    there are none. `left`: the events after it all."""
    key = _key_of_orders(run)
    lost = run.keep(events.lost_orders(stale, left, key))
    if lost.isEmpty():
        return None
    there = [(name, one.listed.path) for name, files in delivered.found.items() for one in files]
    refunds = existing.filter(F.col("event_type") == "refund").join(lost, key, "left_semi")
    of_files = refunds.join(ledger.frame(run.lake, there), _OF_FILE, "left_semi")
    found = run.keep(of_files.select(*_HELD_AGAINST))
    return None if found.isEmpty() else found


def _recorded(judged: DataFrame, reused: Keep, *, refunds: bool, hashed: bool) -> DataFrame:
    """The rows with their raw record, where it may be needed: it is wide, and clean rows drop it."""
    refund = F.lit(refunds) & (F.col("event_type") == "refund")
    nothing = F.lit(None).cast("string")
    hash_ = F.col("record.hash") if hashed else nothing
    hash_alone = F.struct(nothing.alias("json"), hash_.alias("hash"), nothing.alias("schema"))
    needed = (F.size("reasons") > 0) | refund | F.col("held")
    return choose(contract.with_record(judged), needed, {"record": F.col("record")}, {"record": hash_alone}, reused)


def _months(rows: DataFrame, alike: bool) -> list[date] | None:
    """The months of the rows, where events of the same identity have the same date; None where they may have another.

    Without a declared id a row is its own identity, and read alike it has one date.
    """
    if not alike:
        return None
    return [row[0] for row in rows.select("event_month").distinct().collect() if row[0] is not None]


def _without_stale(
    run: Run,
    existing: DataFrame,
    rows: DataFrame,
    changed: Sequence[tuple[str, str]],
    withdrawn: Sequence[tuple[str, str]],
    orphans: DataFrame | None,
) -> tuple[DataFrame, DataFrame]:
    """The events without those that changed files no longer bring as they were, and without `orphans`; and these.

    What those of withdrawn files were is not told: nobody has seen it, and a row that says it again is no old one.
    """
    files = ledger.frame(run.lake, changed)
    still, stale = events.divide(run.keep(existing.join(files, _OF_FILE, "left_semi")), rows)
    if withdrawn:
        unseen = ledger.frame(run.lake, withdrawn)
        untold = stale.join(unseen, _OF_FILE, "left_semi").withColumn("content_hash", F.lit(None).cast("bigint"))
        stale = union([stale.join(unseen, _OF_FILE, "left_anti"), untold])
    left, stale = union([existing.join(files, _OF_FILE, "left_anti"), still]), run.keep(stale)
    if orphans is None:
        return left, stale
    return left.join(orphans.select("source", "event_id"), ["source", "event_id"], "left_anti"), union([stale, orphans])


def _judged(
    run: Run, mapped: Mapping[str, DataFrame], held: quarantine.Held, judged_rates: Mapping[str, DataFrame]
) -> list[DataFrame]:
    """The rows that are read and those of `held`, a judged frame a source and kind."""
    clean_rates = [frame.filter(F.size("reasons") == 0) for frame in judged_rates.values()]
    dated = rates.spans(union(clean_rates)) if clean_rates else None
    return [
        _judge(run, source, frames[source.name], dated, held=late)
        for frames, late in ((mapped, False), (held.mapped, True))
        for source in run.config.event_sources()
        if source.name in frames
    ]


def _judge(run: Run, source: Source, mapped: DataFrame, dated: DataFrame | None, *, held: bool) -> DataFrame:
    foreign = run.config.may_be_foreign(source)
    judged = contract.judge_events(mapped, source, run.config, dated if foreign else None)
    declared = source.event_id_columns is not None
    on_change = source.on_change if declared else "replace"
    flags = {"declared_id": F.lit(declared), "on_change": F.lit(on_change), "held": F.lit(held)}
    return run.reused(judged.withColumns(flags))


def _identify(judged: DataFrame, reused: Keep, *, undeclared: bool) -> DataFrame:
    """The rows with their `event_id`; `undeclared`: some source declares none."""
    if undeclared:
        return events.identify(judged, reused)
    return events.with_order_and_month(judged.withColumn("event_id", F.col("event_base")))

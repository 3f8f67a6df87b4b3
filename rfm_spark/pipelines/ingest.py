"""Ingest: sources → contract → events, quarantine and customers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import databases, schemas, sources
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import InputError
from rfm_spark.pipelines import conservation, identity, ledger, quarantine, watermarks
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sources import database_rows
from rfm_spark.sql import choose, union
from rfm_spark.steps import contract, customers, events, rates


def ingest(run: Run, before_rows: Callable[[Run, Iterable[DataFrame]], None] | None = None) -> Ingested:
    """Bring every source's new rows into `events`, `quarantine` and `customers`.

    `before_rows` is called with the judged profiles before any row is read.

    Raises: InputError, GateError before anything is written; ConflictError where another ingest was faster.
    """
    with run.stage("sources") as stage:
        run.inputs.update({source.name: sources.place(source) for source in run.config.sources})
        whole = {s.name: _read(run, s) for s in run.config.sources if s.kind != "events"}
        profiles, decisions = _judge_profiles(run, whole), _judge_decisions(run, whole)
        if before_rows is not None:
            before_rows(run, profiles.values())
        judged_rates = _judge_rates(run, whole)
        rated_by = _fingerprint(judged_rates)
        delivered = ledger.delivery(run.lake, run.config, rated_by)
        spans = watermarks.spans(run.lake, run.config, rated_by)
        mapped = _mapped(run, run.config.event_sources(), delivered, spans)
        _require_types(run, mapped)
        conservation.count_read(run, {**mapped, **whole}, [source.name for source in run.config.sources])
        stage.rows = conservation.total(run, "rows_read")
    with run.stage("contract") as stage:
        held = quarantine.held_of(run, delivered, reads=bool(mapped))
        settlement = _settle(run, mapped, judged_rates, held, delivered) if mapped else _NOTHING
        if settlement.orphans is not None:
            delivered = _with_files_of(settlement.orphans, delivered)
            files = [source for source in run.config.event_sources() if source.name in delivered.found]
            mapped |= _mapped(run, files, delivered, spans)
            conservation.count_read(run, {**mapped, **whole}, [source.name for source in run.config.sources])
            held = quarantine.held_of(run, delivered, reads=True)
            settlement = _settle(run, mapped, judged_rates, held, delivered, settlement.orphans)
        tallies = conservation.count_events(run, settlement.settled, [s.name for s in run.config.event_sources()])
        conservation.count_others(run, {**profiles, **judged_rates, **decisions})
        stage.rows = conservation.total(run, "rows_read")
        conservation.gate(run)
    people = _unify(run, settlement, [*profiles.values(), *decisions.values()])
    with run.stage("events") as stage:
        ledger.write(run.lake, run.started_at, delivered, tallies)
        watermarks.write(run.lake, run.started_at, spans, tallies)
        all_events, stage.rows = _write_events(run, settlement, people)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        others = [*profiles.values(), *judged_rates.values(), *decisions.values()]
        quarantine.write(run, settlement.judged, settlement.settled, others, held)
    with run.stage("customers"):
        all_profiles = _write_customers(run, profiles, people)
        _write_consents(run, decisions, people)
    if not run.dry:
        run.release()
    return Ingested(all_events, all_profiles)


def replay(run: Run, reason: str | None) -> None:
    """Judge the quarantined rows of event sources again under today's contract, and free what passes.

    Profiles and rates need none: every ingest judges them anew.
    """
    with run.stage("quarantine") as stage:
        held = quarantine.held(run, [source.name for source in run.config.event_sources()], reason)
        mapped = quarantine.mapped_again(run, held)
        run.inputs.update(dict.fromkeys(mapped, "quarantine"))
        conservation.count_read(run, mapped, mapped)
        stage.rows = conservation.total(run, "rows_read")
    if not mapped:
        return
    with run.stage("contract") as stage:
        rates_now = {s.name: _read(run, s) for s in _of_kind(run, "rates")}
        settlement = _settle(run, mapped, _judge_rates(run, rates_now))
        conservation.count_events(run, settlement.settled, mapped)
        stage.rows = conservation.total(run, "rows_read")
    people = None
    if run.config.identity is not None:  # whose people profiles join too
        whole = {s.name: _read(run, s) for kind in ("profile", *CONSENT_KINDS) for s in _of_kind(run, kind)}
        profiles, decisions = _judge_profiles(run, whole), _judge_decisions(run, whole)
        people = _unify(run, settlement, [*profiles.values(), *decisions.values()])
    with run.stage("events") as stage:
        _, stage.rows = _write_events(run, settlement, people)
    if people is not None:
        with run.stage("customers"):
            _write_customers(run, profiles, people)
            _write_consents(run, decisions, people)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        quarantine.rewrite(run, held, settlement.judged, settlement.settled)


@dataclass(frozen=True)
class _Settlement:
    """Judged rows, a frame an event source, and all with their outcome; the events they were held against.

    `removed`: (source, event_id, event_month) of events that a changed file brought and has no more. `orphans`: events,
    the refunds of orders that went with them; their files are to be read again, for them to be judged.
    """

    judged: Sequence[DataFrame] = ()
    settled: DataFrame | None = None
    existing: DataFrame | None = None
    base: int | None = None
    removed: DataFrame | None = None
    orphans: DataFrame | None = None


_Judge = Callable[[DataFrame, Source, ProjectConfig], DataFrame]
_NOTHING = _Settlement()
CONSENT_KINDS = ("consent", "suppression", "exclusion")
_FEW = 200_000  # rows whose ids fit a broadcast
_HELD_AGAINST = ["source", "event_id", "content_hash", "earlier_content", "source_file", "event_month"]
_HELD_AGAINST += ["event_type", "customer_key", "order_id"]


def _read(run: Run, source: Source, chosen: Collection[str] | None = None, where: str = "") -> DataFrame:
    """The rows of a source; those of a database are kept, since it changes while a run goes through them again."""
    if source.format != "jdbc":
        return sources.read(run.spark, source, chosen)
    rules = [rule.sql for rule in run.config.contract.rules if rule.sources is None or source.name in rule.sources]
    with databases.translated(database_rows.database_of(source)):
        raw = run.keep(database_rows.load(run.spark, source, where, rules))
    return sources.canonical(raw, source)


def _mapped(
    run: Run, of: Iterable[Source], delivered: ledger.Delivery, spans: Mapping[str, watermarks.Span]
) -> dict[str, DataFrame]:
    """The rows of event sources that are to be read, without the sources that have none."""
    mapped = {}
    for source in of:
        chosen = delivered.chosen(source)
        if chosen is None or chosen:
            try:
                where = spans[source.name].where if source.name in spans else ""
                mapped[source.name] = _read(run, source, chosen, where)
            except sources.NoRows:
                if source.name not in delivered.known:
                    raise
    return mapped


def _judge_profiles(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return _judge_whole(run, whole, contract.judge_profiles, "profile")


def _judge_decisions(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return _judge_whole(run, whole, contract.judge_consents, *CONSENT_KINDS)


def _judge_rates(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return _judge_whole(run, whole, contract.judge_rates, "rates")


def _judge_whole(run: Run, whole: Mapping[str, DataFrame], judge: _Judge, *kinds: str) -> dict[str, DataFrame]:
    """The judged rows of the sources of these kinds, which are read whole, kept for the run."""
    mine = [source for kind in kinds for source in _of_kind(run, kind)]
    return {source.name: run.keep(judge(whole[source.name], source, run.config)) for source in mine}


def _unify(run: Run, settlement: _Settlement, others: Sequence[DataFrame]) -> identity.Unified | None:
    """Who is whom once the settled rows are in `events`; None without an identity section."""
    if run.config.identity is None:
        return None
    with run.stage("identity") as stage:
        arriving = settlement.settled.filter(events.is_kept()) if settlement.settled is not None else None
        base = run.lake.version("events") if settlement.settled is None else settlement.base
        stored_events = existing = run.lake.read("events", base) if base is not None else None
        if existing is not None and arriving is not None:
            leaving = [arriving.filter(F.col("outcome") == events.REPLACED).select("source", "event_id")]
            if settlement.removed is not None:
                leaving.append(settlement.removed.select("source", "event_id"))
            existing = existing.join(union(leaving), ["source", "event_id"], "left_anti")
        clean = [frame.filter(F.size("reasons") == 0) for frame in others]
        people = identity.unify(run, run.config.identity, arriving, stored_events, existing, clean)
        identity.write(run, people)
        stage.rows = run.counts["identity.people"]
    return people


def _require_types(run: Run, mapped: Mapping[str, DataFrame]) -> None:
    """Check that extra columns are still of the type that `events` has them in. Raises: InputError."""
    if not run.lake.exists("events"):
        return
    there = {field.name: field.dataType.simpleString() for field in run.lake.read("events").schema}
    changed = [
        f"sources.{source.name}.columns.{name}: found {now}, and events has it as {there[name]}; cast it to that in "
        "{sql: …}, or give it another name"
        for source in run.config.event_sources()
        if source.name in mapped
        for name in sources.extra_columns(source)
        if name in there and (now := mapped[source.name].schema[f"c_{name}"].dataType.simpleString()) != there[name]
    ]
    if changed:
        raise InputError("; ".join(changed))


def _fingerprint(judged_rates: Mapping[str, DataFrame]) -> str | None:
    """Another text where a rate is another; None without rates. One job over them."""
    clean = [frame.filter(F.size("reasons") == 0).select("content_hash") for frame in judged_rates.values()]
    if not clean:
        return None
    return str(union(clean).agg(F.sum(F.col("content_hash").cast("decimal(38,0)"))).collect()[0][0])


def _settle(
    run: Run,
    mapped: Mapping[str, DataFrame],
    judged_rates: Mapping[str, DataFrame],
    held: quarantine.Held = quarantine.NONE,
    delivered: ledger.Delivery = ledger.NONE,
    orphans: DataFrame | None = None,
) -> _Settlement:
    """Judge and settle the rows of event sources, those read and those of `held` that others may have made good.

    `orphans`: events that an earlier look found to be refunds without their order, to be judged as if they were new.
    """
    base = run.lake.version("events")
    existing = run.lake.read("events", base) if base is not None else None
    clean_rates = [frame.filter(F.size("reasons") == 0) for frame in judged_rates.values()]
    dated = rates.spans(union(clean_rates)) if clean_rates else None
    judged = [
        _judge(run, source, frames[source.name], dated, held=late)
        for frames, late in ((mapped, False), (held.mapped, True))
        for source in run.config.event_sources()
        if source.name in frames
    ]
    refunds = any(s.event_type and "refund" in s.event_type.possible() for s in run.config.event_sources())
    nets_orders = refunds and run.config.refunds.policy == "net_on_order_date"
    recorded = [_recorded(frame, refunds=nets_orders, hashed=held.may_pass is not None) for frame in judged]
    few = existing is not None and conservation.total(run, "rows_read", mapped) <= _FEW
    changed = delivered.files(ledger.CHANGED) if existing is not None else []
    keep = run.cut if few else run.keep
    undeclared = any(source.event_id_columns is None for source in run.config.event_sources())
    rows = union(recorded)
    # records are costly, and who numbers the rows goes through them three times, who settles them several more
    rows = _identify(rows if few else run.reused(rows), undeclared=undeclared)
    if few or changed:
        rows = keep(rows)
    elif undeclared:
        rows = run.reused(rows)
    against = existing.select(*_HELD_AGAINST) if existing is not None else None
    stale = None
    if against is not None and changed:
        against, stale = _without_stale(run, against, rows, changed)
    if against is not None and stale is not None and orphans is not None:
        against = against.join(orphans.select("source", "event_id"), ["source", "event_id"], "left_anti")
        stale = union([stale, orphans])
    months = _months(rows, {*mapped, *held.mapped} <= delivered.alike) if few else None
    same_months = against.filter(F.col("event_month").isin(months)) if against is not None and months else against
    settled = events.settle(rows, same_months, few=few)
    settled = keep(settled if stale is None else events.over_stale(settled, stale))
    # before identity, of which a new row knows nothing yet: an order of any of a person's ids
    key = ["order_id"] if run.config.identity is not None else ["customer_key", "order_id"]
    if nets_orders:
        orders = against.filter(F.col("event_type") == "purchase") if against is not None else None
        settled = events.match_refunds(settled, orders, key, few=few)
        settled = run.cut(settled) if few else settled
    found = None
    if against is not None and stale is not None and orphans is None and nets_orders:
        lost = events.lost_orders(stale, settled, against, key)
        found = _orphans(run, against, run.keep(lost), key, delivered)
    removed = None if stale is None else run.keep(events.removed(settled, stale))
    return _Settlement(judged, settled, existing, base, removed, found)


def _orphans(
    run: Run, existing: DataFrame, lost: DataFrame, key: list[str], delivered: ledger.Delivery
) -> DataFrame | None:
    """The events that are refunds of lost orders and whose files are still there; None where there are none."""
    if lost.isEmpty():
        return None
    there = [(name, one.listed.path) for name, files in delivered.found.items() for one in files]
    refunds = existing.filter(F.col("event_type") == "refund").join(lost, key, "left_semi")
    of_files = refunds.join(ledger.frame(run.lake, there), ["source", "source_file"], "left_semi")
    found = run.keep(of_files.select(*_HELD_AGAINST))
    return None if found.isEmpty() else found


def _with_files_of(orphans: DataFrame, delivered: ledger.Delivery) -> ledger.Delivery:
    files = orphans.select("source", "source_file").distinct().collect()
    return delivered.with_again({(row["source"], row["source_file"]) for row in files})


def _recorded(judged: DataFrame, *, refunds: bool, hashed: bool) -> DataFrame:
    """The rows with their raw record, where it may be needed: it is wide, and clean rows drop it."""
    refund = F.lit(refunds) & (F.col("event_type") == "refund")
    nothing = F.lit(None).cast("string")
    hash_ = F.col("record.hash") if hashed else nothing
    hash_alone = F.struct(nothing.alias("json"), hash_.alias("hash"), nothing.alias("schema"))
    needed = (F.size("reasons") > 0) | refund | F.col("held")
    return choose(contract.with_record(judged), needed, {"record": F.col("record")}, {"record": hash_alone})


def _months(rows: DataFrame, alike: bool) -> list[date] | None:
    """The months of the rows, where events of the same identity have the same date; None where they may have another.

    Without a declared id a row is its own identity, and read alike it has one date.
    """
    if not alike:
        return None
    return [row[0] for row in rows.select("event_month").distinct().collect() if row[0] is not None]


def _without_stale(
    run: Run, existing: DataFrame, rows: DataFrame, changed: Sequence[tuple[str, str]]
) -> tuple[DataFrame, DataFrame]:
    """The events without those that changed files no longer bring as they were; and these."""
    files, of_file = ledger.frame(run.lake, changed), ["source", "source_file"]
    still, stale = events.divide(run.keep(existing.join(files, of_file, "left_semi")), rows)
    return union([existing.join(files, of_file, "left_anti"), still]), run.keep(stale)


def _judge(run: Run, source: Source, mapped: DataFrame, dated: DataFrame | None, *, held: bool) -> DataFrame:
    foreign = "currency" in source.columns or (source.currency or run.config.currency) != run.config.currency
    judged = contract.judge_events(mapped, source, run.config, dated if foreign else None)
    declared = source.event_id_columns is not None
    on_change = source.on_change if declared else "replace"
    flags = {"declared_id": F.lit(declared), "on_change": F.lit(on_change), "held": F.lit(held)}
    return run.reused(judged.withColumns(flags))


def _of_kind(run: Run, kind: str) -> list[Source]:
    return [source for source in run.config.sources if source.kind == kind]


def _identify(judged: DataFrame, *, undeclared: bool) -> DataFrame:
    """The rows with their `event_id`; `undeclared`: some source declares none."""
    if undeclared:
        return events.identify(judged)
    return events.with_order_and_month(judged.withColumn("event_id", F.col("event_base")))


def _write_events(run: Run, settlement: _Settlement, people: identity.Unified | None = None) -> tuple[DataFrame, int]:
    """All events as they are now, and how many this run brought. The rows, and those that go, in one commit; one more
    where events that stay are another person's now."""
    all_events, brought = _brought(run, settlement, people)
    return all_events if people is None else identity.restate(run, people, all_events), brought


def _brought(run: Run, settlement: _Settlement, people: identity.Unified | None) -> tuple[DataFrame, int]:
    settled, existing, gone = settlement.settled, settlement.existing, settlement.removed
    if settled is None:
        return run.lake.use("events"), 0
    names = dict.fromkeys(name for source in run.config.event_sources() for name in sources.extra_columns(source))
    spec = schemas.EVENTS.with_columns(
        *(schemas.configured(n, settled.schema[n].dataType.simpleString()) for n in names if n in settled.columns)
    )
    kept = settled.filter(events.is_kept()).withColumn("ingested_run_id", F.lit(run.run_id))
    if people is not None and run.config.identity is not None:
        kept = people.named(identity.hashed(kept, run.config.identity))
        spec = spec.with_columns(schemas.ID_HASHES)
    rows = kept.select(*(f"`{name}`" for name in spec.column_names()))
    of_events = [source.name for source in run.config.event_sources()]
    brought = conservation.total(run, "accepted", of_events) + conservation.total(run, "freed", of_events)
    n_gone = gone.count() if gone is not None else 0
    if n_gone:
        run.counts["events.removed"] = n_gone
    replaced = settled.filter(F.col("outcome") == events.REPLACED).select("source", "event_id")
    if existing is not None and run.dry:
        others = replaced if gone is None else replaced.unionAll(gone.select("source", "event_id"))
        return union([rows, existing.join(others, ["source", "event_id"], "left_anti")]), brought
    if existing is not None and not brought and not n_gone:
        return run.lake.use("events", settlement.base), 0
    if existing is not None and (n_gone or not replaced.isEmpty()):
        clauses = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        changes = run.lake.complete_columns(spec, rows)
        if gone is not None and n_gone:
            clauses = f"WHEN MATCHED AND s.event_type IS NULL THEN DELETE {clauses}"
            changes = union([changes, gone])
        return run.lake.merge(spec, changes, clauses, settlement.base).frame, brought
    # few files a month: a month is what later reads prune by
    done = run.lake.append_once(spec, rows.hint("rebalance", "event_month"), settlement.base)
    conservation.written("events", brought, done.rows)
    return done.frame, brought


def _write_customers(
    run: Run, profiles: Mapping[str, DataFrame], people: identity.Unified | None = None
) -> DataFrame | None:
    if not profiles:
        return None
    clean = [profile.filter(F.size("reasons") == 0) for profile in profiles.values()]
    if people is None or run.config.identity is None:
        merged = customers.merge_profiles(clean)
    else:
        order, rules = list(profiles), run.config.identity.survivorship
        merged = customers.survivors(union([people.named(frame) for frame in clean]), order, rules)
    names = [n for n in merged.columns if n not in ("customer_key", "profile_date", schemas.ATTRIBUTE_SOURCES.name)]
    spec = schemas.CUSTOMERS.with_columns(
        *(schemas.configured(n, merged.schema[n].dataType.simpleString(), personal=True) for n in names),
        *([schemas.ATTRIBUTE_SOURCES] if people is not None else []),
    )
    return run.lake.replace(spec, merged).frame


def _write_consents(run: Run, decisions: Mapping[str, DataFrame], people: identity.Unified | None = None) -> None:
    """Replace `consents` by what its sources hold now, as profiles are; a word that is not understood is told of."""
    if not decisions:
        return
    for name, judged in decisions.items():
        unknown = judged.filter((F.size("reasons") == 0) & ~F.col("understood")).count()
        if unknown:
            run.counts[f"{name}.unknown_status"] = unknown
            run.warnings.append(
                f"source {name}: {unknown:,} rows with another status than {contract.GRANTED}, "
                f"{', '.join(contract.REFUSALS)} are read as refusals; map them with {{sql: …}}"
            )
    rows = union(judged.filter(F.size("reasons") == 0) for judged in decisions.values())
    if people is not None:
        rows = people.named(rows)
    distinct = rows.dropDuplicates(["source", "customer_key", "content_hash"])
    run.lake.replace(schemas.CONSENTS, distinct.select(*schemas.CONSENTS.column_names()))

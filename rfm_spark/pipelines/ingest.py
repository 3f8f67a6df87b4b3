"""Ingest: sources → contract → identity → events, quarantine, customers and consents."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark import databases, sources
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import InputError
from rfm_spark.pipelines import (
    conservation,
    ingest_writes,
    ledger,
    quarantine,
    rate_fingerprint,
    unification,
    watermarks,
)
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.run_record import Run
from rfm_spark.pipelines.settlement import Settlement, emptied, settle
from rfm_spark.sources import database_rows
from rfm_spark.sql import union
from rfm_spark.steps import contract, events

CONSENT_KINDS = ("consent", "suppression", "exclusion")
_Judge = Callable[[DataFrame, Source, ProjectConfig], DataFrame]


def ingest(run: Run, before_rows: Callable[[Run, Iterable[DataFrame]], None] | None = None) -> Ingested:
    """Bring every source's new rows into `events`, `quarantine`, `customers` and `consents`.

    `before_rows` is called with the judged profiles before any row of events is read.

    Raises: InputError, GateError before anything is written; ConflictError where another ingest was faster.
    """
    with run.stage("sources") as stage:
        run.inputs.update({source.name: sources.place(source) for source in run.config.sources})
        whole = {s.name: _read(run, s) for s in run.config.sources if s.kind != "events"}
        profiles, decisions = _judge_profiles(run, whole), _judge_decisions(run, whole)
        if before_rows is not None:
            before_rows(run, profiles.values())
        judged_rates = _judge_rates(run, whole)
        rates = rate_fingerprint.fingerprint(judged_rates.values())
        delivered = ledger.delivery(run.lake, run.config, rates)
        spans = watermarks.spans(run.lake, run.config, rates.until(date.max))
        mapped = _mapped(run, run.config.event_sources(), delivered, spans)
        mapped = _as_stored(run, mapped)
        conservation.count_read(run, {**mapped, **whole}, [source.name for source in run.config.sources])
        stage.rows = conservation.total(run, "rows_read")
    with run.stage("contract") as stage:
        held = quarantine.held_of(run, delivered, changes=bool(mapped or delivered.files(*ledger.REPLACING)))
        any_row = mapped or held.mapped
        settlement = settle(run, mapped, judged_rates, held, delivered) if any_row else emptied(run, delivered)
        if settlement.again:
            delivered = delivered.with_again(settlement.again)
            files = [source for source in run.config.event_sources() if source.name in delivered.found]
            mapped |= _as_stored(run, _mapped(run, files, delivered, spans))
            conservation.count_read(run, {**mapped, **whole}, [source.name for source in run.config.sources])
            held = quarantine.held_of(run, delivered, changes=True)
            settlement = settle(run, mapped, judged_rates, held, delivered, settlement)
        tallies = conservation.count_events(run, settlement.settled, [s.name for s in run.config.event_sources()])
        conservation.count_others(run, {**profiles, **judged_rates, **decisions})
        stage.rows = conservation.total(run, "rows_read")
        conservation.gate(run)
    people = _unify(run, settlement, [*profiles.values(), *decisions.values()])
    with run.stage("events") as stage:
        ledger.write(run.lake, run.started_at, delivered, tallies)
        ledger.require_unread(run.lake, delivered)
        run.checks.append(partial(ledger.require_as_read, run.lake))
        watermarks.write(run.lake, run.started_at, spans, tallies)
        all_events, stage.rows = ingest_writes.write_events(run, settlement, people)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        others = [*profiles.values(), *judged_rates.values(), *decisions.values()]
        quarantine.write(run, settlement.judged, settlement.settled, others, held)
    with run.stage("customers"):
        all_profiles = ingest_writes.write_customers(run, profiles, people)
        ingest_writes.write_consents(run, decisions, people)
    if not run.dry:
        run.release()
    return Ingested(all_events, all_profiles)


def replay(run: Run, reason: str | None) -> None:
    """Judge the quarantined rows of event sources again under today's contract, and free what passes.

    Profiles and rates need none: every ingest judges them anew.
    """
    with run.stage("quarantine") as stage:
        held = quarantine.to_replay(run, [source.name for source in run.config.event_sources()], reason)
        mapped = quarantine.mapped_again(run, held)
        run.inputs.update(dict.fromkeys(mapped, "quarantine"))
        conservation.count_read(run, mapped, mapped)
        stage.rows = conservation.total(run, "rows_read")
    if not mapped:  # what a replay that died has freed is not there any more, and is published
        if run.lake.exists("events"):
            run.lake.use("events")
        quarantine.keep(run)
        return
    with run.stage("contract") as stage:
        rates_now = {s.name: _read(run, s) for s in _of_kind(run, "rates")}
        delivered = ledger.Delivery(order=ledger.order(run.lake))
        settlement = settle(run, mapped, _judge_rates(run, rates_now), delivered=delivered)
        conservation.count_events(run, settlement.settled, mapped)
        stage.rows = conservation.total(run, "rows_read")
    people = None
    if run.config.identity is not None:  # whose people profiles join too
        whole = {s.name: _read(run, s) for kind in ("profile", *CONSENT_KINDS) for s in _of_kind(run, kind)}
        profiles, decisions = _judge_profiles(run, whole), _judge_decisions(run, whole)
        people = _unify(run, settlement, [*profiles.values(), *decisions.values()])
    with run.stage("events") as stage:
        _, stage.rows = ingest_writes.write_events(run, settlement, people)
    if people is not None:
        with run.stage("customers"):
            ingest_writes.write_customers(run, profiles, people)
            ingest_writes.write_consents(run, decisions, people)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        quarantine.rewrite(run, held, settlement.judged, settlement.settled)


def _read(run: Run, source: Source, chosen: Collection[str] | None = None, where: str = "") -> DataFrame:
    """The rows of a source; those of a database are kept, since it changes while a run goes through them again."""
    if source.format != "jdbc":
        return sources.read(run.spark, source, chosen)
    with databases.translated(database_rows.database_of(source)):
        raw = run.keep(database_rows.load(run.spark, source, where, _rules(run, source)))
    return sources.canonical(raw, source)


def _rules(run: Run, source: Source) -> list[str]:
    """The SQL that rows of an event source are judged by."""
    return [rule.sql for rule in run.config.contract.rules if rule.sources is None or source.name in rule.sources]


def _mapped(
    run: Run, of: Iterable[Source], delivered: ledger.Delivery, spans: Mapping[str, watermarks.Span]
) -> dict[str, DataFrame]:
    """The rows of event sources that are to be read, without the sources that have none."""
    mapped = {}
    for source in of:
        chosen = delivered.chosen(source)
        if chosen is not None and not chosen:
            continue
        try:
            where = spans[source.name].where if source.name in spans else ""
            mapped[source.name] = _read(run, source, chosen, where)
        except sources.NoRows:
            if source.name not in delivered.known:  # so that nobody has seen yet whether its columns are these
                raise
            if source.format == "json":
                rows = sources.read_malformed(run.spark, source, chosen, _rules(run, source))
                mapped |= {} if rows is None else {source.name: rows}
    return mapped


def _judge_profiles(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """The judged profiles, an attribute of one type in all of them. Raises: InputError where none holds all values."""
    profiles = _judge_whole(run, whole, contract.judge_profiles, "profile")
    types: dict[str, dict[str, T.DataType]] = {}
    for source, profile in profiles.items():
        for name in run.config.source(source).attributes:
            types.setdefault(name, {})[source] = profile.schema[name].dataType
    for name, each in types.items():
        common = sources.common_type(each.values())
        if common is None:
            told = ", ".join(f"{type_.simpleString()} in {source}" for source, type_ in each.items())
            raise InputError(f"attribute {name}: found {told}; make them one type, by types or in {{sql: …}}")
        for source, type_ in each.items():
            if type_ != common:
                profiles[source] = profiles[source].withColumn(name, F.col(name).cast(common))
    return profiles


def _judge_decisions(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return _judge_whole(run, whole, contract.judge_consents, *CONSENT_KINDS)


def _judge_rates(run: Run, whole: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return _judge_whole(run, whole, contract.judge_rates, "rates")


def _judge_whole(run: Run, whole: Mapping[str, DataFrame], judge: _Judge, *kinds: str) -> dict[str, DataFrame]:
    """The judged rows of the sources of these kinds, which are read whole, kept for the run."""
    mine = [source for kind in kinds for source in _of_kind(run, kind)]
    return {source.name: run.keep(judge(whole[source.name], source, run.config)) for source in mine}


def _unify(run: Run, settlement: Settlement, others: Sequence[DataFrame]) -> unification.Unified | None:
    """Who is whom once the settled rows are in `events`; None without an identity section."""
    if run.config.identity is None:
        return None
    with run.stage("identity") as stage:
        arriving = settlement.settled.filter(events.is_kept()) if settlement.settled is not None else None
        base = run.lake.version("events") if settlement.settled is None else settlement.base
        run.lake.hold("events", base)
        stored_events = existing = run.lake.read("events", base) if base is not None else None
        replaced = arriving.filter(F.col("outcome") == events.REPLACED) if arriving is not None else None
        leaving = [gone.select("source", "event_id") for gone in (replaced, settlement.removed) if gone is not None]
        if existing is not None and leaving:
            existing = existing.join(union(leaving), ["source", "event_id"], "left_anti")
        clean = [frame.filter(F.size("reasons") == 0) for frame in others]
        people = unification.unify(run, run.config.identity, arriving, stored_events, existing, clean)
        unification.write(run, people)
        stage.rows = run.counts["identity.people"]
    return people


def _as_stored(run: Run, mapped: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """The rows with extra columns of the types that `events` has them in, or will. Raises: InputError for others."""
    stored, as_stored, changed = run.lake.place.types_of("events") or {}, dict(mapped), []
    there = _types_of_extras(run, mapped) | stored
    for source in run.config.event_sources():
        for name in sources.extra_columns(source) if source.name in mapped else []:
            frame, column = as_stored[source.name], f"c_{name}"
            now = frame.schema[column].dataType.simpleString()
            if now == there.get(name, now):
                continue
            if (fitted := sources.fitted(frame, column, there[name])) is not None:
                as_stored[source.name] = frame.withColumn(column, fitted)
                continue
            whose = "events" if name in stored else "another source"
            changed.append(
                f"sources.{source.name}.columns.{name}: found {now}, and {whose} has it as {there[name]}; cast it to "
                "that in {sql: …}, or give it another name"
            )
    if changed:
        raise InputError("; ".join(changed))
    return as_stored


def _types_of_extras(run: Run, mapped: Mapping[str, DataFrame]) -> dict[str, str]:
    """{extra column: the type that holds it in all sources}, or where there is none, that of the first."""
    types: dict[str, list[T.DataType]] = {}
    for source in run.config.event_sources():
        for name in sources.extra_columns(source) if source.name in mapped else []:
            types.setdefault(name, []).append(mapped[source.name].schema[f"c_{name}"].dataType)
    return {name: (sources.common_type(each) or each[0]).simpleString() for name, each in types.items()}


def _of_kind(run: Run, kind: str) -> list[Source]:
    return [source for source in run.config.sources if source.kind == kind]

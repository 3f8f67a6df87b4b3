"""Ingest: sources → contract → events, quarantine and customers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas, sources
from rfm_spark.config.models import Source
from rfm_spark.errors import InputError
from rfm_spark.pipelines import conservation, quarantine
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import choose, union
from rfm_spark.steps import activity, contract, customers, events, rates
from rfm_spark.steps.activity import Policy


@dataclass(frozen=True)
class Ingested:
    """What the segmentation goes on with: all events and all profiles (None where no source has any).

    `by_customer`, the events as `activity.by_customer` has them, where they are kept for several snapshots.
    """

    events: DataFrame
    profiles: DataFrame | None
    by_customer: DataFrame | None = None

    def activity(self, policy: Policy, as_of: date, customers: DataFrame | None = None) -> DataFrame:
        """The activity before a date, of all or of some customers (a frame of customer_key)."""
        rows = self.events if self.by_customer is None else self.by_customer
        if customers is not None:
            rows = rows.join(customers, "customer_key", "left_semi")
        if self.by_customer is None:
            return activity.activity(rows, policy, as_of)
        return activity.settled(rows, policy, as_of)


def ingest(run: Run, before_rows: Callable[[Run, Iterable[DataFrame]], None] | None = None) -> Ingested:
    """Bring every source's new rows into `events`, `quarantine` and `customers`.

    `before_rows` is called with the judged profiles before any row is read.

    Raises: InputError, GateError before anything is written; ConflictError where another ingest was faster.
    """
    with run.stage("sources") as stage:
        mapped = {source.name: sources.read(run.spark, source) for source in run.config.sources}
        run.inputs.update({source.name: sources.place(source) for source in run.config.sources})
        profiles = {
            s.name: run.keep(contract.judge_profiles(mapped[s.name], s, run.config)) for s in _of_kind(run, "profile")
        }
        if before_rows is not None:
            before_rows(run, profiles.values())
        conservation.count_read(run, mapped)
        stage.rows = conservation.total(run, "rows_read")
    with run.stage("contract") as stage:
        held = quarantine.may_pass(run)
        settlement = _settle(run, mapped, hashed=held is not None)
        conservation.count_events(run, settlement.settled, [s.name for s in run.config.event_sources()])
        conservation.count_others(run, {**profiles, **settlement.rates})
        stage.rows = conservation.total(run, "rows_read")
        conservation.gate(run)
    with run.stage("events") as stage:
        all_events, stage.rows = _write_events(run, settlement)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        others = [*profiles.values(), *settlement.rates.values()]
        quarantine.write(run, settlement.judged, settlement.settled, others, held)
    with run.stage("customers"):
        all_profiles = _write_customers(run, profiles)
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
        conservation.count_read(run, mapped)
        names, stage.rows = list(mapped), conservation.total(run, "rows_read")
        mapped |= {s.name: sources.read(run.spark, s) for s in _of_kind(run, "rates")}
    if not names:
        return
    with run.stage("contract") as stage:
        settlement = _settle(run, mapped)
        conservation.count_events(run, settlement.settled, names)
        stage.rows = conservation.total(run, "rows_read")
    with run.stage("events") as stage:
        _, stage.rows = _write_events(run, settlement)
    with run.stage("quarantine") as stage:
        stage.rows = conservation.total(run, "quarantined")
        quarantine.rewrite(run, held, settlement.judged, settlement.settled)


def stored(run: Run, at: Mapping[str, int] | None = None) -> Ingested:
    """The events and profiles that complete runs have brought into the lake, for a segmentation without an ingest.

    `at`: the versions of these tables to use, where it is not the newest. Raises: InputError where there are none.
    """
    now = published(run.lake).versions if at is None else at
    if "events" not in now:
        raise InputError(f"no complete run has written events in {run.lake.place}; run `rfm-spark ingest` first")
    events_then = run.lake.use("events", now["events"])
    known = "customers" in now and bool(_of_kind(run, "profile"))
    return Ingested(events_then, run.lake.use("customers", now["customers"]) if known else None)


@dataclass(frozen=True)
class _Settlement:
    """Judged rows, a frame an event source, and all with their outcome; rates; the events they were held against."""

    judged: Sequence[DataFrame]
    settled: DataFrame
    rates: Mapping[str, DataFrame]
    existing: DataFrame | None
    base: int | None


def _settle(run: Run, mapped: Mapping[str, DataFrame], *, hashed: bool = False) -> _Settlement:
    """Judge and settle the rows of event sources; `hashed`: the hash of every raw row is kept, of clean ones too."""
    base = run.lake.version("events")
    existing = run.lake.read("events", base) if base is not None else None
    judged_rates = {
        s.name: run.keep(contract.judge_rates(mapped[s.name], s, run.config)) for s in _of_kind(run, "rates")
    }
    clean_rates = [frame.filter(F.size("reasons") == 0) for frame in judged_rates.values()]
    dated = rates.spans(union(clean_rates)) if clean_rates else None
    judged = [_judge(run, s, mapped[s.name], dated) for s in run.config.event_sources() if s.name in mapped]
    refunds = any(s.event_type and "refund" in s.event_type.possible() for s in run.config.event_sources())
    nets_orders = refunds and run.config.refunds.policy == "net_on_order_date"
    # the raw record is made only where it may be needed: it is wide, and clean rows drop it
    needed = (F.size("reasons") > 0) | (F.lit(nets_orders) & (F.col("event_type") == "refund"))
    nothing = F.lit(None).cast("string")
    hash_ = F.col("record.hash") if hashed else nothing
    hash_alone = F.struct(nothing.alias("json"), hash_.alias("hash"), nothing.alias("schema"))
    recorded = [
        choose(contract.with_record(frame), needed, {"record": F.col("record")}, {"record": hash_alone})
        for frame in judged
    ]
    settled = run.keep(events.settle(_identify(run, union(recorded)), existing))
    if nets_orders:
        orders = existing.filter(F.col("event_type") == "purchase") if existing is not None else None
        settled = events.match_refunds(settled, orders)
    return _Settlement(judged, settled, judged_rates, existing, base)


def _judge(run: Run, source: Source, mapped: DataFrame, dated: DataFrame | None) -> DataFrame:
    foreign = "currency" in source.columns or (source.currency or run.config.currency) != run.config.currency
    judged = contract.judge_events(mapped, source, run.config, dated if foreign else None)
    declared = source.event_id_columns is not None
    on_change = source.on_change if declared else "replace"
    return run.reused(judged.withColumns({"declared_id": F.lit(declared), "on_change": F.lit(on_change)}))


def _of_kind(run: Run, kind: str) -> list[Source]:
    return [source for source in run.config.sources if source.kind == kind]


def _identify(run: Run, judged: DataFrame) -> DataFrame:
    if any(source.event_id_columns is None for source in run.config.event_sources()):
        return run.reused(events.identify(judged))
    return events.with_order_and_month(judged.withColumn("event_id", F.col("event_base")))


def _write_events(run: Run, settlement: _Settlement) -> tuple[DataFrame, int]:
    """All events as they are now, and how many this run brought."""
    settled, existing = settlement.settled, settlement.existing
    names = dict.fromkeys(name for source in run.config.event_sources() for name in sources.extra_columns(source))
    spec = schemas.EVENTS.with_columns(
        *(schemas.configured(n, settled.schema[n].dataType.simpleString()) for n in names)
    )
    kept = settled.filter(events.is_kept()).withColumn("ingested_run_id", F.lit(run.run_id))
    rows = kept.select(*(f"`{name}`" for name in spec.column_names()))
    accepted = conservation.total(run, "accepted", [source.name for source in run.config.event_sources()])
    replaced = settled.filter(F.col("outcome") == events.REPLACED).select("source", "event_id")
    if existing is not None and run.dry:
        kept_before = existing.join(replaced, ["source", "event_id"], "left_anti")
        return union([rows, kept_before]), accepted
    if existing is not None and not accepted:
        return run.lake.use("events", settlement.base), 0
    if existing is not None and not replaced.isEmpty():
        clauses = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        whole = run.lake.complete_columns(spec, rows)
        return run.lake.merge(spec, whole, clauses, settlement.base).frame, accepted
    # few files a month: a month is what later reads prune by
    done = run.lake.append_once(spec, rows.hint("rebalance", "event_month"), settlement.base)
    conservation.written("events", accepted, done.rows)
    return done.frame, accepted


def _write_customers(run: Run, profiles: Mapping[str, DataFrame]) -> DataFrame | None:
    if not profiles:
        return None
    merged = customers.merge_profiles([profile.filter(F.size("reasons") == 0) for profile in profiles.values()])
    names = [name for name in merged.columns if name not in ("customer_key", "profile_date")]
    spec = schemas.CUSTOMERS.with_columns(
        *(schemas.configured(n, merged.schema[n].dataType.simpleString()) for n in names)
    )
    return run.lake.replace(spec, merged).frame

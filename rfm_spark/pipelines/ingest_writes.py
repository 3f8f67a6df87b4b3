"""What an ingest brings into `events`, `customers` and `consents`."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas, sources
from rfm_spark.pipelines import conservation, unification
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run, require_as_decided
from rfm_spark.pipelines.settlement import Settlement
from rfm_spark.sql import union
from rfm_spark.steps import contract, customers, events


def write_events(run: Run, settlement: Settlement, people: unification.Unified | None = None) -> tuple[DataFrame, int]:
    """All events as they are now, and how many this run brought. The rows, and those that go, in one commit; one more
    where events that stay are another person's now. Raises: ConflictError where others were faster."""
    if people is not None and not run.dry:
        require_as_decided(run, published(run.lake))  # only its own `identities` has the spellings of the events' ids
    all_events, brought = _brought(run, settlement, people)
    if people is not None:
        return unification.restate(run, people, all_events), brought
    return unification.parted(run, all_events) if unification.was_joined(run) else all_events, brought


def _brought(run: Run, settlement: Settlement, people: unification.Unified | None) -> tuple[DataFrame, int]:
    settled, existing, gone = settlement.settled, settlement.existing, settlement.removed
    if settled is None:
        return _without(run, settlement), 0
    names = dict.fromkeys(name for source in run.config.event_sources() for name in sources.extra_columns(source))
    spec = schemas.EVENTS.with_columns(
        *(schemas.configured(n, settled.schema[n].dataType.simpleString()) for n in names if n in settled.columns)
    )
    kept = settled.filter(events.is_kept()).withColumn("ingested_run_id", F.lit(run.run_id))
    if people is not None and run.config.identity is not None:
        kept = people.named(unification.hashed(kept, run.config.identity))
        spec = spec.with_columns(schemas.ID_HASHES)
    rows = kept.select(*(f"`{name}`" for name in spec.column_names()))
    of_events = [source.name for source in run.config.event_sources()]
    brought = conservation.total(run, "accepted", of_events) + conservation.total(run, "freed", of_events)
    n_gone = _count_removed(run, gone)
    replaced = settled.filter(F.col("outcome") == events.REPLACED).select("source", "event_id")
    if existing is not None and run.dry:
        others = replaced if gone is None else replaced.unionAll(gone.select("source", "event_id"))
        stay = existing.join(others, ["source", "event_id"], "left_anti")
        # calculated, since Sail has no minimum of a column of both where only the table's is commented
        return union([rows, stay.withColumn("event_date", F.date_add("event_date", 0))]), brought
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


def _without(run: Run, settlement: Settlement) -> DataFrame:
    """All events but those that go, where no row was read."""
    existing, gone = settlement.existing, settlement.removed
    if existing is None or gone is None or not _count_removed(run, gone):
        return run.lake.use("events", settlement.base)
    if run.dry:
        return existing.join(gone, ["source", "event_id"], "left_anti")
    return run.lake.merge(schemas.EVENTS, gone, "WHEN MATCHED THEN DELETE", settlement.base).frame


def _count_removed(run: Run, gone: DataFrame | None) -> int:
    n = gone.count() if gone is not None else 0
    if n:
        run.counts["events.removed"] = n
    return n


def write_customers(
    run: Run, profiles: Mapping[str, DataFrame], people: unification.Unified | None = None
) -> DataFrame | None:
    """Replace `customers` by what its sources hold now, one row a customer; None where no source has profiles."""
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
        *(schemas.configured(n, merged.schema[n].dataType.simpleString()) for n in names),
        *([schemas.ATTRIBUTE_SOURCES] if people is not None else []),
    )
    return run.lake.replace(spec, merged, anew=True).frame


def write_consents(run: Run, decisions: Mapping[str, DataFrame], people: unification.Unified | None = None) -> None:
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
    run.lake.replace(schemas.CONSENTS, distinct.select(*schemas.CONSENTS.column_names()), anew=True)

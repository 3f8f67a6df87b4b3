"""Segment: events → activity → metrics → cut points → scores → segments → profiles → migrations, for one as_of."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.attributes import used_attributes, used_predictions
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segmentation
from rfm_spark.cuts import CriterionCut, Cuts, FittedCuts
from rfm_spark.errors import ConfigError, GateError, InputError
from rfm_spark.lake import Written
from rfm_spark.local import local_frame
from rfm_spark.pipelines import counts, drift
from rfm_spark.pipelines.causes import Snapshot
from rfm_spark.pipelines.customer_metrics import customer_metrics
from rfm_spark.pipelines.evolution import evolve, previous
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.newest_predictions import with_predictions
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Moves, Run
from rfm_spark.schemas import Column
from rfm_spark.sql import union
from rfm_spark.steps import cut_points, metrics, migrations, profiles, scores, segments


def segment(run: Run, data: Ingested, cut_points_from: date | None = None) -> None:
    """Measure, score and segment every customer as of one date, and publish the snapshot.

    Events are shuffled once, by customer; customers once, to be beside their previous segment.
    Raises: ConfigError, InputError before anything is measured; GateError where a customer's money has no place.
    """
    config, snapshot, earlier = run.config, {"snapshot_date": run.as_of}, published(run.lake)
    planned = cut_points.plan(config, cut_points_from)
    frozen = _frozen(earlier, planned, cut_points_from)
    _resolve(run, [data.profiles] if data.profiles is not None else [])
    if newer := [day for day in earlier.snapshots if day > run.as_of]:
        run.warnings.append(f"{run.as_of} is of the past: the snapshot of {max(newer)} stays the current one")
    with run.stage("metrics") as stage:
        written = _measure(run, data, earlier)
        customers = written.frame.filter(F.col("snapshot_date") == F.lit(run.as_of))
        stage.rows = run.counts["customer_metrics.rows"] = written.rows
        recomputed = run.counts.setdefault("customer_metrics.recomputed", written.rows)
        run.counts["customer_metrics.moved"] = written.rows - recomputed
    with run.stage("cut points") as stage:
        fitted = frozen + cut_points.fit(customers, planned, written.rows)
        rows = cut_points.rows(fitted, run.as_of)
        run.lake.replace(schemas.CUT_POINTS, _frame(run, schemas.CUT_POINTS, rows), snapshot)
        stage.rows = len(rows)
    with run.stage("segments") as stage:
        cuts = {
            s.name: cut_points.by_criterion((cut for cut in planned if cut.segmentation == s.name), fitted)
            for s in config.segmentations
        }
        assigned = {
            s.name: segments.assign_resolved(scores.score_all(customers, cuts[s.name]), s) for s in config.segmentations
        }
        everyone = union(_narrow(assigned[name], name, own, _score_names(config)) for name, own in cuts.items())
        before = previous(run, earlier)
        placed = segments.with_previous(everyone, before.segments if before is not None else None)
        spec = schemas.customer_segments(_score_names(config))
        segmented = run.lake.replace(spec, placed, snapshot)
        stage.rows = run.counts["customer_segments.rows"] = segmented.rows
        if run.dry:
            run.moves = _moves(everyone, earlier, run.as_of)
    with run.stage("profiles") as stage:
        measured = union(profiles.narrow(assigned[s.name], s.name, _profiled(config, s)) for s in config.segmentations)
        done = profiles.profile(measured, config.segmentations, run.as_of, run.counts["customer_segments.rows"])
        spec = schemas.segment_profiles(_own_criteria(config))
        run.lake.replace(spec, _frame(run, spec, done.rows), snapshot)
        run.profiles = [dict(zip(spec.column_names(), row, strict=True)) for row in done.rows]
        run.counts.update({counts.unassigned_in(name): n for name, (n, _) in done.unassigned.items()})
        stage.rows = len(done.rows)
    with run.stage("migrations") as stage:
        now = segmented.frame.filter(F.col("snapshot_date") == F.lit(run.as_of))
        made = Snapshot(run.as_of, config, cuts, customers, now)
        if before is not None:
            drift.gate(run, earlier, before, made)
        evolve(run, earlier, before, made, data, done.unassigned)
        stage.rows = sum(row["customers"] for row in run.migrations if row["cause"] != "none")


def resolve(run: Run, profiles: Iterable[DataFrame]) -> None:
    """Resolve metrics, criteria, groups, rules and frozen cut-points, before a row is read or written.

    Raises: InputError where an attribute that the config uses is in none of the profiles; ConfigError.
    """
    _frozen(published(run.lake), cut_points.plan(run.config))
    _resolve(run, profiles)


def _resolve(run: Run, profiles: Iterable[DataFrame]) -> None:
    config, spec = run.config, schemas.customer_metrics(run.config.reference_period.sub_periods)
    types: dict[str, list[str]] = {}
    for field in (field for frame in profiles for field in frame.schema):
        types.setdefault(field.name, []).append(field.dataType.simpleString())
    used = used_attributes(config)
    if missing := [name for name in used if name not in types]:
        raise InputError(
            f"no column {', '.join(missing)} in the customers of {run.lake.place} yet; "
            "run `rfm-spark ingest` (or `run`) first"
        )
    _require_types(run, {name: types[name] for name in used})
    attributes = [Column(name, types[name][-1], "") for name in used]
    attributes += [Column(name, "double", "") for name in used_predictions(config)]
    frame = metrics.with_criteria(_frame(run, spec.with_columns(*attributes), []), config.criteria)
    for segmentation in config.segmentations:
        scored = {name: F.lit(1) for name in config.criteria_of(segmentation)}
        segments.assign(frame.withColumns(scored), segmentation)


def _require_types(run: Run, used: Mapping[str, Collection[str]]) -> None:
    """Check that attributes, with their types in the profiles, are still as snapshots have them. Raises: InputError."""
    there = run.lake.place.types_of(schemas.CUSTOMER_METRICS.name) or {}
    for name, now in used.items():
        if name in there and there[name] not in now:
            raise InputError(
                f"attribute {name}: found {', '.join(sorted(set(now)))}, and the snapshots in {run.lake.place} have it "
                f"as {there[name]}; cast it to that with {{sql: …}} or `types`, or give it another name"
            )


def _measure(run: Run, data: Ingested, earlier: Published) -> Written:
    config = run.config
    attributes = used_attributes(config)
    known = data.profiles.select("customer_key", "profile_date", *attributes) if data.profiles is not None else None
    measured = customer_metrics(run, data, known, earlier)
    frame = metrics.with_criteria_resolved(with_predictions(run, earlier, measured), config.criteria)
    spec = schemas.customer_metrics(config.reference_period.sub_periods).with_columns(
        *(Column(name, "double", f"criterion {name}") for name in _own_criteria(config)),
        *(Column(name, frame.schema[name].dataType.simpleString(), "attribute of the customer") for name in attributes),
        *(Column(name, "double", "prediction at or before the snapshot") for name in used_predictions(config)),
    )
    try:
        return run.lake.replace(spec, frame, {"snapshot_date": run.as_of})
    except Exception as error:
        if metrics.TOO_MUCH_MONEY not in str(error):
            raise
        raise GateError(
            f"{metrics.TOO_MUCH_MONEY}; mend the amounts at their source, or lower contract.max_amount and ingest into "
            "a new lake, so that such rows are quarantined"
        ) from None


def _frozen(
    earlier: Published, planned: Sequence[CriterionCut], cut_points_from: date | None = None
) -> list[FittedCuts]:
    """Cut-points of earlier snapshots, as their complete runs left them; each snapshot is read once."""
    frozen_at = dict.fromkeys(cut.snapshot for cut in planned if cut.method == "frozen")
    if not frozen_at:
        if cut_points_from is not None and cut_points_from not in earlier.snapshots:
            there = ", ".join(map(str, list(earlier.snapshots)[-5:])) or "none"
            raise ConfigError(f"no cut-points at {cut_points_from}; published snapshots: {there}")
        return []
    tables = [earlier.read("cut_points", day) for day in frozen_at if day in earlier.snapshots]
    rows = [row for table in tables if table is not None for row in table.collect()]
    return cut_points.frozen(planned, rows, list(earlier.snapshots))


def _own_criteria(config: ProjectConfig) -> list[str]:
    """Criteria that are SQL, which have their value in a column of their own name."""
    return [name for name, criterion in config.criteria.items() if criterion.sql]


def _narrow(assigned: DataFrame, segmentation: str, cuts: Mapping[str, Cuts], score_names: Sequence[str]) -> DataFrame:
    return segments.narrow(assigned, segmentation, scores.rfm_score(cuts), list(cuts), score_names)


def _score_names(config: ProjectConfig) -> tuple[str, ...]:
    used = {name for segmentation in config.segmentations for name in config.criteria_of(segmentation)}
    return tuple(name for name in config.criteria if name in used)


def _moves(everyone: DataFrame, earlier: Published, as_of: date) -> Moves | None:
    """What a dry run would change of what is published: the newest snapshot, this date's own included."""
    day = earlier.newest_until(as_of)
    before = earlier.read("customer_segments", day) if day is not None else None
    if day is None or before is None:
        return None
    named = {"segment": F.coalesce("segment", F.lit(migrations.UNASSIGNED))}
    placed = segments.with_previous(everyone.withColumns(named), before.withColumns(named))
    rows = segments.moves(placed).collect()
    return Moves(day, [row.asDict() for row in rows])


def _profiled(config: ProjectConfig, segmentation: Segmentation) -> dict[str, str]:
    """Metric: its column in an assigned frame, where a criterion's name stands for its score."""
    scored = config.criteria_of(segmentation)
    names = dict.fromkeys([*schemas.PROFILED_METRICS, *_own_criteria(config)])
    return {name: f"{name}_value" if name in scored else name for name in names}


def _frame(run: Run, spec: schemas.TableSpec, rows: list[tuple]) -> DataFrame:
    return local_frame(run.spark, rows, spec.types())

"""Segment: events → activity → metrics → cut points → scores → segments → profiles, for one as_of."""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config import expressions
from rfm_spark.config.models import ProjectConfig, Segmentation
from rfm_spark.cuts import CriterionCut, FittedCuts
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.lake import Written
from rfm_spark.local import local_frame
from rfm_spark.order_statistics import ALL
from rfm_spark.pipelines.ingest import Ingested
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Moves, Run
from rfm_spark.schemas import Column
from rfm_spark.steps import activity, cut_points, metrics, periods, profiles, scores, segments

Plans = dict[str, list[CriterionCut]]  # by segmentation
_PROFILE_ERROR = 0.001  # of the brackets that locate medians, which are exact


def segment(run: Run, data: Ingested, cut_points_from: date | None = None) -> None:
    """Measure, score and segment every customer as of one date, and publish the snapshot.

    One shuffle of events by customer; cut-points, scores and segments add none of customers but the join with the
    previous snapshot.
    """
    config, snapshot = run.config, {"snapshot_date": run.as_of}
    resolve(run, [data.profiles] if data.profiles is not None else [])
    planned = _planned(config, cut_points_from)
    frozen = _frozen(run, planned)
    with run.stage("metrics") as stage:
        written = _measure(run, data)
        measured = written.frame.filter(F.col("snapshot_date") == F.lit(run.as_of))
        stage.rows = run.counts["customer_metrics.rows"] = written.rows
    with run.stage("cut points") as stage:
        cuts = {s.name: _fit(run, measured, s, planned[s.name], frozen) for s in config.segmentations}
        rows = [row for fitted in cuts.values() for row in cut_points.rows(fitted, run.as_of)]
        stage.rows = len(rows)
        run.lake.replace(schemas.CUT_POINTS, _frame(run, schemas.CUT_POINTS, rows), snapshot)
    with run.stage("segments") as stage:
        earlier = published(run.lake)
        assigned = {s.name: _assign(measured, s, planned[s.name], cuts[s.name]) for s in config.segmentations}
        everyone = reduce(
            lambda a, b: a.unionByName(b, allowMissingColumns=True),
            map(_narrow(run), config.segmentations, assigned.values()),
        )
        spec = schemas.customer_segments(_score_names(config))
        placed = segments.with_previous(everyone, _before(earlier, run.as_of))
        stage.rows = run.counts["customer_segments.rows"] = run.lake.replace(spec, placed, snapshot).rows
        if run.dry:
            run.moves = _moves(everyone, earlier, run.as_of)
    with run.stage("profiles") as stage:
        own = [name for name, criterion in config.criteria.items() if criterion.sql]
        spec = schemas.segment_profiles(own)
        found = [
            profiles.profile(assigned[s.name], s, _profiled(config, s, own), _PROFILE_ERROR)
            for s in config.segmentations
        ]
        rows = profiles.with_snapshot([row for part in found for row in part], run.as_of)
        stage.rows = len(rows)
        run.profiles = [dict(zip(spec.column_names(), row, strict=True)) for row in rows]
        run.lake.replace(spec, _frame(run, spec, rows), snapshot)


def resolve(run: Run, profiles: Iterable[DataFrame]) -> None:
    """Resolve criteria, rules and frozen cut-points, before a row is read or written. Raises: ConfigError."""
    config, spec = run.config, schemas.customer_metrics(run.config.reference_period.sub_periods)
    types = {field.name: field.dataType.simpleString() for frame in profiles for field in frame.schema}
    attributes = [Column(name, types[name], "") for name in used_attributes(config) if name in types]
    frame = metrics.with_criteria(_frame(run, spec.with_columns(*attributes), []), config.criteria)
    for segmentation in config.segmentations:
        scored = {name: F.lit(1) for name in config.criteria_of(segmentation)}
        segments.assign(frame.withColumns(scored), segmentation)
    _frozen(run, _planned(config, None))


def used_attributes(config: ProjectConfig) -> list[str]:
    """Attributes of profiles that criteria, rules or groups use, in the config's order; a snapshot carries its own."""
    known = dict.fromkeys(name for source in config.sources for name in source.attributes)
    texts = [c.sql for c in config.criteria.values() if c.sql]
    texts += [s.when for segmentation in config.segmentations for s in segmentation.segments if s.when]
    used = {name for text in texts for name in expressions.names(text)}
    used |= {c.metric for c in config.criteria.values() if c.metric}
    for segmentation in config.segmentations:
        scoring = segmentation.scoring
        grouped = (scoring.group_by, *(own.group_by for own in scoring.criteria.values()))
        used |= {name for name in grouped if name}
    return [name for name in known if name in used]


def _measure(run: Run, data: Ingested) -> Written:
    config = run.config
    first = data.events.agg(F.min("event_date")).collect()[0][0] if config.reference_period.all else None
    boundaries = periods.boundaries(config.reference_period, run.as_of, first)
    attributes = used_attributes(config)
    known = data.profiles.select("customer_key", "profile_date", *attributes) if data.profiles is not None else None
    done = activity.activity(data.events, config.refunds.policy, run.as_of)
    frame = metrics.with_criteria(metrics.metrics(done, known, boundaries), config.criteria)
    own = [name for name, criterion in config.criteria.items() if criterion.sql]
    spec = schemas.customer_metrics(config.reference_period.sub_periods).with_columns(
        *(Column(name, "double", f"criterion {name}") for name in own),
        *(Column(name, frame.schema[name].dataType.simpleString(), "attribute of the customer") for name in attributes),
    )
    return run.lake.replace(spec, frame, {"snapshot_date": run.as_of})


def _planned(config: ProjectConfig, cut_points_from: date | None) -> Plans:
    return {s.name: cut_points.plan(s, config.criteria_of(s), cut_points_from) for s in config.segmentations}


def _fit(
    run: Run,
    measured: DataFrame,
    segmentation: Segmentation,
    plans: Sequence[CriterionCut],
    frozen: Sequence[FittedCuts],
) -> list[FittedCuts]:
    population = _fit_population(measured, run.config, segmentation)
    groups = dict.fromkeys(one.group_by for one in plans if one.group_by)
    doubles = {one.metric: scores.cleaned(F.col(f"`{one.metric}`")) for one in plans}
    frame = population.select(
        *(f"`{g}`" for g in groups if g not in doubles), *(c.alias(n) for n, c in doubles.items())
    )
    fitted = cut_points.fit(frame, [one for one in plans if one.method != "frozen"])
    fitted += [one for one in frozen if one.cut.segmentation == segmentation.name]
    order = [one.criterion for one in plans]
    fitted.sort(key=lambda one: order.index(one.cut.criterion))
    return cut_points.with_attainable(scores.score_all(frame, cut_points.by_criterion(plans, fitted)), fitted)


def _fit_population(measured: DataFrame, config: ProjectConfig, segmentation: Segmentation) -> DataFrame:
    buys = any(s.event_type and "purchase" in s.event_type.possible() for s in config.event_sources())
    fit_on = segmentation.scoring.fit_on or ("orders" if buys else "contacts")
    if fit_on == "everyone":
        return measured
    return measured.filter(
        F.col("frequency") > 0 if fit_on == "orders" else F.col("contacts") + F.col("engagements") > 0
    )


def _frozen(run: Run, planned: Plans) -> list[FittedCuts]:
    """Cut-points of earlier snapshots, as their complete runs left them. Raises: ConfigError with all that are not."""
    plans = [one for plans in planned.values() for one in plans if one.method == "frozen"]
    if not plans:
        return []
    earlier = published(run.lake)
    fitted, faults = [], []
    for plan in plans:
        table = earlier.read("cut_points", plan.snapshot) if plan.snapshot else None
        wanted = (F.col("segmentation") == plan.segmentation) & (F.col("criterion") == plan.criterion)
        rows = table.filter(wanted).collect() if table is not None else []
        fault = _unfit(plan, rows, list(earlier.snapshots))
        if fault:
            faults.append(Fault(f"segmentations.{plan.segmentation}.scoring", fault))
        fitted += cut_points.from_rows(plan, rows)
    if faults:
        raise ConfigError(faults, "frozen cut-points")
    return fitted


def _unfit(plan: CriterionCut, rows: Sequence[Row], snapshots: Sequence[date]) -> str | None:
    """Why stored cut-points cannot be used."""
    if not rows:
        there = ", ".join(map(str, snapshots[-5:])) or "none"
        return f"no cut-points of {plan.criterion} at {plan.snapshot}; published snapshots: {there}"
    if plan.group_by is None and {row["group"] for row in rows} != {ALL}:
        return f"found cut-points of {plan.criterion} at {plan.snapshot} for each group, expected group_by: the same"
    return None


def _assign(
    measured: DataFrame, segmentation: Segmentation, plans: Sequence[CriterionCut], fitted: list[FittedCuts]
) -> DataFrame:
    return segments.assign(scores.score_all(measured, cut_points.by_criterion(plans, fitted)), segmentation)


def _narrow(run: Run):
    """From an assigned frame to the columns of `customer_segments`."""

    def narrow(segmentation: Segmentation, assigned: DataFrame) -> DataFrame:
        names = list(run.config.criteria_of(segmentation))
        plans = cut_points.plan(segmentation, run.config.criteria_of(segmentation), None)
        joined = scores.joined([F.col(f"`{name}`") for name in names], [plan.bins for plan in plans])
        others = [name for name in _score_names(run.config) if name not in names]
        return assigned.select(
            "snapshot_date",
            F.lit(segmentation.name).alias("segmentation"),
            "customer_key",
            "segment",
            joined.alias("rfm_score"),
            "rule",
            *(F.col(f"`{name}`").alias(f"{name}_score") for name in names),
            *(F.lit(None).cast("int").alias(f"{name}_score") for name in others),
        )

    return narrow


def _score_names(config: ProjectConfig) -> tuple[str, ...]:
    used = {name for segmentation in config.segmentations for name in config.criteria_of(segmentation)}
    return tuple(name for name in config.criteria if name in used)


def _before(earlier: Published, as_of: date) -> DataFrame | None:
    """`customer_segments` of the newest published snapshot before as_of."""
    days = [day for day in earlier.snapshots if day < as_of]
    return earlier.read("customer_segments", days[-1]) if days else None


def _moves(everyone: DataFrame, earlier: Published, as_of: date) -> Moves | None:
    """What a dry run would change of what is published: the newest snapshot, this date's own included."""
    days = [day for day in earlier.snapshots if day <= as_of]
    before = earlier.read("customer_segments", days[-1]) if days else None
    if before is None:
        return None
    rows = segments.moves(segments.with_previous(everyone, before)).collect()
    return Moves(days[-1], [row.asDict() for row in rows])


def _profiled(config: ProjectConfig, segmentation: Segmentation, own: list[str]) -> dict[str, str]:
    """Metric: its column in an assigned frame, where a criterion's name stands for its score."""
    scored = config.criteria_of(segmentation)
    names = dict.fromkeys([*schemas.PROFILED_METRICS, *own])
    return {name: f"{name}_value" if name in scored else name for name in names}


def _frame(run: Run, spec: schemas.TableSpec, rows: list[tuple]) -> DataFrame:
    return local_frame(run.spark, rows, spec.types())

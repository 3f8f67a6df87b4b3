"""Why customers moved: each mover placed again, with one thing as it is now and all else as it was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.attributes import used_attributes, used_names, used_predictions
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Segmentation
from rfm_spark.cuts import Cuts
from rfm_spark.pipelines.customer_metrics import measured_by
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.sql import Keep, stacked
from rfm_spark.steps import metrics, migrations, periods, scores, segments
from rfm_spark.steps.migrations import BEHAVIOUR, CUTS, LATE, RULES, TIME, in_turn

# what a mover is measured by
_BEFORE = "before"  # the earlier snapshot's own metrics
_KNOWN = "known"  # as of its date, all events of the time before it that are known today
_AGED = "aged"  # as of today's date, the same events
_NOW = "now"  # this snapshot's own metrics
_RULED, _RULED_AGED = "ruled", "ruled_aged"  # known and aged, as today's project measures


@dataclass(frozen=True)
class Snapshot:
    """How one snapshot placed its customers: by which project and cut-points ({segmentation: {criterion: cuts}}), and
    what came of it."""

    as_of: date
    config: ProjectConfig
    cuts: Mapping[str, Mapping[str, Cuts]]
    metrics: DataFrame
    segments: DataFrame

    @property
    def attributes(self) -> list[str]:
        """Those of profiles, and predictions, that its metrics carry."""
        return [*used_attributes(self.config), *used_predictions(self.config)]

    def segmentation(self, name: str) -> Segmentation | None:
        """The segmentation of that name, if the project had it."""
        return next((one for one in self.config.segmentations if one.name == name), None)


@dataclass(frozen=True)
class Unseen:
    """Who (customer_key) has an event that an earlier snapshot had not seen, and whether any may be dated before it."""

    customers: DataFrame
    late: bool


def in_both(before: Snapshot, now: Snapshot) -> list[str]:
    """The segmentations that both snapshots have, in today's order."""
    return [one.name for one in now.config.segmentations if before.segmentation(one.name) is not None]


def placed_again(
    before: Snapshot, now: Snapshot, data: Ingested, unseen: Unseen | None, moving: DataFrame, checkpoint: Keep
) -> DataFrame:
    """The movers with one column a variant, the segment they would be in; see `migrations.with_causes`.

    Reads: `data`, all that is known now; `unseen`, None where that is not told; `moving`, changes within the
        population; `checkpoint`, as that of a run.
    Rules: late_data is the earlier date with today's events; time_passing today's date with events before the earlier
        one; cut_points and rules (criteria and the reference period among them) are today's, on the earlier metrics.
        Where the criteria differ, cut-points fit to no other rules and count with them.
        Where nothing came since, nothing is late, and the earlier metrics stand for what is known.
    Events of movers who have unseen ones are read and shuffled by customer, once, or twice where the projects measure
    otherwise; then the movers' metrics are, twice.
    """
    alike = measured_by(before.config) == measured_by(now.config)
    there = {*before.metrics.columns, *now.metrics.columns}
    names = sorted(there & (used_names(before.config) | used_names(now.config)))
    # sub-periods of the whole span begin elsewhere for everybody where the first event is another
    told = unseen if alike and not now.config.reference_period.all else None
    late = told is None or told.late
    measured = _measured(before, now, data, told, moving, checkpoint, names, alike=alike, late=late)
    rows = checkpoint(moving.join(measured, "customer_key"))
    variants = [one for name in in_both(before, now) for one in _variants(name, before, now, alike=alike, late=late)]
    placed = stacked(_placed(rows, one, names, today=one.config is now.config) for one in variants)
    looked_at = dict.fromkeys(variant for one in variants for variant in one.sources)
    return placed.groupBy(*moving.columns).agg(
        *(F.max(F.when(F.col("variant") == name, F.col("segment"))).alias(name) for name in looked_at)
    )


@dataclass(frozen=True)
class _Variants:
    """Rules, cut-points and the project they are of, by which movers are placed again, and {variant: what they are
    measured by}."""

    rules: Segmentation
    cuts: Mapping[str, Cuts]
    config: ProjectConfig
    sources: Mapping[str, str]


def _placed(rows: DataFrame, variants: _Variants, names: Sequence[str], *, today: bool) -> DataFrame:
    """One row a mover and variant; `today`, whether the project is today's."""
    keys = ["segmentation", "customer_key", "from_segment", "to_segment"]
    mine = rows.filter(F.col("segmentation") == variants.rules.name)
    each = [
        F.struct(F.lit(variant).alias("_variant"), *(F.col(f"`{source}.{name}`").alias(name) for name in names))
        for variant, source in variants.sources.items()
    ]
    exploded = mine.select(*keys, F.explode(F.array(*each)).alias("_each"))
    move = F.struct(*keys, F.col("_each._variant").alias("variant")).alias("_move")
    plain = exploded.select(move, *(F.col(f"_each.`{name}`").alias(name) for name in names))  # what rules may name
    sql = {name: one for name, one in variants.config.criteria.items() if one.sql}
    # those of then may be of another engine, whose functions this one lacks
    with_criteria = metrics.with_criteria_resolved if today else metrics.with_criteria
    scored = scores.score_all(with_criteria(plain, sql), variants.cuts)
    segment = F.coalesce("segment", F.lit(migrations.UNASSIGNED)).alias("segment")
    return segments.assign_resolved(scored, variants.rules).select("_move.*", segment)


def _variants(name: str, before: Snapshot, now: Snapshot, *, alike: bool, late: bool) -> Iterator[_Variants]:
    """The variants of a segmentation that can differ from what was."""
    then, today = before.segmentation(name), now.segmentation(name)
    assert then is not None
    assert today is not None
    old, new = before.cuts[name], now.cuts[name]
    same_form = _form(old) == _form(new) and _sql(before.config, then) == _sql(now.config, today)
    same_rules = same_form and alike and _rules(then) == _rules(today)
    known, aged = (_KNOWN if late else _BEFORE, _AGED) if alike else (_RULED, _RULED_AGED)
    of_late = {LATE: _KNOWN} if late else {}
    yield _Variants(then, old, before.config, of_late | {TIME: _AGED} | ({BEHAVIOUR: _NOW} if alike else {}))
    of_cuts = {CUTS: _BEFORE} | ({in_turn(CUTS): _KNOWN} if late else {}) if same_form and old != new else {}
    if same_rules:
        if of_cuts:
            yield _Variants(then, new, before.config, of_cuts | {in_turn(TIME): aged})
        return
    if of_cuts:
        yield _Variants(then, new, before.config, of_cuts)
    if same_form:
        yield _Variants(today, old, now.config, {RULES: _BEFORE if alike else _RULED})
    of_rules = {in_turn(RULES): known, in_turn(TIME): aged}
    yield _Variants(today, new, now.config, of_rules | ({} if same_form else {RULES: _BEFORE if alike else _RULED}))


def _measured(
    before: Snapshot,
    now: Snapshot,
    data: Ingested,
    unseen: Unseen | None,
    moving: DataFrame,
    checkpoint: Keep,
    names: Sequence[str],
    *,
    alike: bool,
    late: bool,
) -> DataFrame:
    """One row a mover, with `<source>.<name>` for each column that rules or criteria use."""
    movers = checkpoint(moving.select("customer_key").distinct())
    anew = movers if unseen is None else movers.join(unseen.customers, "customer_key", "left_semi")
    then, today = (one.metrics.join(movers, "customer_key", "left_semi") for one in (before, now))
    new_attributes = [name for name in now.attributes if name not in before.attributes]
    known = then.join(anew, "customer_key", "left_semi").select(
        "customer_key", F.lit(None).cast("date").alias("profile_date"), *before.attributes
    )
    ages = ({_KNOWN: before.as_of} if late else {}) | {_AGED: now.as_of}
    again = _measures_at(before.config, data, anew, known, before.as_of, ages, checkpoint)
    if not alike:
        days = {_RULED: before.as_of, _RULED_AGED: now.as_of}
        again |= _measures_at(now.config, data, anew, known, before.as_of, days, checkpoint)
    frames = {_BEFORE: then, _NOW: today, **again}
    types = {field.name: field.dataType for frame in (then, today) for field in frame.schema if field.name in names}
    rows = _beside(_BEFORE, then, types).join(_beside(_NOW, today, types), "customer_key")
    for source, frame in again.items():
        rows = rows.join(_beside(source, frame, types), "customer_key", "left")
    of_then, dropped = set(before.attributes), set(before.attributes) - set(now.attributes)
    always = dict.fromkeys(new_attributes, _NOW) | dict.fromkeys(dropped, _BEFORE)
    filled = {
        f"{source}.{name}": F.col(f"`_{always[name]}.{name}`")
        if name in always
        else _filled(source, name, of_then=name in of_then)
        for source in frames
        for name in names
    }
    return rows.select("customer_key", *(column.alias(name) for name, column in filled.items()))


def _beside(source: str, frame: DataFrame, types: Mapping[str, T.DataType]) -> DataFrame:
    """The columns of a frame that are asked for, each as `_<source>.<name>`, null where it has none; `_<source>` tells
    that it has the customer."""
    there = frame.columns
    cells = {name: F.col(name) if name in there else F.lit(None).cast(type_) for name, type_ in types.items()}
    named = (cell.alias(f"_{source}.{name}") for name, cell in cells.items())
    return frame.select("customer_key", F.lit(True).alias(f"_{source}"), *named)


def _filled(source: str, name: str, *, of_then: bool) -> Column:
    """A metric of a source; of a mover that is not measured again, the one it can be but equal to."""
    own, then, today = (F.col(f"`_{one}.{name}`") for one in (source, _BEFORE, _NOW))
    if source in (_BEFORE, _NOW):
        return own
    stands_for = then if source in (_KNOWN, _RULED) or of_then else today
    return F.when(F.col(f"_{source}"), own).otherwise(stands_for)


def _measures_at(
    config: ProjectConfig,
    data: Ingested,
    customers: DataFrame,
    known: DataFrame,
    seen_until: date,
    days: Mapping[str, date],
    checkpoint: Keep,
) -> dict[str, DataFrame]:
    """The metrics of some customers' events before one date, as of several."""
    period = config.reference_period
    first = data.first_date(period)
    done = data.activity(config.refunds.policy, seen_until, customers)
    if len(days) > 1:
        done = checkpoint(done)
    return {
        source: metrics.metrics(done, known, periods.boundaries(period, day, first)) for source, day in days.items()
    }


def _rules(segmentation: Segmentation) -> list[tuple]:
    return [(segment.name, segment.when) for segment in segmentation.segments]


def _form(cuts: Mapping[str, Cuts]) -> list[tuple]:
    return [(name, one.metric, one.better, one.bins, one.group_by) for name, one in cuts.items()]


def _sql(config: ProjectConfig, segmentation: Segmentation) -> dict[str, str | None]:
    return {name: criterion.sql for name, criterion in config.criteria_of(segmentation).items()}

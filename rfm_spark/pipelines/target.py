"""Target: who is in the segments → who may be contacted → who is worth it → holdout → budget → audience → export.

Campaigns choose in the order of their priority, so that one person gets one message. A plan does the same for every
segment of the segmentation, bound or not, and publishes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zoneinfo import available_timezones

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config import messages
from rfm_spark.config.campaign_checks import last_fields
from rfm_spark.config.campaigns import GLOBAL_HOLDOUT, HOLDOUT, TREATMENT, Campaign
from rfm_spark.config.words import listed
from rfm_spark.errors import InputError
from rfm_spark.local import local_frame
from rfm_spark.pipelines import exports
from rfm_spark.pipelines.counts import DRAWN
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.newest_predictions import with_predicted_value
from rfm_spark.pipelines.plans import planned
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Run, require_as_decided
from rfm_spark.schemas import COST
from rfm_spark.sql import union
from rfm_spark.steps import audiences, consent, holdouts, periods, send_times, targeting, uplift
from rfm_spark.steps.targeting import HELD_OUT, SELECTED

_EARLIEST_ZONE = "+14:00"  # where a day begins first
_FACTS = ("monetary", "average_order_value")
_CONCLUSIVE = (uplift.WORKED, uplift.DID_NOT)


def target(run: Run, data: Ingested, *, plan: bool = False) -> None:
    """Select, draw and publish the audience of every campaign whose next wave is not over; or only plan it.

    Raises: InputError where there is no snapshot, or it has no such segment, no campaign sends at or after as_of, or an
        attribute is missing;
        ConflictError, before anything is exported, where another run has made audiences meanwhile.
    """
    earlier = run.build_on(schemas.AUDIENCES.name)
    snapshot = _snapshot(run, earlier)
    waves = _waves(run)
    _require_segments(earlier, snapshot, [campaign for campaign, _ in waves])
    assigned = _assigned(run, earlier, waves)
    contacts = _contacts(run, data, assigned)
    asked = _Asked(run, data, earlier, snapshot, _reference_days(run, data, snapshot), plan)
    chosen: list[DataFrame] = []
    with run.stage("targeting") as stage:
        for campaign, wave in waves:
            selected = _within_budget(campaign, _ranked(asked, campaign, wave, contacts, chosen))
            run.plans.append(planned(run, data, campaign, wave, selected))
            own = selected.filter(F.col("outcome").isin(SELECTED, HELD_OUT, targeting.GLOBALLY_HELD_OUT))
            chosen.append(own.filter(F.col("bound")).withColumn("campaign", F.lit(campaign.name)))
        stage.rows = sum(row["customers"] for one in run.plans for row in one.totals if row["outcome"] == SELECTED)
    if plan:
        return
    with run.stage("audiences") as stage:
        made = [_audience(run, snapshot, c, own) for (c, _), own in zip(waves, chosen, strict=True)]
        drawn = [campaign.name for campaign, _ in waves]
        stay = [] if assigned is None else [assigned.filter(~F.col("campaign").isin([*drawn, GLOBAL_HOLDOUT]))]
        if run.config.targeting.global_holdout_share:
            made.append(_of_all(run, snapshot, union(own for own in chosen), assigned))
            drawn.append(GLOBAL_HOLDOUT)
        run.counts |= {f"{DRAWN}{name}": 1 for name in drawn}
        written = run.lake.replace(schemas.AUDIENCES, union([*made, *stay]))
        stage.rows = written.rows
    require_as_decided(run, published(run.lake))
    exports.export(run, earlier, written.frame, [campaign for campaign, _ in waves])


def _snapshot(run: Run, earlier: Published) -> date:
    day = earlier.newest_until(run.as_of)
    if day is None:
        raise InputError(f"no snapshot at or before {run.as_of} in {run.lake.place}; run `rfm-spark run` first")
    return day


def _require_segments(earlier: Published, snapshot: date, campaigns: list[Campaign]) -> None:
    """Check that the snapshot was made with the segments that campaigns are bound to, which nobody would be in."""
    made_with = earlier.config(earlier.made(snapshot)["run_id"])
    known = {(one.name, segment.name) for one in made_with.segmentations for segment in one.segments}
    wanted = {(str(campaign.segmentation), name): campaign.name for campaign in campaigns for name in campaign.targets}
    absent = [f"{of}.{name} (campaign {wanted[of, name]})" for of, name in wanted if (of, name) not in known]
    if absent:
        raise InputError(
            f"the snapshot of {snapshot} was made without the segment {listed(absent)}; run `rfm-spark segment` first"
        )


def _waves(run: Run) -> list[tuple[Campaign, date]]:
    """The campaigns that send at or after as_of, the greater priority first, ties by their order in the file."""
    mine = [campaign for campaign in run.config.campaigns if campaign.assignment is None]
    waves = [(campaign, campaign.wave(run.as_of)) for campaign in mine]
    over = [campaign.name for campaign, wave in waves if wave is None]
    if over:
        run.warnings.append(f"over before {run.as_of}, so their audiences stay as they are: {', '.join(over)}")
    open_ = [(campaign, wave) for campaign, wave in waves if wave is not None]
    if not open_:
        raise InputError(
            f"found no campaign that sends at or after {run.as_of}, expected one with a start (or repeat) from then on "
            "and without an assignment"
        )
    return sorted(open_, key=lambda pair: -pair[0].priority)


def _assigned(run: Run, earlier: Published, waves: list[tuple[Campaign, date]]) -> DataFrame | None:
    """The published rows of `audiences`, but those that are drawn again now: of these waves, or not sent yet.

    Not sent yet, and of a campaign that the project has no more, is withdrawn: nobody is contacted by it.
    """
    audience = earlier.read("audiences")
    if audience is None:
        return None
    today = send_times.send_at(run.as_of, "00:00", None, run.config.timezone)
    drawn_by = F.when(F.col("campaign") == GLOBAL_HOLDOUT, F.col("segment")).otherwise(F.col("campaign"))
    stays = F.lit(True)
    for campaign, wave in waves:
        first = min(today, send_times.send_at(wave, "00:00", None, _EARLIEST_ZONE))
        stays = stays & ((drawn_by != campaign.name) | (F.col("send_at") < F.lit(first)))
    gone = _drawn_before(earlier) - {campaign.name for campaign in run.config.campaigns}
    if gone:
        withdrawn = drawn_by.isin(sorted(gone)) & (F.col("send_at") >= F.lit(today))
        names = [row[0] for row in audience.filter(withdrawn).select(drawn_by).distinct().collect()]
        if names:
            run.warnings.append(
                "not sent yet and no campaign of the project any more, so their audiences are withdrawn: "
                f"{listed(sorted(names))}; what was exported of them stays where it is"
            )
            stays = stays & ~withdrawn
    return audience.filter(stays).select(*schemas.AUDIENCES.column_names())


def _drawn_before(earlier: Published) -> set[str]:
    """The campaigns that have been drawn by a complete run."""
    return {name.removeprefix(DRAWN) for row in earlier.runs for name in row["counts"] if name.startswith(DRAWN)} - {
        GLOBAL_HOLDOUT
    }


def _contacts(run: Run, data: Ingested, assigned: DataFrame | None) -> DataFrame:
    """One row a contact: made before as_of, or assigned by an audience that is not drawn again now, sent or to come."""
    of_day = (F.col("event_type") == "contact") & (F.col("event_date") < F.lit(run.as_of))
    made = data.events.filter(of_day).select("customer_key", "event_ts", "event_date")
    if assigned is None:
        return made.select("customer_key", F.col("event_ts").alias("at"))
    treated = assigned.filter((F.col("group") == TREATMENT) & (F.col("campaign") != GLOBAL_HOLDOUT))
    return targeting.contacts(made, treated, run.config.timezone)


# --- one campaign ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """What is the same for all campaigns of a run; a `plan` is of whole segmentations."""

    run: Run
    data: Ingested
    earlier: Published
    snapshot: date
    reference_days: int
    plan: bool


def _ranked(asked: _Asked, campaign: Campaign, wave: date, contacts: DataFrame, chosen: list[DataFrame]) -> DataFrame:
    """One row a person of the campaign's segments (of the whole segmentation for a plan), with the first reason not to
    contact them, null where there is none, and all that ranks them.

    Reads: `contacts` of `_contacts`; `chosen`, whom campaigns of a higher priority take.
    """
    run, earlier, shared = asked.run, asked.earlier, asked.run.config.targeting
    people = _with_send_at(run, campaign, wave, _people(asked, campaign))
    people = consent.refusals(
        people, earlier.read("consents"), str(campaign.channel), campaign.purpose, campaign.exclude
    )
    cool_down = shared.cool_down_days if campaign.cool_down_days is None else campaign.cool_down_days
    cap = campaign.frequency_cap or shared.frequency_cap
    people = targeting.contact_refusals(people, contacts, cool_down, cap)
    people = targeting.with_expected_value(people, campaign, _measured(earlier, campaign), asked.reference_days)
    taken = F.lit(None).cast("boolean")
    if chosen:
        before = union(own.select("customer_key") for own in chosen).withColumn("_taken", F.lit(True))
        people = people.join(before, "customer_key", "left")
        taken = F.col("_taken")
    parts = messages.parts(str(campaign.message))
    text = audiences.message(parts, campaign.escapes, {field.name: field.dataType for field in people.schema})
    never = holdouts.is_held_out(holdouts.draw(shared.salt, "customer_key"), shared.global_holdout_share)
    found = people.withColumn("_message", text).withColumns(
        {
            "reason": _reason(campaign, taken),
            "draw": holdouts.draw(campaign.key, "customer_key"),
            "ticket": holdouts.ticket(f"{campaign.key}\x1frank", "customer_key"),
            "globally": never,
        }
    )
    names = ("customer_key", "segment", "bound", "send_at", "expected_value", "basis", "average_order_value")
    held = holdouts.is_held_out(F.col("draw"), campaign.drawn_share)
    return run.keep(
        found.select(
            *names, F.col("_message").alias("message"), "reason", "draw", "ticket", "globally", held.alias("held")
        )
    )


def _reason(campaign: Campaign, taken: Column) -> Column:
    """The first reason not to contact a person, null where there is none."""
    return (
        F.when(F.col("refusal").isNotNull(), F.col("refusal"))
        .when(F.col("contact_refusal").isNotNull(), F.col("contact_refusal"))
        .when(F.col("_message").isNull(), F.lit(targeting.NO_FIELD))
        .when(taken, F.lit(targeting.TAKEN))
        .when(targeting.is_not_worth_it(campaign), F.lit(targeting.NOT_WORTH_IT))
    )


def _people(asked: _Asked, campaign: Campaign) -> DataFrame:
    """One row a person of its segments (`bound`), with all that its message and its value are of."""
    run, data, earlier, snapshot = asked.run, asked.data, asked.earlier, asked.snapshot
    segments, metrics = earlier.read("customer_segments", snapshot), earlier.read("customer_metrics", snapshot)
    assert segments is not None
    assert metrics is not None
    mine = segments.filter(F.col("segmentation") == F.lit(campaign.segmentation)).select("customer_key", "segment")
    bound = F.coalesce(F.col("segment").isin(campaign.targets), F.lit(False))
    mine = mine.withColumn("bound", bound)
    if not asked.plan:
        mine = mine.filter("bound")
    mine = mine.withColumn("segment", F.coalesce("segment", F.lit(schemas.UNASSIGNED)))
    fields = set(messages.fields(str(campaign.message)))
    last = {name: column for name, column in last_fields(run.config).items() if name in fields}
    of_metrics = [name for name in metrics.columns if name in fields | set(_FACTS)]
    people = mine.join(metrics.select("customer_key", *of_metrics), "customer_key")
    wanted = [n for n in dict.fromkeys([*sorted(fields), campaign.zone]) if n and n not in (*people.columns, *last)]
    if wanted:
        people = _with_attributes(run, data, people, wanted)
    if last:
        people = _with_last(data, run.as_of, people, last)
    return with_predicted_value(earlier, people, run.as_of)


def _with_attributes(run: Run, data: Ingested, people: DataFrame, wanted: list[str]) -> DataFrame:
    profiles = data.profiles
    if profiles is None or (missing := [name for name in wanted if name not in profiles.columns]):
        names = ", ".join(wanted if profiles is None else missing)
        raise InputError(f"no column {names} in the customers of {run.lake.place} yet; run `rfm-spark ingest` first")
    return people.join(profiles.select("customer_key", *wanted), "customer_key", "left")


def _with_last(data: Ingested, as_of: date, people: DataFrame, last: Mapping[str, str]) -> DataFrame:
    """What the last purchase had in extra columns; of purchases of one instant the one with the greater id."""
    bought = data.events.filter((F.col("event_type") == "purchase") & (F.col("event_date") < F.lit(as_of)))
    each = [
        F.max(F.when(F.col(column).isNotNull(), F.struct("event_ts", "event_id", column)))[column].alias(name)
        for name, column in last.items()
    ]
    return people.join(bought.groupBy("customer_key").agg(*each), "customer_key", "left")


def _with_send_at(run: Run, campaign: Campaign, wave: date, people: DataFrame) -> DataFrame:
    """`send_at` of each person, by the zone they have, the project's where that is none."""
    default = run.config.timezone

    def at(zone: str):
        return send_times.send_at(wave, campaign.send_time, campaign.quiet_hours, zone)

    fallback = F.lit(at(default))
    if campaign.zone is None:
        return people.withColumn("send_at", fallback.cast("timestamp"))
    known = people.filter(F.col(campaign.zone).isin(sorted(available_timezones())))
    zones = [row[0] for row in known.select(campaign.zone).distinct().collect()]
    times = local_frame(run.spark, [(zone, at(zone)) for zone in zones], [("_zone", "string"), ("_at", "timestamp")])
    joined = people.join(F.broadcast(times), F.col(campaign.zone) == F.col("_zone"), "left")
    return joined.withColumn("send_at", F.coalesce("_at", fallback.cast("timestamp"))).drop("_zone", "_at")


def _measured(earlier: Published, campaign: Campaign) -> dict[str, float]:
    """Segment: the uplift in money a person that earlier waves are known to have had; `all` for the other segments."""
    results = earlier.read("campaign_results")
    if results is None:
        return {}
    own = results.filter((F.col("campaign") == F.lit(campaign.name)) & (F.col("metric") == uplift.VALUE))
    rows = own.select("segment", "uplift", "verdict").collect()
    return {
        row["segment"]: row["uplift"] for row in rows if row["verdict"] in _CONCLUSIVE and row["uplift"] is not None
    }


def _reference_days(run: Run, data: Ingested, snapshot: date) -> int:
    """How many days the money of the snapshot was spent in."""
    period = run.config.reference_period
    boundaries = periods.boundaries(period, snapshot, data.first_date(period))
    return (boundaries[-1] - boundaries[0]).days


# --- budget, holdout, audience ---------------------------------------------------------------------------------------


def _within_budget(campaign: Campaign, ranked: DataFrame) -> DataFrame:
    """The same people with `outcome`: a reason, selected, held_out, global_holdout or over_budget.

    The line is found among those who would be contacted, and holds for the held out as well: so both groups are of the
    same people, and the budget goes to contacts alone.
    """
    open_ = F.col("reason").isNull()
    place = F.lit(True)
    if campaign.budget is not None and campaign.cost_per_contact > 0:
        places = int(Decimal(str(campaign.budget)) // Decimal(str(campaign.cost_per_contact)))
        contactable = ranked.filter(open_ & F.col("bound") & ~F.col("held") & ~F.col("globally"))
        line = targeting.budget_line(contactable, places)
        place = line.reaches() if line is not None else place
    outcome = (
        F.when(~open_, F.col("reason"))
        .when(~place, F.lit(targeting.OVER_BUDGET))
        .when(F.col("globally"), F.lit(targeting.GLOBALLY_HELD_OUT))
        .when(F.col("held"), F.lit(HELD_OUT))
        .otherwise(F.lit(SELECTED))
    )
    return ranked.withColumn("outcome", outcome)


def _audience(run: Run, snapshot: date, campaign: Campaign, own: DataFrame) -> DataFrame:
    """Rows of `audiences` of one campaign: nobody that is held out of all."""
    treated = F.col("outcome") == SELECTED
    cost = F.when(treated, F.lit(Decimal(str(campaign.cost_per_contact)))).otherwise(F.lit(Decimal(0)))
    return own.filter(F.col("outcome") != targeting.GLOBALLY_HELD_OUT).select(
        F.lit(campaign.name).alias("campaign"), "customer_key", F.lit(snapshot).alias("snapshot_date"), "segment",
        F.when(treated, F.lit(TREATMENT)).otherwise(F.lit(HOLDOUT)).alias("group"),
        F.lit(campaign.channel).alias("channel"), F.lit(campaign.purpose).alias("purpose"),
        F.when(treated, F.col("message")).alias("message"), "send_at", "expected_value", "basis",
        cost.cast(COST).alias("cost"),
        "draw", F.lit(float(campaign.drawn_share)).alias("holdout_share"), F.lit(run.run_id).alias("run_id"),
    )  # fmt: skip


def _of_all(run: Run, snapshot: date, own: DataFrame, assigned: DataFrame | None) -> DataFrame:
    """Everybody that any campaign selected, as the one study of all campaigns: held out are those held out of all.

    Whoever is in it stays by their first row: until then nobody was treated unlike another, while those who were
    contacted are cooling down when those held out are selected again. By another share or salt it begins anew.
    """
    shared = run.config.targeting
    held = F.col("outcome") == targeting.GLOBALLY_HELD_OUT
    costs = F.lit(Decimal(0)).cast(COST)
    for campaign in run.config.campaigns:
        mine = (F.col("campaign") == campaign.name) & (F.col("outcome") == SELECTED)
        costs = F.when(mine, F.lit(Decimal(str(campaign.cost_per_contact))).cast(COST)).otherwise(costs)
    draw = holdouts.draw(shared.salt, "customer_key")
    rows = own.select(
        F.lit(GLOBAL_HOLDOUT).alias("campaign"), "customer_key", F.lit(snapshot).alias("snapshot_date"),
        F.col("campaign").alias("segment"), F.when(held, F.lit(HOLDOUT)).otherwise(F.lit(TREATMENT)).alias("group"),
        F.lit("any").alias("channel"), F.lit("any").alias("purpose"), F.lit(None).cast("string").alias("message"),
        "send_at", "expected_value", "basis", costs.cast(COST).alias("cost"),
        draw.alias("draw"),
        F.lit(float(shared.global_holdout_share)).alias("holdout_share"), F.lit(run.run_id).alias("run_id"),
    )  # fmt: skip
    if assigned is None:
        return rows
    same_draw = (F.col("draw") == draw) & (F.col("holdout_share") == float(shared.global_holdout_share))
    first = assigned.filter((F.col("campaign") == GLOBAL_HOLDOUT) & same_draw)
    return union([first, rows.join(first.select("customer_key"), "customer_key", "left_anti")])

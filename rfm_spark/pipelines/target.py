"""Target: who is in the segments → who may be contacted → who is worth it → holdout → budget → audience → export.

Campaigns choose in the order of their priority, so that one person gets one message. A plan does the same for every
segment of the segmentation, bound or not, and publishes nothing.
"""

from datetime import date
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.campaigns import GLOBAL_HOLDOUT, HOLDOUT, TREATMENT, Campaign
from rfm_spark.config.words import listed
from rfm_spark.errors import InputError
from rfm_spark.pipelines import exports
from rfm_spark.pipelines.candidates import Asked, candidates, reference_days
from rfm_spark.pipelines.counts import DRAWN
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.plans import planned
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Run, require_as_decided
from rfm_spark.schemas import COST
from rfm_spark.sql import union
from rfm_spark.steps import holdouts, send_times, targeting
from rfm_spark.steps.targeting import HELD_OUT, SELECTED

_EARLIEST_ZONE = "+14:00"  # where a day begins first


def target(run: Run, data: Ingested, *, plan: bool = False) -> None:
    """Select, draw and publish the audience of every campaign whose next wave is not over; or only plan it.

    Raises: InputError where there is no snapshot, or it has no such segment, no campaign sends at or after as_of, or an
        attribute is missing; ConflictError, before anything is exported, where another run has made audiences since.
    """
    earlier = run.build_on(schemas.AUDIENCES.name)
    snapshot = _snapshot(run, earlier)
    waves = _waves(run)
    _require_segments(earlier, snapshot, [campaign for campaign, _ in waves])
    assigned = _assigned(run, earlier, waves)
    contacts = _contacts(run, data, assigned)
    asked = Asked(run, data, earlier, snapshot, reference_days(run, data, snapshot), plan)
    chosen: list[DataFrame] = []
    with run.stage("targeting") as stage:
        for campaign, wave in waves:
            selected = _within_budget(campaign, candidates(asked, campaign, wave, contacts, chosen))
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
    gone = _drawn_before(earlier) - {GLOBAL_HOLDOUT, *(campaign.name for campaign in run.config.campaigns)}
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
    """What complete runs have drawn: campaigns, and the study of all of them."""
    return {name.removeprefix(DRAWN) for row in earlier.runs for name in row["counts"] if name.startswith(DRAWN)}


def _contacts(run: Run, data: Ingested, assigned: DataFrame | None) -> DataFrame:
    """One row a contact: made before as_of, or assigned by an audience that is not drawn again now, sent or to come."""
    of_day = (F.col("event_type") == "contact") & (F.col("event_date") < F.lit(run.as_of))
    made = data.events.filter(of_day).select("customer_key", "event_ts", "event_date")
    if assigned is None:
        return made.select("customer_key", F.col("event_ts").alias("at"))
    treated = assigned.filter((F.col("group") == TREATMENT) & (F.col("campaign") != GLOBAL_HOLDOUT))
    return targeting.contacts(made, treated, run.config.timezone)


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

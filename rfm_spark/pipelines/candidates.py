"""Candidates: one campaign's people, each with the first reason not to contact them, and all that ranks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import available_timezones

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config import messages
from rfm_spark.config.campaign_checks import last_fields
from rfm_spark.config.campaigns import Campaign
from rfm_spark.errors import InputError
from rfm_spark.local import local_frame
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.newest_predictions import with_predicted_value
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import union
from rfm_spark.steps import audiences, consent, holdouts, periods, send_times, targeting, uplift

_FACTS = ("monetary", "average_order_value")
_CONCLUSIVE = (uplift.WORKED, uplift.DID_NOT)


@dataclass(frozen=True)
class Asked:
    """What is the same for all campaigns of a run; a `plan` is of whole segmentations."""

    run: Run
    data: Ingested
    earlier: Published
    snapshot: date
    reference_days: int
    plan: bool


def candidates(asked: Asked, campaign: Campaign, wave: date, contacts: DataFrame, chosen: list[DataFrame]) -> DataFrame:
    """One row a person of the campaign's segments (of the whole segmentation for a plan), with the first reason not to
    contact them, null where there is none, and all that ranks them.

    Reads: `contacts`, one row a contact that was made or is assigned, as `targeting.contacts`; `chosen`, whom campaigns
        of a higher priority take.
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


def _people(asked: Asked, campaign: Campaign) -> DataFrame:
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


def reference_days(run: Run, data: Ingested, snapshot: date) -> int:
    """How many days the money of the snapshot was spent in."""
    period = run.config.reference_period
    boundaries = periods.boundaries(period, snapshot, data.first_date(period))
    return (boundaries[-1] - boundaries[0]).days

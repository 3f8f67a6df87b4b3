"""Measure: who was assigned → what they did in their window → sums → uplift → verdicts, for every campaign that began.

Intention to treat: everybody assigned counts, whatever they received; who did nothing counts as zero.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark import schemas, sources
from rfm_spark.config.campaigns import GLOBAL_HOLDOUT, HOLDOUT, Campaign, Success
from rfm_spark.config.models import Source
from rfm_spark.errors import EnvironmentFault, InputError
from rfm_spark.local import local_frame
from rfm_spark.pipelines.ingest import Ingested
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import holdouts, send_times, uplift
from rfm_spark.steps.uplift import RATE, VALUE, Sums

_DAY = 86_400
_MERGES = 10  # of one key, between a send and its measurement
_LOOK = "look."  # of the counts of a run: a look at a campaign before its window was over
_PARTS = ("y", "yy", "x", "xx", "xy")


@dataclass(frozen=True)
class _Study:
    """One campaign to measure: the people, a row each, and what was known before."""

    campaign: Campaign
    people: DataFrame
    counts: Mapping[str, int]
    contaminated: int
    holdout_share: float | None
    costs: Mapping[str, float] | None
    complete: bool

    @property
    def randomised(self) -> bool:
        """Whether chance decided who was treated, without which no difference is an effect."""
        return self.campaign.assignment is None or self.campaign.assignment.randomised


def measure(run: Run, data: Ingested) -> None:
    """Measure every campaign that has begun and has people assigned, and publish what is known of it now.

    Raises: InputError where an assignment is missing or has other groups, or nothing can be measured;
        EnvironmentFault without scipy.
    """
    if find_spec("scipy") is None:
        raise EnvironmentFault("measure needs scipy, which is not installed: pip install 'rfm-spark[measure]'")
    earlier = published(run.lake)
    with run.stage("assignments") as stage:
        studies = [study for campaign in _measurable(run, earlier) if (study := _study(run, earlier, campaign))]
        if not studies:
            told = "; ".join(run.warnings) or "the project has no campaigns"
            raise InputError(f"no campaign can be measured as of {run.as_of}: {told}")
        stage.rows = sum(sum(study.counts.values()) for study in studies)
    with run.stage("uplift") as stage:
        rows = [row for study in studies for row in _rows(run, earlier, data, study)]
        _judge(run, {study.campaign.name: study for study in studies}, rows)
        stage.rows = len(rows)
    with run.stage("campaign results"):
        spec, names = schemas.CAMPAIGN_RESULTS, [study.campaign.name for study in studies]
        frame = local_frame(run.spark, [tuple(r[n] for n in spec.column_names()) for r in rows], spec.types())
        before = earlier.read(spec.name)
        if before is not None:
            frame = before.filter(~F.col("campaign").isin(names)).select(*spec.column_names()).unionAll(frame)
        run.lake.replace(spec, frame)
        run.results = rows


def _measurable(run: Run, earlier: Published) -> list[Campaign]:
    """The campaigns of the project, and all of them together where some of their people were held out of all."""
    campaigns = list(run.config.campaigns)
    if campaigns and run.config.targeting.global_holdout_share:
        targeting = run.config.targeting
        success = Success(window_days=targeting.global_window_days)
        start = min(campaign.start for campaign in campaigns)
        campaigns.append(Campaign(name=GLOBAL_HOLDOUT, start=start, success=success))
    return campaigns


# --- who was assigned ------------------------------------------------------------------------------------------------


def _study(run: Run, earlier: Published, campaign: Campaign) -> _Study | None:
    if run.as_of <= campaign.start:
        run.warnings.append(
            f"campaign {campaign.name} starts on {campaign.start}, and {run.as_of} is the first day not seen"
        )
        return None
    own = _of_file(run, earlier, campaign) if campaign.assignment is not None else _of_audience(run, earlier, campaign)
    if own is None:
        run.warnings.append(f"campaign {campaign.name} has no audience: run `rfm-spark target` before its start")
        return None
    assigned, share, costs = own
    people = run.keep(uplift.once(assigned))
    found = people.groupBy("arm", "contaminated").agg(
        F.count(F.lit(1)).alias("n"), F.max("end_s").alias("end"), F.min("start_s").alias("start")
    ).collect()  # fmt: skip
    counts: dict[str, int] = {}
    for row in found:
        if not row["contaminated"]:
            counts[row["arm"]] = row["n"]
    contaminated = sum(row["n"] for row in found if row["contaminated"])
    now = _seconds(run, run.as_of)
    if not found or now <= min(row["start"] for row in found):
        run.warnings.append(f"campaign {campaign.name} is sent after {run.as_of}: there is nothing to measure yet")
        return None
    _groups_or_raise(campaign, counts)
    complete = max(row["end"] for row in found) <= now
    clean = people.filter(~F.col("contaminated"))
    return _Study(campaign, clean, counts, contaminated, share, costs, complete)


def _groups_or_raise(campaign: Campaign, counts: Mapping[str, int]) -> None:
    missing = [group for group in (HOLDOUT,) if not counts.get(group)] + ([] if len(counts) > 1 else ["treatment"])
    if missing and (campaign.assignment is not None or HOLDOUT in missing):
        raise InputError(
            f"campaign {campaign.name}: found nobody in {' and '.join(dict.fromkeys(missing))}, expected people in "
            "both groups: without a holdout nothing can be said of its effect"
        )


def _of_audience(run: Run, earlier: Published, campaign: Campaign):
    """(customer_key, segment, arm, start_s, end_s, pre_s), the share held out, and the cost of each segment."""
    audience = earlier.read("audiences")
    if audience is None:
        return None
    mine = audience.filter(F.col("campaign") == campaign.name)
    known = mine.groupBy("segment").agg(
        F.sum("cost").cast("double").alias("cost"),
        F.max("holdout_share").alias("share"),
        F.max("run_id").alias("run_id"),
    )
    found = known.collect()
    if not found:
        return None
    start, span = F.unix_timestamp("send_at"), campaign.success.window_days * _DAY
    assigned = mine.select(
        "customer_key", "segment", F.col("group").alias("arm"), start.alias("start_s"),
        (start + span).alias("end_s"), (start - span).alias("pre_s"),
    )  # fmt: skip
    costs = {row["segment"]: row["cost"] for row in found}
    assigned = _as_people_now(run, earlier, assigned, {row["run_id"] for row in found})
    return assigned, found[0]["share"], costs | {"all": sum(costs.values())}


def _as_people_now(run: Run, earlier: Published, assigned: DataFrame, made_by: Collection[str]) -> DataFrame:
    """The assigned by the keys that they have since identities were merged, merge by merge."""
    changes = earlier.read("identity_changes")
    if changes is None:
        return assigned
    order = {row["run_id"]: i for i, row in enumerate(earlier.runs)}
    since = [(one, i) for one, i in order.items() if i > min(order.get(made, -1) for made in made_by)]
    runs = local_frame(run.spark, since, [("run_id", "string"), ("order", "int")])
    merges = run.keep(
        changes.filter(F.col("change") == "merge").join(F.broadcast(runs), "run_id")
        .select("other_key", "customer_key", "order").distinct()
    )  # fmt: skip
    for _ in range(_MERGES):  # a key that became another, which became another
        before = assigned = run.keep(assigned)
        moved = before.join(merges.select(F.col("other_key").alias("customer_key")), "customer_key", "left_semi")
        if moved.isEmpty():
            break
        assigned = uplift.followed(before, merges)
    return assigned


def _by_identity(run: Run, earlier: Published, campaign: Campaign, rows: DataFrame) -> DataFrame:
    """The rows of a file by the people that their ids are; an id of several people is left out, and told of."""
    known = earlier.read("identities")
    if known is None or run.config.identity is None:
        return rows
    own = known.filter((F.col("id_type") == "source_customer_id") & F.col("customer_key").isNotNull())
    people = own.groupBy("id_value").agg(F.min("customer_key").alias("_now"), F.max("customer_key").alias("_other"))
    found = run.keep(rows.join(people, rows.customer_key == people["id_value"], "left"))
    ambiguous = F.coalesce(F.col("_now") != F.col("_other"), F.lit(False))
    n = found.filter(ambiguous).count()
    if n:
        run.warnings.append(
            f"campaign {campaign.name}: {n:,} rows of the assignment have an id that several people have: left out"
        )
    return found.filter(~ambiguous).select(F.coalesce("_now", "customer_key").alias("customer_key"), "arm")


def _of_file(run: Run, earlier: Published, campaign: Campaign):
    """The same from the file of another tool; the segment is that of the newest snapshot at or before the start."""
    given = campaign.assignment
    assert given is not None
    source = Source(
        name=f"{campaign.name} assignment", kind="profile", format=given.format, path=given.path, table=given.table,
        options=given.options, columns=given.columns, types=given.types,
    )  # fmt: skip
    run.inputs[source.name] = sources.place(source)
    read = sources.read(run.spark, source)
    text = {name: F.trim(F.col(f"c_{name}").cast("string")) for name in ("source_customer_id", "group")}
    rows = run.keep(read.select(text["source_customer_id"].alias("customer_key"), text["group"].alias("arm")))
    _known_groups(run, campaign, rows)
    first, days = campaign.start, campaign.success.window_days
    spans = {"start_s": first, "end_s": first + timedelta(days=days), "pre_s": first - timedelta(days=days)}
    dated = _by_identity(run, earlier, campaign, rows.filter(_is_person())).select(
        "customer_key", F.coalesce("arm", F.lit("")).alias("arm"),
        *(F.lit(_seconds(run, day)).cast("bigint").alias(name) for name, day in spans.items()),
    )  # fmt: skip
    share = given.holdout_share if given.holdout_share is not None else campaign.holdout_share
    return _with_segment(run, earlier, campaign, dated), share, None


def _is_person():
    return F.coalesce(F.col("customer_key") != "", F.lit(False))


def _known_groups(run: Run, campaign: Campaign, rows: DataFrame) -> None:
    """Every group is known; rows without a person are counted. Raises: InputError, which quotes no value."""
    assert campaign.assignment is not None
    known = [HOLDOUT, *campaign.assignment.arms]
    strange, nobody, n = rows.agg(
        F.count(F.when(~F.coalesce(F.col("arm").isin(known), F.lit(False)) & _is_person(), 1)),
        F.count(F.when(~_is_person(), 1)),
        F.count(F.lit(1)),
    ).collect()[0]
    if strange or not n:
        raise InputError(
            f"campaign {campaign.name}: assignment: found {strange:,} of {n:,} rows with another group, expected "
            f"{', '.join(known)} as group; map it with {{sql: …}}, or name the treated ones in arms"
        )
    if nobody:
        run.warnings.append(f"campaign {campaign.name}: {nobody:,} rows of the assignment name no customer: left out")


def _with_segment(run: Run, earlier: Published, campaign: Campaign, dated: DataFrame) -> DataFrame:
    days = [day for day in earlier.snapshots if day <= campaign.start]
    segments = earlier.read("customer_segments", days[-1]) if days and campaign.segmentation else None
    if segments is None:
        if campaign.segmentation:
            run.warnings.append(
                f"campaign {campaign.name}: no snapshot at or before its start ({campaign.start}), so there is no "
                "result by segment: what people are in since may be its effect"
            )
        return dated.withColumn("segment", F.lit("(none)"))
    mine = segments.filter(F.col("segmentation") == F.lit(campaign.segmentation)).select(
        F.col("customer_key").alias("_person"), "segment"
    )
    joined = dated.join(mine, dated.customer_key == mine["_person"], "left").drop("_person")
    return joined.withColumn("segment", F.coalesce("segment", F.lit("(none)")))


def _seconds(run: Run, day: date) -> int:
    """The first instant of a business day, in seconds since 1970."""
    return int(send_times.send_at(day, "00:00", None, run.config.timezone).timestamp())


# --- what they did ---------------------------------------------------------------------------------------------------


def _rows(run: Run, earlier: Published, data: Ingested, study: _Study) -> list[dict[str, Any]]:
    """A row of `campaign_results` a segment, arm and metric, still without verdicts."""
    seen = data.events.filter(F.col("event_date") < F.lit(run.as_of))
    success = study.campaign.success
    measured = uplift.outcomes(study.people, seen, success.event_type, run.config.refunds.policy)
    bucket = holdouts.ticket(f"{study.campaign.key}\x1fbootstrap", "customer_key") % uplift.BUCKETS
    found = uplift.sums(measured, bucket).collect()
    looks = _looks(run, earlier, study)
    confidence = 1 - (1 - run.config.targeting.confidence) / looks
    arms = [arm for arm in study.counts if arm != HOLDOUT]
    wanted = study.campaign.targets or sorted({row["segment"] for row in found} - {"(none)"})
    rows = []
    for segment in ["all", *wanted]:
        mine = [row for row in found if segment in ("all", row["segment"])]
        for arm in sorted(arms):
            for metric in (RATE, VALUE):
                if any(row["arm"] == arm for row in mine) or segment == "all":
                    rows.append(_row(run, study, mine, (segment, arm, metric), confidence))
    return rows


def _looks(run: Run, earlier: Published, study: _Study) -> int:
    """How many looks share the false alarms; one before the window's end counts itself."""
    if not study.complete:
        run.counts[f"{_LOOK}{study.campaign.name}"] = 1
    return study.campaign.success.looks


def _too_early(run: Run, earlier: Published, study: _Study) -> bool:
    """Whether the window is not over and this look is none of those planned, of which the last is the final one."""
    if study.complete:
        return False
    name = f"{_LOOK}{study.campaign.name}"
    before = {row["as_of"] for row in earlier.runs if row["job"] == "measure" and name in row["counts"]}
    return len(before | {run.as_of}) > study.campaign.success.looks - 1


def _row(run: Run, study: _Study, found: list[Row], key: tuple[str, str, str], confidence: float) -> dict[str, Any]:
    segment, arm, metric = key
    success, groups = study.campaign.success, {}
    buckets: dict[str, dict[int, tuple[float, float]]] = {arm: {}, HOLDOUT: {}}
    for group in (arm, HOLDOUT):
        rows = sorted((r for r in found if r["arm"] == group), key=lambda r: (r["bucket"], r["segment"]))
        total = {name: sum(row[f"{metric}_{name}"] for row in rows) for name in _PARTS}
        groups[group] = Sums(sum(row["n"] for row in rows), **total)
        for row in rows:
            n, y = buckets[group].get(row["bucket"], (0, 0.0))
            buckets[group][row["bucket"]] = (n + row["n"], y + row[f"{metric}_y"])
    treated, holdout = groups[arm], groups[HOLDOUT]
    plain, adjusted = uplift.welch(treated, holdout, confidence), uplift.cuped(treated, holdout, confidence)
    low, high = uplift.bootstrap(list(buckets[arm].values()), list(buckets[HOLDOUT].values()), confidence)
    n = int(treated.n)  # type: ignore[call-overload]
    cost = n * study.campaign.cost_per_contact if study.costs is None else study.costs.get(segment, 0.0)
    roi = [
        _roi(end, n, success.margin, cost) if metric == VALUE else None for end in (plain.uplift, plain.low, plain.high)
    ]
    return {
        "campaign": study.campaign.name, "segment": segment, "arm": arm, "metric": metric,
        "treated": n, "held_out": int(holdout.n),  # type: ignore[call-overload]
        "treated_mean": _number(plain.treated), "holdout_mean": _number(plain.holdout),
        "uplift": _number(plain.uplift), "ci_low": _number(plain.low), "ci_high": _number(plain.high),
        "p_value": _number(plain.p), "p_adjusted": None,
        "cuped_uplift": _number(adjusted.uplift), "cuped_ci_low": _number(adjusted.low),
        "cuped_ci_high": _number(adjusted.high), "cuped_p_value": _number(adjusted.p),
        "bootstrap_ci_low": _number(low), "bootstrap_ci_high": _number(high),
        "cost": cost, "roi": roi[0], "roi_low": roi[1], "roi_high": roi[2],
        "sample_ratio_p": uplift.sample_ratio(study.counts, study.holdout_share),
        "contaminated": study.contaminated, "as_of": run.as_of, "complete": study.complete, "run_id": run.run_id,
        "_sums": groups, "_found": adjusted if success.adjust == "cuped" else plain, "_confidence": confidence,
        "_p": _number(adjusted.p if success.adjust == "cuped" else plain.p),
    }  # fmt: skip


def _number(value: Any) -> float | None:
    number = float(value)
    return number if number == number and abs(number) != float("inf") else None


def _roi(gain: Any, treated: int, margin: float, cost: float) -> float | None:
    number = _number(gain)
    return (number * treated * margin - cost) / cost if number is not None and cost else None


# --- verdicts --------------------------------------------------------------------------------------------------------


def _judge(run: Run, studies: Mapping[str, _Study], rows: list[dict[str, Any]]) -> None:
    """Adjust the p-values by metric, whole campaigns and segments each together, and say what they come to."""
    for metric in (RATE, VALUE):
        for whole in (True, False):
            family = [row for row in rows if row["metric"] == metric and (row["segment"] == "all") == whole]
            for row, p in zip(family, uplift.holm([row["_p"] for row in family]), strict=True):
                row["p_adjusted"] = p
    values = {
        (row["campaign"], row["segment"], row["arm"]): row["treated_mean"] for row in rows if row["metric"] == VALUE
    }
    earlier = published(run.lake)
    for row in rows:
        study = studies[row["campaign"]]
        worthwhile = _worthwhile(study, row, values[row["campaign"], row["segment"], row["arm"]])
        row["verdict"], row["reason"] = uplift.verdict(
            row["metric"],
            row["_found"],
            row["p_adjusted"],
            (row["treated"], row["held_out"]),
            false_alarms=1 - row["_confidence"],
            worthwhile=worthwhile,
            sample_ratio_p=row["sample_ratio_p"],
            early=_too_early(run, earlier, study),
            randomised=study.randomised,
        )
        faulty = row["sample_ratio_p"] is not None and row["sample_ratio_p"] < uplift.SAMPLE_RATIO_FAULT
        open_ = row["verdict"] == uplift.INCONCLUSIVE and study.randomised and not faulty
        row["needed"] = _needed(run, row, worthwhile) if open_ else None
        if not study.randomised:
            row |= dict.fromkeys(("roi", "roi_low", "roi_high"))
        if faulty:
            told = (
                f"campaign {row['campaign']}: {row['treated']:,} treated and {row['held_out']:,} held out are not the "
                f"{study.holdout_share:.1%} that were to be held out (p {row['sample_ratio_p']:.2g}): no verdict"
            )
            if row["segment"] == "all" and told not in run.warnings:
                run.warnings.append(told)


def _worthwhile(study: _Study, row: Mapping[str, Any], value: float | None) -> float:
    """The least uplift that pays for a contact, 0 where it costs nothing or a success is worth nothing known."""
    cost = row["cost"] / row["treated"] if row["treated"] else 0.0
    least = cost / study.campaign.success.margin
    if row["metric"] == VALUE:
        return least
    rate = row["treated_mean"]
    return least * rate / value if rate and value and value > 0 else 0.0


def _needed(run: Run, row: Mapping[str, Any], worthwhile: float) -> int | None:
    """People in all that would settle it: to see the uplift found, or where that would not pay the least that does."""
    total = row["treated"] + row["held_out"]
    if row["uplift"] is None or not row["treated"] or not row["held_out"]:
        return None
    difference = max(abs(row["uplift"]), worthwhile)
    sd = uplift.pooled_sd(row["_sums"][row["arm"]], row["_sums"][HOLDOUT])
    return uplift.needed(sd, difference, row["held_out"] / total, row["_confidence"], run.config.targeting.power)

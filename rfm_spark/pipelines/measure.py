"""Measure: who was assigned → what they did in their window → sums → uplift → verdicts, for every campaign that began.

Intention to treat: everybody assigned counts, whatever they received; who did nothing counts as zero.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.campaigns import GLOBAL_HOLDOUT, HOLDOUT, Campaign, Success
from rfm_spark.errors import EnvironmentFault, InputError
from rfm_spark.local import local_frame
from rfm_spark.pipelines.assignments import Study, study_of
from rfm_spark.pipelines.counts import LOOK
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import holdouts, uplift
from rfm_spark.steps.uplift import RATE, VALUE, Sums

_PARTS = ("y", "yy", "x", "xx", "xy")


def measure(run: Run, data: Ingested) -> None:
    """Measure every campaign that has begun and has people assigned, and publish what is known of it now.

    Raises: InputError where an assignment is missing or has other groups, or nothing can be measured;
        EnvironmentFault without scipy; ConflictError where another run has measured meanwhile.
    """
    if find_spec("scipy") is None:
        raise EnvironmentFault.not_installed("scipy", "measure", "measure")
    earlier = run.build_on(schemas.CAMPAIGN_RESULTS.name)
    with run.stage("assignments") as stage:
        studies = [study for campaign in _measurable(run) if (study := study_of(run, earlier, campaign))]
        if not studies:
            told = "; ".join(run.warnings) or "the project has no campaigns"
            raise InputError(f"no campaign can be measured as of {run.as_of}: {told}")
        stage.rows = sum(sum(study.counts.values()) for study in studies)
    with run.stage("uplift") as stage:
        rows = [row for study in studies for row in _rows(run, data, study)]
        _judge(run, earlier, {study.campaign.name: study for study in studies}, rows)
        stage.rows = len(rows)
    with run.stage("campaign results"):
        spec = schemas.CAMPAIGN_RESULTS
        run.results = [{name: row[name] for name in spec.column_names()} for row in rows]
        frame = local_frame(run.spark, [tuple(row.values()) for row in run.results], spec.types())
        before = earlier.read(spec.name)
        if before is not None:
            measured = [study.campaign.name for study in studies]
            frame = before.filter(~F.col("campaign").isin(measured)).select(*spec.column_names()).unionAll(frame)
        run.lake.replace(spec, frame)


def _measurable(run: Run) -> list[Campaign]:
    """The campaigns of the project, and all of them together where some of their people were held out of all."""
    campaigns = list(run.config.campaigns)
    if campaigns and run.config.targeting.global_holdout_share:
        targeting = run.config.targeting
        success = Success(window_days=targeting.global_window_days)
        start = min(campaign.start for campaign in campaigns)
        campaigns.append(Campaign(name=GLOBAL_HOLDOUT, start=start, success=success))
    return campaigns


# --- what they did ---------------------------------------------------------------------------------------------------


def _rows(run: Run, data: Ingested, study: Study) -> list[dict[str, Any]]:
    """A row of `campaign_results` a segment, arm and metric, still without verdicts."""
    seen = data.events.filter(F.col("event_date") < F.lit(run.as_of))
    success = study.campaign.success
    measured = uplift.outcomes(study.people, seen, success.event_type, run.config.refunds.policy)
    bucket = holdouts.ticket(f"{study.campaign.key}\x1fbootstrap", "customer_key") % uplift.BUCKETS
    found = uplift.sums(measured, bucket).collect()
    if not study.complete:
        run.counts[f"{LOOK}{study.campaign.name}"] = 1
    confidence = 1 - (1 - run.config.targeting.confidence) / success.looks
    arms = [arm for arm in study.counts if arm != HOLDOUT]
    wanted = study.campaign.targets or sorted({row["segment"] for row in found} - {schemas.UNASSIGNED})
    rows = []
    for segment in ["all", *wanted]:
        mine = [row for row in found if segment in ("all", row["segment"])]
        for arm in sorted(arms):
            for metric in (RATE, VALUE):
                if any(row["arm"] == arm for row in mine) or segment == "all":
                    rows.append(_row(run, study, mine, (segment, arm, metric), confidence))
    return rows


def _too_early(run: Run, earlier: Published, study: Study) -> bool:
    """Whether the window is not over and this look is none of those planned, of which the last is the final one."""
    if study.complete:
        return False
    name = f"{LOOK}{study.campaign.name}"
    before = {row["as_of"] for row in earlier.runs if row["job"] == "measure" and name in row["counts"]}
    return len(before | {run.as_of}) > study.campaign.success.looks - 1


def _row(run: Run, study: Study, found: list[Row], key: tuple[str, str, str], confidence: float) -> dict[str, Any]:
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
    n = int(treated.n)
    cost = n * study.campaign.cost_per_contact if study.costs is None else study.costs.get(segment, 0.0)
    roi = [
        _roi(end, n, success.margin, cost) if metric == VALUE else None for end in (plain.uplift, plain.low, plain.high)
    ]
    return {
        "campaign": study.campaign.name, "segment": segment, "arm": arm, "metric": metric,
        "treated": n, "held_out": int(holdout.n),
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


def _judge(run: Run, earlier: Published, studies: Mapping[str, Study], rows: list[dict[str, Any]]) -> None:
    """Adjust the p-values by metric, whole campaigns and segments each together, and say what they come to."""
    for metric in (RATE, VALUE):
        for whole in (True, False):
            family = [row for row in rows if row["metric"] == metric and (row["segment"] == "all") == whole]
            for row, p in zip(family, uplift.holm([row["_p"] for row in family]), strict=True):
                row["p_adjusted"] = p
    values = {
        (row["campaign"], row["segment"], row["arm"]): row["treated_mean"] for row in rows if row["metric"] == VALUE
    }
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
        faulty = uplift.is_faulty(row["sample_ratio_p"])
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


def _worthwhile(study: Study, row: Mapping[str, Any], value: float | None) -> float:
    """The least uplift that pays for a contact, 0 where it costs nothing or a success is worth nothing known."""
    cost = row["cost"] / row["treated"] if row["treated"] else 0.0
    least = cost / study.campaign.success.margin
    if row["metric"] == VALUE:
        return least
    rate = row["treated_mean"]
    return least * rate / value if rate and value and value > 0 else 0.0


def _needed(run: Run, row: Mapping[str, Any], worthwhile: float) -> int | None:
    """People in all that would settle it: to see the uplift found, or where that would not pay the least that does."""
    sizes = row["treated"], row["held_out"]
    if row["uplift"] is None or not all(sizes):
        return None
    difference, share = max(abs(row["uplift"]), worthwhile), row["held_out"] / sum(sizes)
    sd = uplift.pooled_sd(row["_sums"][row["arm"]], row["_sums"][HOLDOUT])
    rate = uplift.pooled_rate(row["treated_mean"], row["holdout_mean"], sizes) if row["metric"] == RATE else None
    return uplift.needed(sd, difference, share, row["_confidence"], run.config.targeting.power, rate)

"""Plans: what a campaign would do by segment, and which effect a measurement of it would find."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.campaigns import TREATMENT, Campaign
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.run_record import Plan, Run
from rfm_spark.steps import send_times, targeting, uplift
from rfm_spark.steps.targeting import HELD_OUT, SELECTED

_DAY = 86_400


def planned(run: Run, data: Ingested, campaign: Campaign, wave: date, selected: DataFrame) -> Plan:
    """What is counted of each segment, and which effect a measurement would find, from as many days before as_of."""
    rows = targeting.totals(selected).collect()
    totals = [row.asDict() for row in rows]
    for row in totals:
        if row["bound"]:
            key = f"{campaign.name}.{row['outcome']}"
            run.counts[key] = run.counts.get(key, 0) + row["customers"]
    treated, held = (
        sum(r["customers"] for r in totals if r["bound"] and r["outcome"] == o) for o in (SELECTED, HELD_OUT)
    )
    mine = selected.filter(F.col("bound") & F.col("outcome").isin(SELECTED, HELD_OUT))
    now = send_times.seconds_at(run.as_of, run.config.timezone)
    start = F.lit(now - campaign.success.window_days * _DAY).cast("bigint")
    past = mine.select(
        "customer_key", "segment", F.lit(TREATMENT).alias("arm"), start.alias("start_s"),
        F.lit(now).cast("bigint").alias("end_s"), start.alias("pre_s"),
    )  # fmt: skip
    before = uplift.outcomes(past, data.events, campaign.success.event_type, run.config.refunds.policy)
    n, rate, value, deviation = before.agg(
        F.count(F.lit(1)), F.avg(F.col("rate").cast("double")), F.avg(F.col("value").cast("double")),
        F.stddev_samp(F.col("value").cast("double")),
    ).collect()[0]  # fmt: skip
    if not n:
        return Plan(campaign, wave, totals)
    shared, deviations = run.config.targeting, {uplift.RATE: (rate * (1 - rate)) ** 0.5, uplift.VALUE: deviation or 0.0}
    found = {m: uplift.detectable(sd, treated, held, shared.confidence, shared.power) for m, sd in deviations.items()}
    hoped = (
        sum(r["expected_value"] for r in totals if r["bound"] and r["outcome"] == SELECTED) / treated
        if treated
        else 0.0
    )
    needed = uplift.needed(deviations[uplift.VALUE], hoped, campaign.drawn_share, shared.confidence, shared.power)
    return Plan(campaign, wave, totals, found, needed, {uplift.RATE: rate, uplift.VALUE: value})

"""Assignments: who was treated and who was held out of a campaign, of its audience or of another tool's file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark import sources
from rfm_spark.config.campaigns import HOLDOUT, TREATMENT, Campaign
from rfm_spark.config.identity import OWN_ID
from rfm_spark.config.source import Source
from rfm_spark.config.words import listed
from rfm_spark.errors import ConfigError, InputError
from rfm_spark.local import local_frame
from rfm_spark.pipelines.counts import DRAWN
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.schemas import UNASSIGNED
from rfm_spark.steps import send_times, uplift
from rfm_spark.steps.contract import values

_DAY = 86_400
_MERGES = 10  # of one key, between a send and its measurement


@dataclass(frozen=True)
class _Assigned:
    """Who was to be treated and held out: `people` (customer_key, segment, arm, start_s, end_s, pre_s, in seconds since
    1970), the share that was to be held out, and the cost of each segment and of `all`, where they are known."""

    people: DataFrame
    holdout_share: float | None
    costs: Mapping[str, float] | None


@dataclass(frozen=True)
class Study:
    """One campaign to measure: the people, a row each by `uplift.once` and without the contaminated, and how many of
    each arm and contaminated; the share that was to be held out, and costs, as of `_Assigned`; whether all windows are
    over (`complete`)."""

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


def study_of(run: Run, earlier: Published, campaign: Campaign) -> Study | None:
    """The people of one campaign; None, and a warning, where there is nothing to measure yet or by its audience.

    Raises: InputError where an assignment has other groups, or one group is empty.
    """
    if run.as_of <= campaign.start:
        run.warnings.append(
            f"campaign {campaign.name} starts on {campaign.start}, and {run.as_of} is the first day not seen"
        )
        return None
    own = _of_file(run, earlier, campaign) if campaign.assignment is not None else _of_audience(run, earlier, campaign)
    if own is None:
        drawn = any(f"{DRAWN}{campaign.name}" in row["counts"] for row in earlier.runs)
        told = "an empty audience: `rfm-spark target` found nobody for it"
        told = told if drawn else "no audience: run `rfm-spark target` before its start"
        run.warnings.append(f"campaign {campaign.name} has {told}")
        return None
    people = run.keep(uplift.once(own.people))
    found = people.groupBy("arm", "contaminated").agg(
        F.count(F.lit(1)).alias("n"), F.max("end_s").alias("end"), F.min("start_s").alias("start")
    ).collect()  # fmt: skip
    counts: dict[str, int] = {}
    for row in found:
        if not row["contaminated"]:
            counts[row["arm"]] = row["n"]
    contaminated = sum(row["n"] for row in found if row["contaminated"])
    now = send_times.seconds_at(run.as_of, run.config.timezone)
    if found and now <= min(row["start"] for row in found):
        run.warnings.append(f"campaign {campaign.name} is sent after {run.as_of}: there is nothing to measure yet")
        return None
    if not _has_both_groups(run, campaign, counts):
        return None
    complete = max(row["end"] for row in found) <= now
    clean = people.filter(~F.col("contaminated"))
    return Study(campaign, clean, counts, contaminated, own.holdout_share, own.costs, complete)


def _has_both_groups(run: Run, campaign: Campaign, counts: Mapping[str, int]) -> bool:
    """Whether somebody was treated and somebody held out; an audience without is warned of, for it is sent already.

    Raises: InputError where an assignment is without.
    """
    given = campaign.assignment
    treated = [TREATMENT] if given is None else given.arms
    missing = [*([] if any(map(counts.get, treated)) else treated), *([] if counts.get(HOLDOUT) else [HOLDOUT])]
    if not missing:
        return True
    of = "audience" if given is None else "assignment"
    told = (
        f"campaign {campaign.name}: {of}: found nobody in {listed(missing)}, "
        "expected people in both groups: without them nothing can be said of its effect"
    )
    if given is not None:
        raise InputError(told)
    run.warnings.append(f"{told}; holdout_share says how many the next holds out")
    return False


def _of_audience(run: Run, earlier: Published, campaign: Campaign) -> _Assigned | None:
    """Those of the campaign's audience; None where it has none."""
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
    return _Assigned(assigned, found[0]["share"], costs | {"all": sum(costs.values())})


def _as_people_now(run: Run, earlier: Published, assigned: DataFrame, made_by: Collection[str]) -> DataFrame:
    """The assigned by the keys that they have since identities were merged, merge by merge.

    A key that names a person today stays: it never was merged, or is again that of whom a split set free.
    """
    changes, known = earlier.read("identity_changes"), earlier.read("identities")
    if changes is None or known is None:
        return assigned
    order = {row["run_id"]: i for i, row in enumerate(earlier.runs)}
    since = [(one, i) for one, i in order.items() if i > min(order.get(made, -1) for made in made_by)]
    runs = local_frame(run.spark, since, [("run_id", "string"), ("order", "int")])
    merges = run.keep(
        changes.filter(F.col("change") == "merge").join(F.broadcast(runs), "run_id")
        .select("other_key", "customer_key", "order").distinct()
        .join(known.select(F.col("customer_key").alias("other_key")), "other_key", "left_anti")
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
    own = known.filter((F.col("id_type") == OWN_ID) & F.col("customer_key").isNotNull())
    people = own.groupBy("id_value").agg(F.min("customer_key").alias("_now"), F.max("customer_key").alias("_other"))
    found = run.keep(rows.join(people, rows.customer_key == people["id_value"], "left"))
    ambiguous = F.coalesce(F.col("_now") != F.col("_other"), F.lit(False))
    n = found.filter(ambiguous).count()
    if n:
        run.warnings.append(
            f"campaign {campaign.name}: {n:,} rows of the assignment have an id that several people have: left out"
        )
    return found.filter(~ambiguous).select(F.coalesce("_now", "customer_key").alias("customer_key"), "arm")


def _of_file(run: Run, earlier: Published, campaign: Campaign) -> _Assigned:
    """Those of another tool's file; the segment is that of the newest snapshot at or before the start."""
    given = campaign.assignment
    assert given is not None
    source = Source(
        name=f"{campaign.name} assignment", kind="profile", format=given.format, path=given.path, table=given.table,
        options=given.options, columns=given.columns, types=given.types,
    )  # fmt: skip
    run.inputs[source.name] = sources.place(source)
    try:
        read = sources.read(run.spark, source)
    except ConfigError as error:
        own, here = f"sources.{source.name}.", f"campaigns.{campaign.name}.assignment."
        raise ConfigError([replace(fault, path=fault.path.replace(own, here)) for fault in error.faults]) from None
    who, arm = (values.text(read, f"c_{name}") for name in ("source_customer_id", "group"))  # as in every source
    rows = run.keep(read.select(who.alias("customer_key"), arm.alias("arm")))
    _known_groups(run, campaign, rows)
    first, days, zone = campaign.start, campaign.success.window_days, run.config.timezone
    spans = {"start_s": first, "end_s": first + timedelta(days=days), "pre_s": first - timedelta(days=days)}
    dated = _by_identity(run, earlier, campaign, rows.filter(_is_person())).select(
        "customer_key", F.coalesce("arm", F.lit("")).alias("arm"),
        *(F.lit(send_times.seconds_at(day, zone)).cast("bigint").alias(name) for name, day in spans.items()),
    )  # fmt: skip
    share = given.holdout_share if given.holdout_share is not None else campaign.holdout_share
    return _Assigned(_with_segment(run, earlier, campaign, dated), share, None)


def _is_person() -> Column:
    return F.col("customer_key").isNotNull()


def _known_groups(run: Run, campaign: Campaign, rows: DataFrame) -> None:
    """Somebody is there, and every group is known; rows without a person are counted.

    Raises: InputError, which quotes no value.
    """
    assert campaign.assignment is not None
    known = [HOLDOUT, *campaign.assignment.arms]
    strange, nobody, n = rows.agg(
        F.count(F.when(~F.coalesce(F.col("arm").isin(known), F.lit(False)) & _is_person(), 1)),
        F.count(F.when(~_is_person(), 1)),
        F.count(F.lit(1)),
    ).collect()[0]
    if nobody == n:
        raise InputError(
            f"campaign {campaign.name}: assignment: found no row that names a customer among {n:,}, expected a row for "
            "each person who was treated or held out; see its path, and its columns"
        )
    if strange:
        raise InputError(
            f"campaign {campaign.name}: assignment: found {strange:,} of {n:,} rows with another group, expected "
            f"{', '.join(known)} as group; map it with {{sql: …}}, or name the treated ones in arms"
        )
    if nobody:
        run.warnings.append(f"campaign {campaign.name}: {nobody:,} rows of the assignment name no customer: left out")


def _with_segment(run: Run, earlier: Published, campaign: Campaign, dated: DataFrame) -> DataFrame:
    day = earlier.newest_until(campaign.start)
    segments = earlier.read("customer_segments", day) if day is not None and campaign.segmentation else None
    if segments is None:
        if campaign.segmentation:
            run.warnings.append(
                f"campaign {campaign.name}: no snapshot at or before its start ({campaign.start}), so there is no "
                "result by segment: what people are in since may be its effect"
            )
        return dated.withColumn("segment", F.lit(UNASSIGNED))
    mine = segments.filter(F.col("segmentation") == F.lit(campaign.segmentation)).select(
        F.col("customer_key").alias("_person"), "segment"
    )
    joined = dated.join(mine, dated.customer_key == mine["_person"], "left").drop("_person")
    return joined.withColumn("segment", F.coalesce("segment", F.lit(UNASSIGNED)))

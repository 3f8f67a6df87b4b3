"""The gate on drift: is this snapshot so far from the one before it that somebody should look first?"""

from collections.abc import Iterator
from math import inf

from pyspark.sql import functions as F

from rfm_spark.config.models import Limits
from rfm_spark.errors import GateError
from rfm_spark.pipelines.causes import Snapshot, in_both
from rfm_spark.pipelines.counts import unassigned_in
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.schemas import UNASSIGNED
from rfm_spark.steps import drift, scores


def gate(run: Run, earlier: Published, before: Snapshot, now: Snapshot) -> None:
    """Warn of what moved beyond a limit of `drift` in the config, or stop the run before it is published.

    Reads: this run's profiles and cut-points, and those of the earlier snapshot; for the index of scores, which is
        asked for by its limits, one aggregate over either snapshot's customers a segmentation.
    Raises: GateError with all that is beyond a limit to stop at.
    """
    limits = run.config.drift
    found = [(limits.shares, *each) for each in _shares(run, earlier, before, now)]
    if limits.cut_points != Limits():
        found += [(limits.cut_points, *each) for each in _cut_points(before, now)]
    if limits.metrics != Limits():
        found += [(limits.metrics, *each) for each in _scores(before, now)]
    beyond = [f"{told} (stop: {limit.stop:g})" for limit, value, told in found if limit.stop and value > limit.stop]
    if beyond:
        raise GateError(
            f"since the snapshot of {before.as_of}: " + "; ".join(beyond) + ". Nothing was published: look at the "
            "sources and rules, or raise the limit in drift if this is expected"
        )
    run.warnings += [
        f"drift since {before.as_of}: {told} (warn: {limit.warn:g})"
        for limit, value, told in found
        if limit.warn and value > limit.warn
    ]


def _shares(run: Run, earlier: Published, before: Snapshot, now: Snapshot) -> Iterator[tuple[float, str]]:
    profiles = earlier.read("segment_profiles", before.as_of)
    rows = profiles.select("segmentation", "segment", "customers").collect() if profiles is not None else []
    counts = earlier.made(before.as_of)["counts"]
    for name in in_both(before, now):
        then = {row["segment"]: row["customers"] for row in rows if row["segmentation"] == name}
        today = {row["segment"]: row["customers"] for row in run.profiles if row["segmentation"] == name}
        for found, counted in ((then, counts), (today, run.counts)):
            found[UNASSIGNED] = counted.get(unassigned_in(name), 0)
        if sum(then.values()) and not sum(today.values()):
            yield inf, f"{name}: nobody is in it any more, and {sum(then.values()):,} customers were"
        parts = drift.contributions(then, today)
        value = sum(parts.values())
        most = max(parts, key=lambda segment: (parts[segment], segment), default=None)
        if most is not None:
            shares = [each.get(most, 0) / sum(each.values()) for each in (then, today)]
            told = f"most of it {most}, {shares[0]:.1%} of the customers before and {shares[1]:.1%} now"
            yield value, f"{name}: the shares of the segments moved by an index of {value:.3f}, {told}"


def _cut_points(before: Snapshot, now: Snapshot) -> Iterator[tuple[float, str]]:
    for name in in_both(before, now):
        for criterion, cuts in now.cuts[name].items():
            if not _alike(before, now, name, criterion):
                continue
            then = before.cuts[name][criterion]
            groups = [group for group in cuts.by_group if group in then.by_group]
            value = max((drift.furthest_move(then.by_group[g], cuts.by_group[g]) for g in groups), default=0.0)
            yield value, f"{name}: a cut-point of {criterion} moved by {value:.1%}"


def _scores(before: Snapshot, now: Snapshot) -> Iterator[tuple[float, str]]:
    for name in in_both(before, now):
        cuts = {c: cut for c, cut in before.cuts[name].items() if _alike(before, now, name, c)}
        mine = before.segments.filter(F.col("segmentation") == name)
        then = drift.score_counts(mine, {c: f"{c}_score" for c in cuts}, cuts)
        today = drift.score_counts(scores.score_all(now.metrics, cuts), {c: c for c in cuts}, cuts)
        for criterion in cuts:
            value = drift.stability_index(then[criterion], today[criterion])
            told = f"the scores of {criterion} by the earlier cut-points moved by an index of {value:.3f}"
            yield value, f"{name}: {told}"


def _alike(before: Snapshot, now: Snapshot, segmentation: str, criterion: str) -> bool:
    """Whether a criterion means the same in both snapshots, so that its cut-points can be compared."""
    then, today = (one.cuts[segmentation].get(criterion) for one in (before, now))
    if then is None or today is None or before.config.criteria[criterion] != now.config.criteria[criterion]:
        return False
    return (then.metric, then.bins, then.group_by) == (today.metric, today.bins, today.group_by)

"""Cut points: where one score of a criterion ends and the next begins; fitted here, applied in `scores`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark.config.models import Criterion, CriterionScoring, Scoring, Segmentation
from rfm_spark.cuts import CriterionCut, Cuts, FittedCuts
from rfm_spark.order_statistics import ALL, Size, Wanted, approximate, group_column, order_statistics, sizes


def plan(segmentation: Segmentation, criteria: Mapping[str, Criterion], frozen_from: date | None) -> list[CriterionCut]:
    """How each criterion of a segmentation is cut, its own settings before the segmentation's.

    Rules: `frozen_from` freezes all that would be fitted at that snapshot's cut-points.
    """
    plans = [_plan(segmentation, name, criterion) for name, criterion in criteria.items()]
    if frozen_from is None:
        return plans
    return [one if one.method == "fixed" else replace(one, method="frozen", snapshot=frozen_from) for one in plans]


def _plan(segmentation: Segmentation, name: str, criterion: Criterion) -> CriterionCut:
    scoring: Scoring = segmentation.scoring
    own = scoring.criteria.get(name, CriterionScoring())
    cuts = tuple(float(cut) for cut in own.cuts or ())
    return CriterionCut(
        criterion=name,
        segmentation=segmentation.name,
        metric=criterion.metric or name,
        better=criterion.better,
        method=own.method or ("fixed" if cuts else scoring.method),
        bins=len(cuts) + 1 if cuts else own.bins or scoring.bins,
        relative_error=scoring.relative_error if own.relative_error is None else own.relative_error,
        refine=scoring.refine if own.refine is None else own.refine,
        group_by=own.group_by or scoring.group_by,
        cuts=cuts,
        snapshot=own.snapshot or scoring.snapshot,
    )


def from_rows(plan: CriterionCut, stored: Sequence[Row]) -> list[FittedCuts]:
    """Cuts of an earlier snapshot from the rows of `cut_points` of one criterion, one FittedCuts a group."""
    by_group: dict[str, list[Row]] = {}
    for row in sorted(stored, key=lambda row: row["position"]):
        by_group.setdefault(row["group"], []).append(row)
    group_by = None if set(by_group) == {ALL} else plan.group_by
    return [
        FittedCuts(
            replace(plan, bins=len(rows) + 1, group_by=group_by),
            group,
            tuple(row["value"] for row in rows),
            rows[0]["customers"],
            rows[0]["distinct_values"],
        )
        for group, rows in by_group.items()
    ]


def fit(frame: DataFrame, cuts: Sequence[CriterionCut]) -> list[FittedCuts]:
    """Fit the cuts of all criteria that are cut alike in one go.

    Reads: one row a customer of the fit population, each metric a double column without NaN.
    Returns: one FittedCuts a criterion and group, without attainable scores.
    Rules: approx_quantile: the value of rank ceil(i·N/bins), i = 1..bins-1, exact unless refine is false;
        interpolated: R's type 7; fixed: as given. N counts the customers whose metric is not null; none, no cuts.
    At most four small aggregates for each group_by in use, however many criteria and segmentations.
    """
    fitted: list[FittedCuts] = []
    for group_by in dict.fromkeys(cut.group_by for cut in cuts):
        alike = [cut for cut in cuts if cut.group_by == group_by]
        fitted += _fit_alike(frame, alike, group_by)
    return fitted


def by_criterion(asked: Sequence[CriterionCut], fitted: Sequence[FittedCuts]) -> dict[str, Cuts]:
    """The fitted cuts of one segmentation as `scores` applies them, in the order they were asked for.

    Rules: a criterion that nothing was fitted for, since nobody was there, has no cuts in any group.
    """
    result = {}
    for plan in asked:
        ones = [one for one in fitted if one.cut.criterion == plan.criterion]
        cut = ones[0].cut if ones else plan  # frozen cuts bring their own number of bins
        by_group = {one.group: one.values for one in ones}
        result[plan.criterion] = Cuts(cut.metric, cut.better, cut.bins, cut.group_by, by_group)
    return result


def with_attainable(scored: DataFrame, fitted: Sequence[FittedCuts]) -> list[FittedCuts]:
    """Add which scores occur among the fit population of one segmentation.

    Reads: the fit population with one column a criterion holding its score, and the group_by columns.
    One aggregate for each group_by in use.
    """
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for group_by in dict.fromkeys(one.cut.group_by for one in fitted):
        names = list(dict.fromkeys(one.cut.criterion for one in fitted if one.cut.group_by == group_by))
        sets = [F.collect_set(name).alias(f"s_{i}") for i, name in enumerate(names)]
        collected = scored.groupBy(group_column(group_by).alias("_group")).agg(*sets).collect()
        found |= {
            (row["_group"], name): tuple(sorted(row[f"s_{i}"])) for row in collected for i, name in enumerate(names)
        }
    return [replace(one, attainable_scores=found.get((one.group, one.cut.criterion), ())) for one in fitted]


def rows(fitted: Sequence[FittedCuts], snapshot: date) -> list[tuple]:
    """The rows of table `cut_points`, in the order of its columns; `better` and `bins` follow from its config."""
    return [
        (
            snapshot,
            one.cut.segmentation,
            one.cut.criterion,
            one.group,
            position,
            one.cut.metric,
            float(value),
            None if one.cut.method == "fixed" else position / (len(one.values) + 1),
            one.cut.method,
            one.cut.relative_error if one.cut.method == "approx_quantile" and not one.cut.refine else 0.0,
            one.customers,
            one.distinct_values,
            list(one.attainable_scores),
        )
        for one in fitted
        for position, value in enumerate(one.values, 1)
    ]


def _fit_alike(frame: DataFrame, cuts: Sequence[CriterionCut], group_by: str | None) -> list[FittedCuts]:
    metrics = list(dict.fromkeys(cut.metric for cut in cuts))
    size = sizes(frame, metrics, group_by)
    groups = sorted({group for group, _ in size})
    quantiles = _quantiles(frame, cuts, size, groups, group_by)
    fitted = []
    for cut in cuts:
        for group in groups:
            known = size[group, cut.metric]
            values = cut.cuts if cut.method == "fixed" else quantiles[cut.segmentation, cut.criterion, group]
            fitted.append(FittedCuts(cut, group, tuple(values), known.values, known.distinct))
    return fitted


def _quantiles(
    frame: DataFrame,
    cuts: Sequence[CriterionCut],
    size: Mapping[tuple[str, str], Size],
    groups: Sequence[str],
    group_by: str | None,
) -> dict[tuple[str, str, str], list[float]]:
    """(segmentation, criterion, group): the values of its cuts."""
    result: dict[tuple[str, str, str], list[float]] = {}
    wanted: dict[tuple[str, str, str], list[Wanted]] = {}
    for cut in cuts:
        rough = {}
        if cut.method == "approx_quantile" and not cut.refine:
            probabilities = [i / cut.bins for i in range(1, cut.bins)]
            rough = approximate(frame, {cut.metric: probabilities}, group_by, cut.relative_error)
        for group in groups:
            key, n = (cut.segmentation, cut.criterion, group), size[group, cut.metric].values
            if cut.method not in ("approx_quantile", "interpolated") or not n:
                result[key] = []
            elif rough:
                result[key] = list(rough[group, cut.metric])
            else:
                # the slot says which cut of how many, so that criteria cut alike share their brackets
                ranks = enumerate(_ranks(cut, n))
                wanted[key] = [Wanted(group, cut.metric, _first_slot(cut) + slot, rank) for slot, rank in ranks]
    error = min((cut.relative_error for cut in cuts), default=0.0)
    values = order_statistics(frame, list({w for ws in wanted.values() for w in ws}), size, group_by, error)
    for cut in cuts:
        for group in groups:
            key = (cut.segmentation, cut.criterion, group)
            if key in wanted:
                found = [values[want] for want in wanted[key]]
                result[key] = (
                    found
                    if cut.method == "approx_quantile"
                    else _interpolated(cut, size[group, cut.metric].values, found)
                )
    return result


def _first_slot(cut: CriterionCut) -> int:
    return cut.bins * 1000 + (500 if cut.method == "interpolated" else 0)


def _ranks(cut: CriterionCut, n: int) -> list[int]:
    """The ranks (from 1) that the cuts are made of, in whole numbers so that no rounding moves one."""
    if cut.method == "approx_quantile":
        return [-(-i * n // cut.bins) for i in range(1, cut.bins)]
    return [min(i * (n - 1) // cut.bins + 1 + step, n) for i in range(1, cut.bins) for step in (0, 1)]


def _interpolated(cut: CriterionCut, n: int, found: Sequence[float]) -> list[float]:
    """R's type 7: between the two values around rank 1 + i·(n-1)/bins."""
    values = []
    for i, low, high in zip(range(1, cut.bins), found[::2], found[1::2], strict=True):
        part = i * (n - 1) % cut.bins
        values.append(low + (high - low) * part / cut.bins)
    return values

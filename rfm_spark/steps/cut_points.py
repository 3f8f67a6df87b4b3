"""Cut points: where one score of a criterion ends and the next begins; fitted here, applied in `scores`."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark.config.models import ProjectConfig
from rfm_spark.cuts import CriterionCut, Cuts, FittedCuts
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.order_statistics import (
    ALL,
    Quantile,
    Summary,
    are_gathered,
    cleaned,
    distinct_values,
    group_column,
    summarise,
)

_POPULATIONS = {"orders": "frequency > 0", "contacts": "contacts + engagements > 0", "everyone": "true"}


def plan(config: ProjectConfig, frozen_from: date | None = None) -> list[CriterionCut]:
    """How each criterion of each segmentation is cut, in the config's order.

    Rules: `frozen_from` freezes all that would be fitted at that snapshot's cut-points. Cut-points are fitted on
        customers with an order in the reference period, or a contact where no source has purchases.
    """
    buys = any(s.event_type and "purchase" in s.event_type.possible() for s in config.event_sources())
    fit_on = "orders" if buys else "contacts"
    planned = [
        CriterionCut(
            name,
            criterion.metric or name,
            criterion.better,
            segmentation.name,
            segmentation.scoring.fit_on or fit_on,
            **vars(segmentation.scoring.of(name)),
        )
        for segmentation in config.segmentations
        for name, criterion in config.criteria_of(segmentation).items()
    ]
    if frozen_from is None:
        return planned
    return [cut if cut.method == "fixed" else replace(cut, method="frozen", snapshot=frozen_from) for cut in planned]


def fit(customers: DataFrame, cuts: Iterable[CriterionCut], at_most: int | None = None) -> list[FittedCuts]:
    """Fit all cuts of all segmentations that are not frozen.

    Reads: one row a customer with its metrics, attributes and own criteria; `at_most`, a number of rows that the
        frame does not exceed, counted where it is not given.
    Returns: one FittedCuts a criterion and group.
    Rules: approx_quantile: the value of rank ceil(i·N/bins), i = 1..bins-1, exact unless `refine` is false;
        interpolated: R's type 7; fixed: as given, the same for everybody. N counts the customers of the fit population
        whose metric is not null; none, no cuts.
    One aggregate for each group_by in use (some passes above EXACT_UP_TO values, see `order_statistics`), however many
    criteria and segmentations. No customer is moved: the shuffles carry partial results of groups.
    """
    asked = [cut for cut in cuts if cut.method != "frozen"]
    rows = customers.count() if at_most is None and asked else at_most or 0
    return [
        fitted
        for group_by in dict.fromkeys(cut.group_by for cut in asked)
        for fitted in _fit_alike(customers, [cut for cut in asked if cut.group_by == group_by], group_by, rows)
    ]


def frozen(cuts: Iterable[CriterionCut], stored: Sequence[Row], published: Sequence[date]) -> list[FittedCuts]:
    """The cuts that are frozen, as an earlier snapshot left them: with the customers, distinct values, attainable
    scores and error of its fit.

    Reads: `stored`, rows of `cut_points` of the snapshots they are frozen at; `published`, the snapshots there are.
    Rules: cuts that were not grouped serve every group.
    Raises: ConfigError where there are none, or they were made for another metric, other bins, or in groups.
    """
    fitted: list[FittedCuts] = []
    faults: list[Fault] = []
    for cut in cuts:
        if cut.method != "frozen":
            continue
        key = (cut.snapshot, cut.segmentation, cut.criterion)
        rows = [row for row in stored if (row["snapshot_date"], row["segmentation"], row["criterion"]) == key]
        by_group = _by_group(rows)
        message = _unfit(cut, by_group, published)
        if message:
            faults.append(Fault(f"segmentations.{cut.segmentation}.scoring", message))
        else:
            fitted += [_thawed(cut, group, rows, list(by_group) == [ALL]) for group, rows in by_group.items()]
    if faults:
        raise ConfigError(faults, "frozen cut-points")
    return fitted


def by_criterion(asked: Iterable[CriterionCut], fitted: Iterable[FittedCuts]) -> dict[str, Cuts]:
    """The fitted cuts of one segmentation as `scores` applies them, in the order they were asked for.

    Reads: `asked`, the cuts planned for one segmentation; `fitted`, cuts of any.
    Rules: a criterion that nothing was fitted for, since nobody was there, has no cuts in any group.
    """
    found: dict[tuple[str, str], list[FittedCuts]] = {}
    for one in fitted:
        found.setdefault((one.cut.segmentation, one.cut.criterion), []).append(one)
    result = {}
    for cut in asked:
        ones = found.get((cut.segmentation, cut.criterion), [])
        group_by = ones[0].cut.group_by if ones else cut.group_by
        result[cut.criterion] = Cuts(
            cut.metric, cut.better, cut.bins, group_by, {one.group: one.values for one in ones if one.values}
        )
    return result


def as_stored(asked: Iterable[CriterionCut], stored: Sequence[Row]) -> dict[str, Cuts]:
    """The cuts of one segmentation as a snapshot was scored with, in the order they were asked for.

    Reads: `asked`, the cuts planned for the segmentation by the snapshot's own config; `stored`, its rows of
        `cut_points`.
    """
    result = {}
    for cut in asked:
        mine = [row for row in stored if (row["segmentation"], row["criterion"]) == (cut.segmentation, cut.criterion)]
        by_group = _by_group(mine)
        group_by = None if set(by_group) == {ALL} else cut.group_by
        values = {group: tuple(row["value"] for row in found) for group, found in by_group.items()}
        result[cut.criterion] = Cuts(cut.metric, cut.better, cut.bins, group_by, values)
    return result


def rows(fitted: Iterable[FittedCuts], snapshot: date) -> list[tuple]:
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
            None if one.cut.method == "fixed" else position / one.cut.bins,
            one.cut.method,
            one.relative_error,
            one.customers,
            one.distinct_values,
            list(one.attainable_scores),
        )
        for one in fitted
        for position, value in enumerate(one.values, 1)
    ]


# --- fitting ---


def _fit_alike(
    customers: DataFrame, cuts: Sequence[CriterionCut], group_by: str | None, customer_rows: int
) -> list[FittedCuts]:
    """Fit the cuts that have one group_by: each metric of each fit population is one column, null for the others."""
    keys = list(dict.fromkeys((cut.fit_on, cut.metric) for cut in cuts))
    names = {key: f"x{i}" for i, key in enumerate(keys)}
    measured = [_of_population(fit_on, metric).alias(name) for (fit_on, metric), name in names.items()]
    frame = customers.select(group_column(group_by).alias("_group"), *measured)
    values = customer_rows * len(names)
    exact = are_gathered(frame, values)
    totals: dict[str, Column] = {}
    for name in names.values():
        totals |= {f"distinct_{name}": distinct_values(name, gathered=exact), f"greatest_{name}": F.max(name)}
    for cut in cuts:
        totals |= _greatest_up_to(cut.cuts, names[cut.fit_on, cut.metric])
    quantiles = {cut: _quantiles(cut, names[cut.fit_on, cut.metric]) for cut in cuts}
    groups = summarise(
        frame,
        list(names.values()),
        [quantile for asked in quantiles.values() for quantile in asked],
        totals,
        group_by="_group" if group_by else None,
        values=values,
        relative_error=min(cut.relative_error for cut in cuts),
    )
    return [
        _fitted(cut, names[cut.fit_on, cut.metric], quantiles[cut], group, summary, exact)
        for cut in cuts
        for group, summary in sorted(groups.items())
    ]


def _of_population(fit_on: str, metric: str) -> Column:
    return F.when(F.expr(_POPULATIONS[fit_on]), cleaned(F.col(f"`{metric}`")))


def _quantiles(cut: CriterionCut, column: str) -> list[Quantile]:
    if cut.method == "fixed":
        return []
    interpolated = cut.method == "interpolated"
    refine = interpolated or cut.refine
    return [Quantile(column, i, cut.bins, interpolated, refine) for i in range(1, cut.bins)]


def _greatest_up_to(cuts: Sequence[float], column: str) -> dict[str, Column]:
    """For each fixed cut the greatest value that is not above it: it occurs where the score below the cut does."""
    return {f"up_to_{cut}_{column}": F.max(F.when(F.col(column) <= cut, F.col(column))) for cut in cuts}


def _fitted(
    cut: CriterionCut, column: str, quantiles: Sequence[Quantile], group: str, found: Summary, exact: bool
) -> FittedCuts:
    customers, total = found.counts[column], found.totals
    if cut.method == "fixed":
        values = cut.cuts
        samples = [total[name] for name in _greatest_up_to(cut.cuts, column)]
    else:
        values = tuple(value for quantile in quantiles if (value := found.value(quantile)) is not None)
        samples = [value for quantile in quantiles for value in found.samples.get(quantile, ())]
    occurring = [value for value in (*samples, total[f"greatest_{column}"]) if value is not None]
    return FittedCuts(
        cut,
        group,
        values,
        customers,
        total[f"distinct_{column}"],
        _attained(values, cut.better, occurring),
        0.0 if exact or cut.method != "approx_quantile" or cut.refine else cut.relative_error,
    )


def _attained(cuts: Sequence[float], better: str, occurring: Iterable[float]) -> tuple[int, ...]:
    """The scores that occur.

    `occurring` are values that occur, among them the greatest up to each cut and the greatest of all: any other value
    has the score of the next greater of these.
    """
    below = {bisect_left(cuts, value) for value in occurring}
    return tuple(sorted(1 + k if better == "high" else len(cuts) + 1 - k for k in below))


# --- stored ---


def _by_group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of one criterion, each group's in the order of its cuts."""
    by_group: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["group"], row["position"])):
        by_group.setdefault(row["group"], []).append(row)
    return by_group


def _unfit(cut: CriterionCut, by_group: Mapping[str, Sequence[Row]], published: Sequence[date]) -> str | None:
    """Why stored cuts cannot serve, or None."""
    if not by_group:
        there = ", ".join(map(str, published[-5:])) or "none"
        return f"no cut-points of {cut.criterion} at {cut.snapshot}; published snapshots: {there}"
    metrics = {row["metric"] for rows in by_group.values() for row in rows}
    bins = {len(rows) + 1 for rows in by_group.values()}
    of = f"cut-points of {cut.criterion} at {cut.snapshot}"
    if metrics != {cut.metric}:
        return f"found {of} made for {', '.join(sorted(metrics))}, expected {cut.metric}: fit them anew"
    if cut.group_by is None and set(by_group) != {ALL}:
        return f"found {of} for each group, expected group_by: the same"
    if bins != {cut.bins}:
        found = ", ".join(map(str, sorted(bins)))
        return f"found {of} for {found} bins, expected {cut.bins}: set bins: {found}, or fit them anew"
    return None


def _thawed(cut: CriterionCut, group: str, rows: Sequence[Row], ungrouped: bool) -> FittedCuts:
    return FittedCuts(
        replace(cut, group_by=None) if ungrouped else cut,
        group,
        tuple(row["value"] for row in rows),
        rows[0]["customers"],
        rows[0]["distinct_values"],
        tuple(rows[0]["attainable_scores"] or ()),
        rows[0]["relative_error"] or 0.0,
    )

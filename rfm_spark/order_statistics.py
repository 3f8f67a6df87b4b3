"""Exact quantiles of several columns in any number of groups, without sorting the rows or moving them by value.

Up to EXACT_UP_TO values, and on an engine without sketches always, they are gathered into one sorted array a group and
column, and read off it. Above, `approxQuantile` (by group `percentile_approx`, the same summary) brackets each wanted
rank; one aggregate counts what lies below and at the bracket's ends; what lies strictly inside, about 4ε of the rows,
is ranked by value. So each value occurs in the data and is the same whatever the partitions, on either way.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from pyspark.sql import Column, DataFrame, GroupedData, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

from rfm_spark import engines
from rfm_spark.local import local_frame

ALL, NONE = "all", "(none)"
EXACT_UP_TO = 8_000_000  # values of all columns: some hundred megabytes of a task


@dataclass(frozen=True)
class Quantile:
    """The `i`-th of the `parts` - 1 values that divide a column into parts of one size; nulls are left out.

    Of n values it is the one of rank ceil(i·n/parts); interpolated, R's type 7: between the two around rank
    1 + i·(n-1)/parts. Without `refine`, above EXACT_UP_TO values, one whose rank is within relative_error of it.
    """

    column: str
    i: int
    parts: int
    interpolated: bool = False
    refine: bool = True

    def ranks(self, n: Any, floor: Callable = floor, least: Callable = min) -> list[Any]:
        """The ranks, from 1, of the values that it is made of; `n` is a number, or with Spark's functions a column.

        The division is safe: a quotient that is not whole is at least 1/parts away from a whole number.
        """
        if self.interpolated:
            lower = floor(self.i * (n - 1) / self.parts) + 1
            return [lower, least(lower + 1, n)]
        return [-floor(-(self.i * n / self.parts))]

    def value(self, n: int, found: Sequence[float]) -> float:
        """The quantile, from the values of its ranks."""
        if len(found) == 1:
            return found[0]
        low, high = found
        return low + (high - low) * (self.i * (n - 1) % self.parts) / self.parts


@dataclass(frozen=True)
class Summary:
    """One group: the totals asked for, how many values each column has, and the values that quantiles are made of."""

    totals: Mapping[str, Any]
    counts: Mapping[str, int]
    samples: Mapping[Quantile, Sequence[float]]

    def value(self, quantile: Quantile) -> float | None:
        """A quantile, or None where the column has no value."""
        n = self.counts[quantile.column]
        return quantile.value(n, self.samples[quantile]) if n else None


def cleaned(value: Column) -> Column:
    """A number as a double that has its place in an order: NaN is null, -0.0 is 0.0."""
    double = value.cast("double")
    return F.when(~F.isnan(double), F.when(double == 0, F.lit(0.0)).otherwise(double))


def group_column(group_by: str | None) -> Column:
    """The group a row belongs to: `all` where nothing is grouped."""
    return F.lit(ALL) if group_by is None else F.coalesce(F.col(f"`{group_by}`").cast("string"), F.lit(NONE))


def are_gathered(frame: DataFrame, values: int) -> bool:
    """Whether so many values are gathered, so that all that is said of them is exact."""
    return values <= EXACT_UP_TO or not engines.of(frame.sparkSession).sketches


def distinct_values(column: str, *, gathered: bool) -> Column:
    """How many distinct values a column has: exact where they are gathered, else within about 5 %, the same each time.

    Either is an aggregate of partial results; counting them exactly would move every row by its value.
    """
    return F.size(F.collect_set(column)) if gathered else F.approx_count_distinct(column)


def summarise(
    frame: DataFrame,
    columns: Collection[str],
    wanted: Iterable[Quantile],
    totals: Mapping[str, Column],
    *,
    group_by: str | None = None,
    values: int,
    relative_error: float,
) -> dict[str, Summary]:
    """Totals and quantiles of each group; ungrouped, of the one group `all`, which is there without rows too.

    Reads: `columns` of doubles without NaN; `group_by`, a column of text without null; `values` is at least how many
        values the columns have in all.
    Returns: group: its Summary.
    One aggregate where the values are gathered; else one for the totals, one job for the brackets, one aggregate to
    count them, and one more where a bracket is open. Their shuffles carry partial results of groups, and above
    EXACT_UP_TO the values inside the brackets.
    """
    asked = list(dict.fromkeys(wanted))
    if are_gathered(frame, values):
        return _gathered(frame, columns, asked, totals, group_by)
    counts = {f"n_{name}": F.count(name) for name in columns}
    rows = _by_group(_grouped(frame, group_by).agg(*_aliased({**counts, **totals})).collect(), group_by)
    sizes = {group: {name: row[f"n_{name}"] for name in columns} for group, row in rows.items()}
    samples = _bracketed(frame, asked, sizes, group_by, relative_error)
    return {group: Summary(_picked(row, totals), sizes[group], samples[group]) for group, row in rows.items()}


def _grouped(frame: DataFrame, group_by: str | None) -> GroupedData:
    return frame.groupBy(*([group_by] if group_by else []))


def _by_group(rows: Iterable[Row], group_by: str | None) -> dict[str, Row]:
    return {row[group_by] if group_by else ALL: row for row in rows}


def _aliased(columns: Mapping[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in columns.items()]


def _picked(row: Row, totals: Mapping[str, Column]) -> dict[str, Any]:
    return {name: row[name] for name in totals}


# --- up to EXACT_UP_TO ---


def _gathered(
    frame: DataFrame,
    columns: Collection[str],
    wanted: Sequence[Quantile],
    totals: Mapping[str, Column],
    group_by: str | None,
) -> dict[str, Summary]:
    arrays = {f"values_{name}": F.sort_array(F.collect_list(name)) for name in columns}
    summed = _grouped(frame, group_by).agg(*_aliased(dict(totals) | arrays))
    sizes = {f"n_{name}": F.size(f"values_{name}") for name in columns}
    samples = {f"q_{k}": _sample(quantile) for k, quantile in enumerate(wanted)}
    kept = [f"`{name}`" for name in (*([group_by] if group_by else []), *totals)]
    rows = _by_group(summed.select(*kept, *_aliased(sizes | samples)).collect(), group_by)
    return {
        group: Summary(
            _picked(row, totals),
            {name: row[f"n_{name}"] for name in columns},
            {quantile: row[f"q_{k}"] for k, quantile in enumerate(wanted)},
        )
        for group, row in rows.items()
    }


def _sample(quantile: Quantile) -> Column:
    found = F.col(f"values_{quantile.column}")
    ranks = quantile.ranks(F.size(found).cast("bigint"), F.floor, F.least)
    return F.array(*(F.get(found, (rank - 1).cast("int")) for rank in ranks))


# --- above ---


@dataclass(frozen=True)
class _Target:
    """One rank that is wanted of a column in a group: `part` is its place among the ranks of the quantile."""

    group: str
    quantile: Quantile
    part: int
    rank: int
    of: int

    @property
    def slot(self) -> "_Slot":
        """What targets of several groups have in common."""
        return self.quantile, self.part

    def around(self, relative_error: float) -> tuple[float, float]:
        """Probabilities a little below and a little above the rank's, so that their values enclose it."""
        margin = 2 * relative_error + 2 / self.of
        return max(0.0, self.rank / self.of - margin), min(1.0, self.rank / self.of + margin)


@dataclass(frozen=True)
class _Bracket:
    low: float
    high: float


_Slot = tuple[Quantile, int]
_Samples = dict[str, dict[Quantile, list[float]]]


def _bracketed(
    frame: DataFrame,
    wanted: Sequence[Quantile],
    sizes: Mapping[str, Mapping[str, int]],
    group_by: str | None,
    relative_error: float,
) -> _Samples:
    """group: the values that each quantile is made of."""
    targets = [
        _Target(group, quantile, part, rank, counts[quantile.column])
        for group, counts in sizes.items()
        for quantile in wanted
        if counts[quantile.column] and quantile.refine
        for part, rank in enumerate(quantile.ranks(counts[quantile.column]))
    ]
    rough = [quantile for quantile in wanted if not quantile.refine]
    probabilities: dict[str, set[float]] = {}
    for target in targets:
        probabilities.setdefault(target.quantile.column, set()).update(target.around(relative_error))
    for quantile in rough:
        probabilities.setdefault(quantile.column, set()).add(quantile.i / quantile.parts)
    located = _approximate(frame, probabilities, group_by, relative_error)
    samples: _Samples = {group: {} for group in sizes}
    for group, counts in sizes.items():
        for quantile in rough:
            if counts[quantile.column]:
                samples[group][quantile] = [located[group, quantile.column][quantile.i / quantile.parts]]
    ends = {t: (located[t.group, t.quantile.column], t.around(relative_error)) for t in targets}
    brackets = {t: _Bracket(found[low], found[high]) for t, (found, (low, high)) in ends.items()}
    for target, value in sorted(_exact(frame, brackets, group_by).items(), key=lambda one: one[0].part):
        samples[target.group].setdefault(target.quantile, []).append(value)
    return samples


def _approximate(
    frame: DataFrame, probabilities: Mapping[str, Collection[float]], group_by: str | None, relative_error: float
) -> dict[tuple[str, str], dict[float, float]]:
    """(group, column): a value that occurs for each probability, its rank within relative_error. One job."""
    if not probabilities:
        return {}
    columns = list(probabilities)
    if group_by is None:
        grid = sorted({p for ps in probabilities.values() for p in ps})
        found = frame.approxQuantile(columns, grid, relative_error)
        return {
            (ALL, name): dict(zip(grid, map(float, values), strict=True))
            for name, values in zip(columns, found, strict=True)
            if values
        }
    asked = {name: sorted(ps) for name, ps in probabilities.items()}
    accuracy = F.lit(int(min(1 / relative_error, 2_000_000_000)) if relative_error else 2_000_000_000)
    quantiles = {
        f"q_{name}": F.percentile_approx(name, F.array(*map(F.lit, ps)), accuracy) for name, ps in asked.items()
    }
    rows = _by_group(_grouped(frame, group_by).agg(*_aliased(quantiles)).collect(), group_by)
    return {
        (group, name): dict(zip(ps, row[f"q_{name}"], strict=True))
        for group, row in rows.items()
        for name, ps in asked.items()
        if row[f"q_{name}"]
    }


def _exact(frame: DataFrame, brackets: Mapping[_Target, _Bracket], group_by: str | None) -> dict[_Target, float]:
    """The value of each target, which lies in its bracket."""
    if not brackets:
        return {}
    slots = list(dict.fromkeys(target.slot for target in brackets))
    bounded = _with_bounds(frame, brackets, slots, group_by)
    counts = _count(bounded, slots)
    found: dict[_Target, float] = {}
    open_ranks: dict[_Target, int] = {}
    for target, bracket in brackets.items():
        below, at_low, inside = counts[target.group, target.slot]
        rest = target.rank - below - at_low
        if 0 < rest <= inside:
            open_ranks[target] = rest
        else:
            found[target] = bracket.low if rest <= 0 else bracket.high
    return found | (_inside(bounded, open_ranks, slots) if open_ranks else {})


def _with_bounds(
    frame: DataFrame, brackets: Mapping[_Target, _Bracket], slots: Sequence[_Slot], group_by: str | None
) -> DataFrame:
    """One column a slot with its value, and the bracket of the row's group beside it."""
    group = F.col(group_by) if group_by else F.lit(ALL)
    values = {f"v_{k}": F.col(quantile.column) for k, (quantile, _) in enumerate(slots)}
    keyed = frame.select(group.alias("_group"), *_aliased(values))
    bounds: dict[str, dict[str, float]] = {}
    for target, bracket in brackets.items():
        k = slots.index(target.slot)
        bounds.setdefault(target.group, {}).update({f"low_{k}": bracket.low, f"high_{k}": bracket.high})
    if group_by is None:
        return keyed.withColumns({name: F.lit(value) for name, value in bounds[ALL].items()})
    names = [f"{end}_{k}" for k in range(len(slots)) for end in ("low", "high")]
    rows = [(group, *(ends.get(name) for name in names)) for group, ends in bounds.items()]
    types = [("_group", "string"), *((name, "double") for name in names)]
    return keyed.join(F.broadcast(local_frame(frame.sparkSession, rows, types)), "_group")


def _count(bounded: DataFrame, slots: Sequence[_Slot]) -> dict[tuple[str, _Slot], tuple[int, int, int]]:
    """(group, slot): how many values lie below, at the low end of, and strictly inside the bracket."""
    counts = []
    for k in range(len(slots)):
        value, low, high = F.col(f"v_{k}"), F.col(f"low_{k}"), F.col(f"high_{k}")
        counts += [
            F.count_if(value < low).alias(f"below_{k}"),
            F.count_if(value == low).alias(f"at_{k}"),
            F.count_if((value > low) & (value < high)).alias(f"inside_{k}"),
        ]
    rows = bounded.groupBy("_group").agg(*counts).collect()
    return {
        (row["_group"], slot): (row[f"below_{k}"], row[f"at_{k}"], row[f"inside_{k}"])
        for row in rows
        for k, slot in enumerate(slots)
    }


def _inside(bounded: DataFrame, ranks: Mapping[_Target, int], slots: Sequence[_Slot]) -> dict[_Target, float]:
    """The value of each rank strictly inside its bracket."""
    by_place = {(target.group, slots.index(target.slot)): target for target in ranks}
    candidates = []
    for k in sorted({k for _, k in by_place}):
        value = F.col(f"v_{k}")
        within = (value > F.col(f"low_{k}")) & (value < F.col(f"high_{k}"))
        candidates.append(F.when(within, F.struct(F.lit(k).alias("k"), value.alias("value"))))
    rows = [(group, k, ranks[target]) for (group, k), target in by_place.items()]
    targets = local_frame(bounded.sparkSession, rows, [("_group", "string"), ("k", "int"), ("target", "bigint")])
    so_far = W.partitionBy("_group", "k").orderBy("value").rowsBetween(W.unboundedPreceding, 0)
    hits = (
        bounded.select("_group", F.explode(F.array_compact(F.array(*candidates))).alias("c"))
        .groupBy("_group", "c.k", "c.value")
        .count()
        .withColumn("upto", F.sum("count").over(so_far))
        .join(F.broadcast(targets), ["_group", "k"])
        .filter((F.col("upto") >= F.col("target")) & (F.col("upto") - F.col("count") < F.col("target")))
        .collect()
    )
    return {by_place[row["_group"], row["k"]]: row["value"] for row in hits}

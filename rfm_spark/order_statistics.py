"""Exact order statistics of several columns, in any number of groups, without sorting the customers.

`approxQuantile` (by group `percentile_approx`, the same summary) brackets each wanted rank; one aggregate counts what
lies below and at the bracket's ends; what lies strictly inside, about 4ε of the rows, is ranked by value. So each
result is a value that occurs, the same whatever the partitions. Up to a few hundred thousand rows the summary is
simply asked for error 0, which it answers in one job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

from rfm_spark.local import local_frame

ALL, NONE = "all", "(none)"
EXACT_UP_TO = 200_000  # rows whose summary without error still is a few megabytes


@dataclass(frozen=True)
class Size:
    """How many values a column has in a group, nulls left out."""

    values: int
    distinct: int


@dataclass(frozen=True)
class Wanted:
    """One order statistic: the `rank`-th smallest value (from 1) of `column` in `group`; `slot` tells several apart."""

    group: str
    column: str
    slot: int
    rank: int


@dataclass(frozen=True)
class _Bracket:
    low: float
    high: float


_Slot = tuple[str, int]


def group_column(group_by: str | None) -> Column:
    """The group a row belongs to: `all` where nothing is grouped."""
    return F.lit(ALL) if group_by is None else F.coalesce(F.col(f"`{group_by}`").cast("string"), F.lit(NONE))


def sizes(frame: DataFrame, columns: Sequence[str], group_by: str | None) -> dict[tuple[str, str], Size]:
    """(group, column): its size. One aggregate."""
    counts = [F.count(name).alias(f"n_{i}") for i, name in enumerate(columns)]
    counts += [F.count_distinct(F.col(name)).alias(f"d_{i}") for i, name in enumerate(columns)]
    rows = frame.groupBy(group_column(group_by).alias("_group")).agg(*counts).collect()
    nobody = {(ALL, name): Size(0, 0) for name in columns} if group_by is None else {}
    found = {
        (row["_group"], name): Size(row[f"n_{i}"], row[f"d_{i}"]) for row in rows for i, name in enumerate(columns)
    }
    return nobody | found


def approximate(
    frame: DataFrame, probabilities: Mapping[str, Sequence[float]], group_by: str | None, relative_error: float
) -> dict[tuple[str, str], list[float]]:
    """(group, column): a value that occurs for each probability, its rank within relative_error. One job."""
    columns = list(probabilities)
    if group_by is None:
        grid = sorted({p for ps in probabilities.values() for p in ps})
        found = frame.approxQuantile(columns, grid, relative_error)
        return {
            (ALL, name): [values[grid.index(p)] for p in probabilities[name]]
            for name, values in zip(columns, found, strict=True)
            if values
        }
    accuracy = int(min(1 / relative_error, 2_000_000_000)) if relative_error else 2_000_000_000
    quantiles = [
        F.percentile_approx(name, F.array(*map(F.lit, ps)), F.lit(accuracy)).alias(f"q_{i}")
        for i, (name, ps) in enumerate(probabilities.items())
    ]
    rows = frame.groupBy(group_column(group_by).alias("_group")).agg(*quantiles).collect()
    return {(row["_group"], name): row[f"q_{i}"] for row in rows for i, name in enumerate(columns) if row[f"q_{i}"]}


def order_statistics(
    frame: DataFrame,
    wanted: Sequence[Wanted],
    size: Mapping[tuple[str, str], Size],
    group_by: str | None,
    relative_error: float,
) -> dict[Wanted, float]:
    """The value of each wanted rank.

    Reads: double columns without NaN; nulls are left out.
    One job up to EXACT_UP_TO rows a group; above, at most three aggregates of one pass each, the last only where a
    bracket is open. Their shuffles carry groups and the values inside the brackets, never customers.
    """
    if not wanted:
        return {}
    if max(size[want.group, want.column].values for want in wanted) <= EXACT_UP_TO:
        return _exactly(frame, wanted, size, group_by)
    brackets = _locate(frame, wanted, size, group_by, relative_error)
    slots = list(dict.fromkeys((want.column, want.slot) for want in wanted))
    bounded = _with_bounds(frame, brackets, slots, group_by)
    counts = _count(bounded, slots)
    found: dict[Wanted, float] = {}
    open_ranks: dict[Wanted, int] = {}
    for want, bracket in brackets.items():
        below, at_low, inside = counts[want.group, slots.index((want.column, want.slot))]
        rest = want.rank - below - at_low
        if 0 < rest <= inside:
            open_ranks[want] = rest
        else:
            found[want] = bracket.low if rest <= 0 else bracket.high
    return found | (_inside(bounded, open_ranks, slots) if open_ranks else {})


def _exactly(
    frame: DataFrame, wanted: Sequence[Wanted], size: Mapping[tuple[str, str], Size], group_by: str | None
) -> dict[Wanted, float]:
    """Ask the summary for error 0, in the middle of each rank so that no rounding moves it to the next."""
    place = {want: (want.rank - 0.5) / size[want.group, want.column].values for want in wanted}
    grid: dict[str, set[float]] = {}
    for want, probability in place.items():
        grid.setdefault(want.column, set()).add(probability)
    asked = {name: sorted(ps) for name, ps in grid.items()}
    found = approximate(frame, asked, group_by, 0.0)
    return {w: float(found[w.group, w.column][asked[w.column].index(p)]) for w, p in place.items()}


def _locate(
    frame: DataFrame,
    wanted: Sequence[Wanted],
    size: Mapping[tuple[str, str], Size],
    group_by: str | None,
    relative_error: float,
) -> dict[Wanted, _Bracket]:
    """A bracket around each rank: the summary asked a little lower and a little higher than the rank."""
    ends: dict[Wanted, tuple[float, float]] = {}
    grid: dict[str, set[float]] = {}
    for want in wanted:
        n = size[want.group, want.column].values
        margin = 2 * relative_error + 2 / n
        ends[want] = (max(0.0, want.rank / n - margin), min(1.0, want.rank / n + margin))
        grid.setdefault(want.column, set()).update(ends[want])
    asked = {name: sorted(ps) for name, ps in grid.items()}
    located = approximate(frame, asked, group_by, relative_error)
    brackets = {}
    for want, pair in ends.items():
        values, ps = located[want.group, want.column], asked[want.column]
        low, high = (float(values[ps.index(end)]) for end in pair)
        brackets[want] = _Bracket(low, high)
    return brackets


def _with_bounds(
    frame: DataFrame, brackets: Mapping[Wanted, _Bracket], slots: Sequence[_Slot], group_by: str | None
) -> DataFrame:
    """One column a slot with its value, and the bracket of the row's group beside it."""
    keyed = frame.select(
        group_column(group_by).alias("_group"), *(F.col(c).alias(f"v_{k}") for k, (c, _) in enumerate(slots))
    )
    bounds: dict[str, dict[str, float]] = {}
    for want, bracket in brackets.items():
        k = slots.index((want.column, want.slot))
        bounds.setdefault(want.group, {}).update({f"low_{k}": bracket.low, f"high_{k}": bracket.high})
    if group_by is None:
        return keyed.withColumns({name: F.lit(value) for name, value in bounds[ALL].items()})
    names = [f"{end}_{k}" for k in range(len(slots)) for end in ("low", "high")]
    rows = [(group, *(ends.get(name) for name in names)) for group, ends in bounds.items()]
    types = [("_group", "string"), *((name, "double") for name in names)]
    return keyed.join(F.broadcast(local_frame(frame.sparkSession, rows, types)), "_group")


def _count(bounded: DataFrame, slots: Sequence[_Slot]) -> dict[tuple[str, int], tuple[int, int, int]]:
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
        (row["_group"], k): (row[f"below_{k}"], row[f"at_{k}"], row[f"inside_{k}"])
        for row in rows
        for k in range(len(slots))
    }


def _inside(bounded: DataFrame, ranks: Mapping[Wanted, int], slots: Sequence[_Slot]) -> dict[Wanted, float]:
    """The value of each rank strictly inside its bracket."""
    by_place = {(want.group, slots.index((want.column, want.slot))): want for want in ranks}
    candidates = []
    for k in sorted({k for _, k in by_place}):
        value = F.col(f"v_{k}")
        within = (value > F.col(f"low_{k}")) & (value < F.col(f"high_{k}"))
        candidates.append(F.when(within, F.struct(F.lit(k).alias("k"), value.alias("value"))))
    rows = [(group, k, ranks[want]) for (group, k), want in by_place.items()]
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

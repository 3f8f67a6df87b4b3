"""Drift: how far a snapshot is from the one before it, in shares, scores and cut-points."""

from collections.abc import Iterable, Mapping
from math import log

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.cuts import Cuts

LEAST_SHARE = 0.0001  # what an empty class counts as, so that the index is finite


def stability_index(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index of two distributions: the sum over classes of (b - a) · ln(b / a), a and b shares.

    Rules: 0 where they are alike or one is empty; a class that is empty counts as LEAST_SHARE.
    Source: Siddiqi (2006), "Credit Risk Scorecards".
    """
    return sum(contributions(before, now).values())


def contributions(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, float]:
    """What each class adds to `stability_index`."""
    totals = sum(before.values()), sum(now.values())
    if not all(totals):
        return {}
    found = {}
    for name in dict.fromkeys([*before, *now]):
        a, b = (max(counts.get(name, 0) / n, LEAST_SHARE) for counts, n in zip((before, now), totals, strict=True))
        found[name] = (b - a) * log(b / a)
    return found


def furthest_move(before: Iterable[float], now: Iterable[float]) -> float:
    """The furthest move of a cut-point, as a share of the greater of its two values: 0 to 2; 0 where none is fitted."""
    pairs = zip(before, now, strict=False)
    return max((abs(b - a) / max(abs(a), abs(b)) for a, b in pairs if a != b), default=0.0)


def score_counts(scored: DataFrame, columns: Mapping[str, str], cuts: Mapping[str, Cuts]) -> dict[str, dict[str, int]]:
    """{criterion: {score: customers}}. Reads: `columns`, {criterion: column with its score}. One aggregate."""
    cells: dict[tuple[str, int], Column] = {
        (name, k): F.count_if(F.col(f"`{columns[name]}`") == k)
        for name, cut in cuts.items()
        for k in range(1, cut.bins + 1)
    }
    row = scored.agg(*(cell.alias(f"{name}_{k}") for (name, k), cell in cells.items())).collect()[0]
    found: dict[str, dict[str, int]] = {name: {} for name in cuts}
    for name, k in cells:
        found[name][str(k)] = row[f"{name}_{k}"]
    return found

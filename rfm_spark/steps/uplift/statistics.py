"""What a campaign changed, of the sums of `outcomes`; every number may be an array of many experiments at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rfm_spark.config.campaigns import HOLDOUT
from rfm_spark.steps.uplift.outcomes import RATE

WORKED, DID_NOT, INCONCLUSIVE = "worked", "did not", "inconclusive"
SAMPLE_RATIO_FAULT = 0.001
_FEWEST, _FEWEST_SUCCESSES = 30, 5  # in a group, without which there is no verdict
_ROUNDING = 1e-13  # of what is summed


@dataclass(frozen=True)
class Sums:
    """Sums over the people of one group: y a metric, x the same before; numbers or arrays of them."""

    n: Any
    y: Any
    yy: Any
    x: Any
    xx: Any
    xy: Any


@dataclass(frozen=True)
class Difference:
    """A difference of two means: its interval and its two-sided p-value; NaN where the groups say nothing."""

    treated: Any
    holdout: Any
    uplift: Any
    low: Any
    high: Any
    p: Any


def _moments(s: Sums):
    """n, means of y and x, and their sample variances and covariance."""
    import numpy as np

    n, y, yy, x, xx, xy = (np.asarray(v, float) for v in (s.n, s.y, s.yy, s.x, s.xx, s.xy))
    with np.errstate(divide="ignore", invalid="ignore"):
        my, mx, d = y / n, x / n, n - 1
        return (
            n,
            my,
            mx,
            np.maximum(_but_for_rounding(yy - n * my * my, yy), 0) / d,
            np.maximum(_but_for_rounding(xx - n * mx * mx, xx), 0) / d,
            _but_for_rounding(xy - n * mx * my, xy) / d,
        )


def _but_for_rounding(difference: Any, *of: Any):
    """What is left of such numbers: 0 where it is no more than their rounding, so that equals are equal."""
    import numpy as np

    return np.where(np.abs(difference) <= _ROUNDING * sum(map(np.abs, of)), 0.0, difference)


def welch(treated: Sums, holdout: Sums, confidence: float) -> Difference:
    """Welch's test and interval of the difference of two means (Welch 1947), with his degrees of freedom."""
    n1, m1, _, v1, _, _ = _moments(treated)
    n0, m0, _, v0, _, _ = _moments(holdout)
    return _difference(m1, m0, _but_for_rounding(m1 - m0, m1, m0), v1, n1, v0, n0, confidence)


def cuped(treated: Sums, holdout: Sums, confidence: float) -> Difference:
    """The same of y less what x, from before the send, foretells (Deng, Xu, Kohavi and Walker 2013).

    theta is the regression within the groups, pooled; where x does not vary it is 0, and the result is Welch's.
    """
    import numpy as np

    n1, m1, x1, v1, u1, c1 = _moments(treated)
    n0, m0, x0, v0, u0, c0 = _moments(holdout)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (n1 - 1) * u1 + (n0 - 1) * u0
        theta = np.where(spread > 0, ((n1 - 1) * c1 + (n0 - 1) * c0) / np.where(spread > 0, spread, 1), 0)
        groups = (v1, c1, u1), (v0, c0, u0)
        a1, a0 = (_but_for_rounding(v - 2 * theta * c + theta**2 * u, v, theta**2 * u) for v, c, u in groups)
        uplift = _but_for_rounding(m1 - m0 - theta * (x1 - x0), m1, m0, theta * x1, theta * x0)
    return _difference(m1, m0, uplift, a1, n1, a0, n0, confidence)


def _difference(m1, m0, uplift, v1, n1, v0, n0, confidence: float) -> Difference:
    import numpy as np
    from scipy import stats

    with np.errstate(divide="ignore", invalid="ignore"):
        e1, e0 = v1 / n1, v0 / n0
        se = np.sqrt(e1 + e0)
        df = np.where(se > 0, (e1 + e0) ** 2 / (e1**2 / (n1 - 1) + e0**2 / (n0 - 1)), 1)
        half = stats.t.ppf(0.5 + confidence / 2, df) * se
        t = np.abs(uplift) / se
        p = np.where(se > 0, 2 * stats.t.sf(t, df), np.where(np.abs(uplift) > 0, 0.0, np.nan))
        p = np.where(np.isfinite(se), p, np.nan)
    return Difference(m1, m0, uplift, uplift - half, uplift + half, p)


def bootstrap(treated: Sequence[tuple[float, float]], holdout: Sequence[tuple[float, float]], confidence: float):
    """The percentile interval of the difference of two means, from (n, sum of y) of each bucket of people.

    Rules: buckets are drawn with replacement, 2,000 times, by a fixed seed; a bucket is people by a hash of their key,
        so that it says as little of them as a draw. (nan, nan) where a group has fewer than 30 buckets.
    """
    import numpy as np

    if min(len(treated), len(holdout)) < 30:
        return float("nan"), float("nan")
    rng = np.random.default_rng(20_150_211)
    drawn = []
    for group in (treated, holdout):
        n, y = np.array(group, float).T
        times = rng.multinomial(len(n), np.full(len(n), 1 / len(n)), size=2000)
        drawn.append((times @ y) / (times @ n))
    low, high = np.quantile(drawn[0] - drawn[1], [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (1979), in the given order; None where there is none."""
    ordered = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, i) in enumerate(ordered):
        least = max(least, min(1.0, p * (len(ordered) - rank)))
        adjusted[i] = least
    return adjusted


def sample_ratio(counts: Mapping[str, int], holdout_share: float | None) -> float | None:
    """The p-value of the chi-square test that the holdout has the share it was to have; None where it had none."""
    from scipy import stats

    held, total = counts.get(HOLDOUT, 0), sum(counts.values())
    if not total or holdout_share is None or not 0 < holdout_share < 1:
        return None
    expected = [total * holdout_share, total * (1 - holdout_share)]
    return float(stats.chisquare([held, total - held], expected).pvalue)


def is_faulty(sample_ratio_p: float | None) -> bool:
    """Whether the groups are not those that were drawn: chance alone would hardly make them so unlike."""
    return sample_ratio_p is not None and sample_ratio_p < SAMPLE_RATIO_FAULT


def detectable(sd: float, treated: float, holdout: float, confidence: float, power: float) -> float | None:
    """The least difference of means that a test finds with the given power; None where a group is empty."""
    if min(treated, holdout) < 1:
        return None
    return _z(confidence, power) * sd * (1 / treated + 1 / holdout) ** 0.5


def needed(
    sd: float, difference: float, holdout_share: float, confidence: float, power: float, rate: float | None = None
) -> int | None:
    """People in all that a test needs to find a difference with the given power; None where there is none to find.

    Rules: never fewer than a verdict asks for (`_too_few`) in the smaller group; `rate`, where it is one of a rate.
    """
    from math import ceil, isfinite

    if not difference or not sd or not 0 < holdout_share < 1 or not isfinite(sd):
        return None
    spread = 1 / holdout_share + 1 / (1 - holdout_share)
    found = (_z(confidence, power) * sd / difference) ** 2 * spread
    rare = None if rate is None else min(rate, 1 - rate)
    least = max(_FEWEST, _FEWEST_SUCCESSES / rare) if rare else _FEWEST
    return ceil(max(found, least / min(holdout_share, 1 - holdout_share)))


def _z(confidence: float, power: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + confidence / 2) + NormalDist().inv_cdf(power)


def pooled_sd(treated: Sums, holdout: Sums) -> float:
    """The standard deviation within the groups."""
    n1, _, _, v1, _, _ = _moments(treated)
    n0, _, _, v0, _, _ = _moments(holdout)
    degrees = float(n1 + n0 - 2)
    return float(((n1 - 1) * v1 + (n0 - 1) * v0) / degrees) ** 0.5 if degrees > 0 else float("nan")


def verdict(
    metric: str,
    found: Difference,
    p_adjusted: float | None,
    sizes: tuple[int, int],
    *,
    false_alarms: float,
    worthwhile: float,
    sample_ratio_p: float | None = None,
    early: bool = False,
    randomised: bool = True,
) -> tuple[str, str]:
    """(worked, did not or inconclusive; why), by the adjusted p-value and the interval.

    Rules: worked, where the uplift is above 0 beyond doubt; did not, where it is below 0 beyond doubt, or the interval
        leaves out any uplift that would pay (`worthwhile`, 0 where a contact costs nothing); no verdict where the
        groups were not drawn or are not of the sizes drawn, too few people are there, or it is too early.
    """
    low, high, uplift = float(found.low), float(found.high), float(found.uplift)
    if not randomised:
        return INCONCLUSIVE, "chance did not decide who was treated, so the difference is no effect of it"
    few = _too_few(metric, found, sizes)
    if is_faulty(sample_ratio_p):
        return INCONCLUSIVE, "the groups do not have the sizes they were drawn with: the assignment is at fault"
    if few:
        return INCONCLUSIVE, few
    if early:
        return INCONCLUSIVE, "the window is not over, and no look before its end is planned"
    if p_adjusted is not None and p_adjusted < false_alarms and uplift != 0:
        return (WORKED, "more than without it") if uplift > 0 else (DID_NOT, "less than without it")
    if high == high and high < worthwhile and p_adjusted is not None:
        return DID_NOT, "whatever it did is too little to pay"
    if p_adjusted is None or low != low:
        return INCONCLUSIVE, "nobody in it did anything that differs"
    return INCONCLUSIVE, "chance alone could have made the difference"


def pooled_rate(treated: float, holdout: float, sizes: tuple[int, int]) -> float:
    """The rate of both groups together."""
    return (treated * sizes[0] + holdout * sizes[1]) / sum(sizes)


def _too_few(metric: str, found: Difference, sizes: tuple[int, int]) -> str | None:
    least = min(sizes)
    if least < _FEWEST:
        return f"fewer than {_FEWEST} people in a group"
    if metric == RATE:
        rate = pooled_rate(float(found.treated), float(found.holdout), sizes)
        if min(rate, 1 - rate) * least < _FEWEST_SUCCESSES:
            return f"fewer than {_FEWEST_SUCCESSES} successes, or failures, are to be expected in a group"
    return None

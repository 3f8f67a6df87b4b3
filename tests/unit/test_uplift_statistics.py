"""The statistics of `measure` on simulated campaigns whose effect is known; vectorised, no JVM."""

import math
from decimal import Decimal

import pytest

pytest.importorskip("scipy", reason="the extra measure installs it")
import numpy as np
from scipy import stats

from rfm_spark.steps import uplift
from rfm_spark.steps.uplift import DID_NOT, INCONCLUSIVE, RATE, VALUE, WORKED, Difference, Sums

SIMULATIONS, TREATED, HELD_OUT = 1000, 1500, 1000


def of_people(y, x=None) -> Sums:
    """The sums of people given as the last axis of arrays."""
    y = np.asarray(y, float)
    x = np.zeros_like(y) if x is None else np.asarray(x, float)
    return Sums(y.shape[-1], y.sum(-1), (y * y).sum(-1), x.sum(-1), (x * x).sum(-1), (x * y).sum(-1))


def simulated(effect: float, seed: int):
    """Money before and after of many campaigns at once: most buy nothing, amounts are skewed, habits persist."""
    rng = np.random.default_rng(seed)

    def group(n, more):
        habit = rng.gamma(1.0, 1.0, (SIMULATIONS, n))
        before, after = (
            np.where(
                rng.random((SIMULATIONS, n)) < 1 - np.exp(-0.4 * habit), habit * rng.gamma(4, 5, (SIMULATIONS, n)), 0
            )
            for _ in "ba"
        )
        # the effect is random too: some buy who would not have
        return before, after + np.where(rng.random((SIMULATIONS, n)) < 0.1, more * 10, 0)

    (x1, y1), (x0, y0) = group(TREATED, effect), group(HELD_OUT, 0)
    return of_people(y1, x1), of_people(y0, x0)


@pytest.mark.parametrize("estimate", [uplift.welch, uplift.cuped])
@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_the_interval_covers_the_known_effect(estimate, effect):
    found = estimate(*simulated(effect, seed=20), 0.95)
    covered = np.mean((found.low <= effect) & (effect <= found.high))
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("estimate", [uplift.welch, uplift.cuped])
def test_where_nothing_was_changed_few_campaigns_win(estimate):
    found = estimate(*simulated(0.0, seed=21), 0.95)
    called = [_verdict(found, i) for i in range(SIMULATIONS)]
    assert np.mean([word != INCONCLUSIVE for word in called]) <= 0.06


def test_rates_are_covered_and_seldom_called_in_error():
    rng = np.random.default_rng(22)
    y1, y0 = (rng.random((SIMULATIONS, n)) < p for n, p in ((TREATED, 0.11), (HELD_OUT, 0.08)))
    found = uplift.welch(of_people(y1), of_people(y0), 0.95)
    assert 0.93 <= np.mean((found.low <= 0.03) & (found.high >= 0.03)) <= 0.97
    same = uplift.welch(of_people(rng.random((SIMULATIONS, TREATED)) < 0.08), of_people(y0), 0.95)
    assert np.mean([_verdict(same, i, RATE) != INCONCLUSIVE for i in range(SIMULATIONS)]) <= 0.06


def _verdict(found: Difference, i: int, metric: str = VALUE) -> str:
    one = Difference(
        *(np.asarray(v)[i] for v in (found.treated, found.holdout, found.uplift, found.low, found.high, found.p))
    )
    return uplift.verdict(metric, one, float(one.p), (TREATED, HELD_OUT), false_alarms=0.05, worthwhile=0.0)[0]


def test_an_adjustment_narrows_the_interval_and_leaves_the_effect():
    treated, holdout = simulated(1.5, seed=23)
    plain, adjusted = uplift.welch(treated, holdout, 0.95), uplift.cuped(treated, holdout, 0.95)
    assert np.mean(adjusted.high - adjusted.low) < 0.95 * np.mean(plain.high - plain.low)
    assert abs(np.mean(adjusted.uplift) - 1.5) < 0.1


def test_welch_is_scipys():
    rng = np.random.default_rng(24)
    for _ in range(50):
        a, b = rng.gamma(1, 30, rng.integers(2, 60)), rng.gamma(1, 25, rng.integers(2, 60))
        found, theirs = uplift.welch(of_people(a), of_people(b), 0.9), stats.ttest_ind(a, b, equal_var=False)
        assert float(found.p) == pytest.approx(theirs.pvalue, rel=1e-9)
        ends = theirs.confidence_interval(0.9)
        assert (float(found.low), float(found.high)) == pytest.approx((ends.low, ends.high), rel=1e-9)


@pytest.mark.parametrize("estimate", [uplift.welch, uplift.cuped])
def test_where_everybody_does_the_same_rounding_is_no_effect(estimate):
    def of_equals(n: int) -> Sums:
        y, x = Decimal("10.10"), Decimal("3.30")
        return Sums(n, *(float(n * each) for each in (y, y * y, x, x * x, x * y)))

    sizes = [(n, m) for n in range(2, 60) for m in (30, 37, 100)]
    found = [estimate(of_equals(n), of_equals(m), 0.95) for n, m in sizes]
    assert {(float(one.uplift), math.isnan(one.p)) for one in found} == {(0.0, True)}


@pytest.mark.slow
def test_the_bootstrap_covers_the_known_effect_too():
    rng, covered = np.random.default_rng(25), 0
    for _ in range(200):
        groups = [rng.gamma(0.5, 20, n) + more for n, more in ((600, 2.0), (300, 0.0))]
        low, high = uplift.bootstrap(*([(1, y) for y in group] for group in groups), 0.95)
        covered += low <= 2.0 <= high
    assert 0.90 <= covered / 200 <= 0.99
    assert all(map(math.isnan, uplift.bootstrap([(1, 2.0)] * 29, [(1, 1.0)] * 99, 0.95)))


def test_faults_of_the_sample_ratio_are_caught_and_a_fair_draw_is_not():
    rng = np.random.default_rng(26)
    fair = [
        uplift.sample_ratio({"treatment": 10_000 - int(n), "holdout": int(n)}, 0.1)
        for n in rng.binomial(10_000, 0.1, 2000)
    ]
    assert sum(p < uplift.SAMPLE_RATIO_FAULT for p in fair) <= 8
    lost = [
        uplift.sample_ratio({"treatment": 9_000, "holdout": int(n * 0.8)}, 0.1) for n in rng.binomial(10_000, 0.1, 200)
    ]
    assert sum(p < uplift.SAMPLE_RATIO_FAULT for p in lost) >= 190
    assert uplift.sample_ratio({"treatment": 5, "holdout": 5}, None) is None
    strong = Difference(0.5, 0.1, 0.4, 0.3, 0.5, 1e-9)
    assert (
        uplift.verdict(RATE, strong, 1e-9, (9000, 800), false_alarms=0.05, worthwhile=0, sample_ratio_p=1e-6)[0]
        == INCONCLUSIVE
    )


def test_the_words_of_a_verdict():
    def word(found, p=0.5, sizes=(500, 500), **more):
        return uplift.verdict(VALUE, found, p, sizes, **{"false_alarms": 0.05, "worthwhile": 0.4, **more})[0]

    assert word(Difference(2, 1, 1, 0.5, 1.5, 0.001), 0.001) == WORKED
    assert word(Difference(1, 2, -1, -1.5, -0.5, 0.001), 0.001) == DID_NOT
    assert word(Difference(1, 1, 0, -0.3, 0.3, 0.9)) == DID_NOT, "even the best of it would not pay"
    assert word(Difference(1, 1, 0.1, -0.5, 0.7, 0.6)) == INCONCLUSIVE
    assert word(Difference(2, 1, 1, 0.5, 1.5, 0.001), 0.001, early=True) == INCONCLUSIVE
    assert word(Difference(2, 1, 1, 0.5, 1.5, 0.001), 0.001, (29, 500)) == INCONCLUSIVE
    assert word(Difference(2, 1, 1, 0.5, 1.5, 0.03), 0.06) == INCONCLUSIVE, "adjusted for the others"
    assert word(Difference(0, 0, 0, 0, 0, math.nan), None) == INCONCLUSIVE


def test_several_at_once_are_corrected():
    assert uplift.holm([0.01, None, 0.04, 0.03]) == [
        pytest.approx(0.03),
        None,
        pytest.approx(0.06),
        pytest.approx(0.06),
    ]
    assert uplift.holm([]) == []
    rng = np.random.default_rng(27)
    errors = sum(min(uplift.holm(list(rng.random(8)))) < 0.05 for _ in range(2000))
    assert errors / 2000 <= 0.06


def test_the_size_that_is_needed_finds_the_effect_as_often_as_asked():
    people = uplift.needed(sd=20.0, difference=2.0, holdout_share=0.2, confidence=0.95, power=0.8)
    assert uplift.detectable(20.0, people * 0.8, people * 0.2, 0.95, 0.8) == pytest.approx(2.0, rel=0.01)
    rng = np.random.default_rng(28)
    y1, y0 = (rng.normal(m, 20, (1000, round(people * s))) for m, s in ((2.0, 0.8), (0.0, 0.2)))
    assert 0.76 <= np.mean(uplift.welch(of_people(y1), of_people(y0), 0.95).p < 0.05) <= 0.84
    assert uplift.needed(20.0, 0.0, 0.2, 0.95, 0.8) is None
    assert uplift.detectable(20.0, 0, 5, 0.95, 0.8) is None


@pytest.mark.parametrize("metric", [RATE, VALUE])
@pytest.mark.parametrize(("share", "rate"), [(0.1, 0.03), (0.5, 0.98), (0.8, 0.4), (0.3, 0.07)])
def test_the_size_that_is_needed_is_one_that_a_verdict_takes(metric, share, rate):
    told = rate if metric == RATE else None
    people = uplift.needed(sd=0.1, difference=0.9, holdout_share=share, confidence=0.95, power=0.8, rate=told)
    held = round(people * share)
    found = Difference(rate, rate, 0.9, 0.8, 1.0, 1e-9)
    word, why = uplift.verdict(metric, found, 1e-9, (people - held, held), false_alarms=0.05, worthwhile=0.0)
    assert word == WORKED, why
    assert people <= 5 / 0.02 / min(share, 1 - share) + 1

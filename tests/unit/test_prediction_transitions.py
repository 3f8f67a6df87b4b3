"""The chain between segments: by hand, and against powers of a known matrix."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from rfm_spark.steps.prediction.transitions import GONE, NEW, Move, transitions

JANUARY, FEBRUARY, MARCH, APRIL = (date(2024, month, 1) for month in (1, 2, 3, 4))


def moves(since, until, **flows):
    names = {"new": NEW, "gone": GONE}
    pairs = {tuple(names.get(part, part) for part in key.split("_")): n for key, n in flows.items()}
    return [Move(since, until, origin, target, n) for (origin, target), n in pairs.items()]


def test_by_hand():
    """Ten of a stay or go to b; two newcomers a month; the last month is forecast from those before."""
    chain = transitions(
        [
            *moves(JANUARY, FEBRUARY, a_a=8, a_b=2, b_b=5, new_a=1),
            *moves(FEBRUARY, MARCH, a_a=6, a_b=3, b_b=6, b_gone=1, new_a=3),
        ]
    )
    assert chain.now == {"a": 9, "b": 9}
    assert (chain.periods, chain.period_days, chain.until) == (2, 29, MARCH)
    assert chain.probabilities() == {("a", "a"): 14 / 19, ("a", "b"): 5 / 19, ("b", "b"): 11 / 12, ("b", GONE): 1 / 12}
    assert chain.expected == pytest.approx({"a": 9 * 14 / 19 + 2, "b": 9 * 5 / 19 + 9 * 11 / 12})
    assert chain.tested == pytest.approx({"a": 9 * 0.8 + 1, "b": 9 * 0.2 + 7})
    assert chain.naive == {"a": 9, "b": 7}
    assert chain.off(chain.naive) == pytest.approx(2 / 2 / 18)
    assert chain.off(chain.tested) == pytest.approx((0.8 + 0.2) / 2 / 18)


def test_one_pair_has_no_back_test_and_none_no_chain():
    chain = transitions(moves(JANUARY, FEBRUARY, a_a=8, a_b=2))
    assert chain.tested == {}
    assert chain.off(chain.tested) is None
    assert chain.expected == pytest.approx({"a": 6.4, "b": 3.6})  # who came into b has not been seen to leave
    assert transitions([]) is None


def test_periods_of_other_lengths_are_left_out():
    year = moves(date(2023, 1, 1), JANUARY, a_b=100)
    chain = transitions([*year, *moves(JANUARY, FEBRUARY, a_a=9, a_b=1), *moves(FEBRUARY, MARCH, a_a=8, a_b=1, b_b=1)])
    assert chain.periods == 2
    assert chain.flows["a", "b"] == 2


def test_a_known_matrix_is_recovered_and_forecasts():
    """Many customers who move by it: three periods, and the fourth is forecast within a thousandth."""
    true, sizes = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]), np.array([5e6, 3e6, 2e6])
    days, all_moves = [JANUARY, FEBRUARY, MARCH, APRIL], []
    for since, until in pairwise(days):
        flows = np.rint(sizes[:, None] * true).astype(int)
        all_moves += [Move(since, until, str(i), str(j), int(flows[i, j])) for i in range(3) for j in range(3)]
        sizes = flows.sum(axis=0)
    chain = transitions(all_moves)
    assert [chain.expected[str(i)] for i in range(3)] == pytest.approx(list(sizes @ true), rel=1e-4)
    assert chain.off(chain.tested) < 1e-5 < chain.off(chain.naive)

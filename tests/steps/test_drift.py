"""Drift: the population stability index against a published example, and the furthest move of a cut-point."""

from math import log

import pytest

from rfm_spark.cuts import Cuts
from rfm_spark.local import local_frame
from rfm_spark.steps import drift


def test_the_index_is_that_of_the_definition():
    """Twenty in a hundred become thirty: (0.3 - 0.2) ln(0.3 / 0.2) + (0.7 - 0.8) ln(0.7 / 0.8)."""
    expected = 0.1 * log(1.5) - 0.1 * log(0.875)
    assert drift.stability_index({"a": 20, "b": 80}, {"a": 3, "b": 7}) == pytest.approx(expected)
    assert drift.stability_index({"a": 20, "b": 80}, {"b": 8, "a": 2}) == pytest.approx(0.0, abs=1e-12)


def test_an_empty_class_is_a_large_shift_and_no_fault():
    both = {"a": 50, "b": 50}, {"a": 100}
    assert drift.stability_index(*both) == drift.stability_index(*reversed(both)) > 3
    assert drift.stability_index({}, {"a": 1}) == drift.stability_index({"a": 0}, {"a": 1}) == 0


def test_the_furthest_move_is_a_share_of_the_greater_value():
    assert drift.furthest_move([10, 100], [8, 101]) == pytest.approx(0.2)
    assert drift.furthest_move([0, 1], [5, 1]) == 1
    assert drift.furthest_move([-1], [1]) == 2
    assert drift.furthest_move([0.0], [0.0]) == drift.furthest_move([], [3.0]) == 0


def test_scores_are_counted_by_criterion(spark):
    frame = local_frame(spark, [(1, 2), (1, 1), (3, None)], [("r_score", "int"), ("f_score", "int")])
    cuts = {name: Cuts("x", "high", bins, None, {}) for name, bins in [("r", 3), ("f", 2)]}
    found = drift.score_counts(frame, {"r": "r_score", "f": "f_score"}, cuts)
    assert found == {"r": {"1": 2, "2": 0, "3": 1}, "f": {"1": 1, "2": 1}}

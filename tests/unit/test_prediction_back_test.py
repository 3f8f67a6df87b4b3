"""The back-test: BTYD's published forecasts by frequency, and small cases by hand."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from rfm_spark.steps.prediction import back_test, orders
from rfm_spark.steps.prediction.back_test import HeldOut

DATA = Path(__file__).parents[1] / "data"
CDNOW = np.genfromtxt(DATA / "cdnow_predictions_expected.csv.gz", delimiter=",", names=True, dtype=None, encoding=None)
CUSTOMERS = [1411, 439, 214, 100, 62, 38, 29, 64]
ACTUAL = [0.2367, 0.6970, 1.3925, 1.5600, 2.5323, 2.9474, 3.8621, 6.3594]
PUBLISHED = {
    "bg_nbd": ((0.24259453, 4.41360198, 0.79292198, 2.42590685), [
        0.2251, 0.5231, 1.0441, 1.5203, 2.1638, 2.6538, 3.5040, 6.1570,
    ], 5e-4),
    "pareto_nbd": ((0.5534, 10.5802, 0.6061, 11.6562), [
        0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403,
    ], 2e-3),
}  # fmt: skip


def held_of(**columns) -> HeldOut:
    n = len(columns["x"])
    given = {name: np.array(values, dtype=float) for name, values in columns.items()}
    return HeldOut({name: np.ones(n) for name in ("customers", "held_orders")} | given, 30)


@pytest.mark.parametrize("name", PUBLISHED)
def test_by_frequency_as_published(name):
    at, expected, within = PUBLISHED[name]
    held = held_of(x=CDNOW["x"], held_orders=CDNOW["holdout"])
    forecast = orders.MODELS[name].expected_orders(at, held["x"], CDNOW["t_x_days"] / 7, CDNOW["T_days"] / 7, 39.0)
    found = back_test.by_frequency(held, {name: forecast})
    assert [one.customers for one in found] == CUSTOMERS
    assert [one.actual for one in found] == pytest.approx(ACTUAL, abs=1e-4)
    assert [one.forecasts[name] for one in found] == pytest.approx(expected, abs=within)


def test_errors_by_hand():
    """Three customers in two rows: two came once where 0.5 was forecast, one three times where 5 was."""
    held = held_of(x=[0, 4], customers=[2, 1], held_orders=[1, 3])
    said = back_test.judged("some", np.array([0.5, 5.0]), held)
    assert (said.total, said.error) == (6.0, pytest.approx(0.2))
    assert said.mae == pytest.approx((0.5 * 2 + 2) / 3)
    assert said.rmse == pytest.approx(((0.25 * 2 + 4) / 3) ** 0.5)
    nobody = back_test.judged("some", np.array([0.5, 5.0]), held_of(x=[0, 4], held_orders=[0, 0]))
    assert nobody.error == float("inf")


def test_naive_rules_by_hand():
    held = held_of(
        x=[2, 2, 0], t_x_days=[30, 20, 0], T_days=[60, 40, 50], customers=[1, 3, 1], held_orders=[1, 0, 0],
        last_orders=[1, 6, 0], missed=[0, 6, 0], missed_squared=[0, 12, 0],
    )  # fmt: skip
    last = back_test.last_period(held)
    assert (last.total, last.mae) == (7.0, 6 / 5)
    assert back_test.segment_mean(held) == pytest.approx([30 * 8 / 180, 30 * 8 / 180, 0])


def test_tenths_keep_equal_forecasts_together():
    held = held_of(x=np.arange(100) % 3, held_orders=np.arange(100))
    found = back_test.by_decile(held, np.repeat([3.0, 2.0, 1.0], [50, 30, 20]), {})
    assert [(one.name, one.customers) for one in found] == [("3", 50), ("7", 30), ("10", 20)]
    single = back_test.by_decile(held, -np.arange(100.0), {})
    assert [one.customers for one in single] == [10] * 10
    assert single[0].actual == pytest.approx(4.5)

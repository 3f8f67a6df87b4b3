"""Every model fitted and back-tested, and which of them to believe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from rfm_spark.config.prediction import BASELINE, VALUE_MODEL, Prediction
from rfm_spark.steps.prediction import back_test, gamma_gamma, orders
from rfm_spark.steps.prediction.back_test import Class, Forecast, HeldOut
from rfm_spark.steps.prediction.gamma_gamma import Spends
from rfm_spark.steps.prediction.model import Statistics
from rfm_spark.steps.prediction.numeric import Array
from rfm_spark.steps.prediction.optimise import Fitted
from rfm_spark.steps.prediction.transitions import Transitions


@dataclass(frozen=True)
class Fits:
    """One model: fitted on the days of calibration, and on all days before as_of."""

    calibration: Fitted
    refit: Fitted

    @property
    def problem(self) -> str | None:
        """What keeps it from being used; None where nothing does."""
        told = [*self.calibration.problems, *(f"of all days, {one}" for one in self.refit.problems)]
        return "; ".join(told) or None


@dataclass(frozen=True)
class BackTest:
    """What each model said of the days held out, which one is chosen, and what the naive rules say.

    `near` is whether any usable model's total is within the tolerance, of which `chosen` then is one.
    `churn` is the best model whose P(alive) of who bought once is not 1 by its form, None where there is none.
    `value` is (actual, forecast) of the amount, by the chosen model and Gamma-Gamma; None without the latter.
    """

    held: HeldOut
    forecasts: Mapping[str, Forecast]
    naive: Sequence[Forecast]
    by_frequency: Sequence[Class]
    by_decile: Sequence[Class]
    chosen: str
    near: bool
    churn: str | None
    value: tuple[float, float] | None


@dataclass(frozen=True)
class SegmentForecast:
    """One segmentation: the rows of `segment_forecasts`, and the chain; None without two snapshots."""

    rows: Sequence[Mapping[str, Any]]
    chain: Transitions | None


@dataclass
class Outcome:
    """One run of `predict`, for people: spans, models, back-test, and what became of it."""

    as_of: date
    calibration_end: date
    last_day: date
    horizon_days: int
    unit: str
    customers: int
    distinct: int
    calibrated_distinct: int
    fits: Mapping[str, Fits]
    back_test: BackTest
    correlation: float | None = None
    segments: Mapping[str, SegmentForecast] = field(default_factory=dict)


def fit_all(
    asked: Prediction,
    calibration: tuple[Statistics, Spends],
    all_days: tuple[Statistics, Spends],
) -> dict[str, Fits]:
    """The baseline, then each model that is asked for, on both spans."""
    base = [orders.fit(orders.MODELS[BASELINE], statistics) for statistics, _ in (calibration, all_days)]
    fits = {BASELINE: Fits(*base)}
    for name in asked.order_models:
        spans = zip((calibration, all_days), base, strict=True)
        fits[name] = Fits(*(orders.fit(orders.MODELS[name], span[0], baseline) for span, baseline in spans))
    if VALUE_MODEL in asked.models and min(len(spans[1].x) for spans in (calibration, all_days)) > len(
        gamma_gamma.PARAMETERS
    ):
        fits[VALUE_MODEL] = Fits(*(gamma_gamma.fit(span[1]) for span in (calibration, all_days)))
    return fits


def back_tested(fits: Mapping[str, Fits], held: HeldOut, unit_days: float, tolerance: float) -> BackTest | None:
    """Every model of orders against the days held out; None where not even the baseline is identified.

    Rules: chosen is, of the models that are identified, the one with the least root mean square error of a customer's
        orders among those whose total is within the tolerance, or among all where none is; at a tie the earlier one.
    """
    rows = Statistics(held["x"], held["t_x_days"] / unit_days, held["T_days"] / unit_days, held["customers"])
    expected = {
        name: _expected(name, fit.calibration, rows, held.days / unit_days)
        for name, fit in fits.items()
        if name != VALUE_MODEL
    }
    forecasts = {name: back_test.judged(name, forecast, held) for name, forecast in expected.items()}
    usable = [name for name in forecasts if fits[name].problem is None]
    if not usable:
        return None
    near = [name for name in usable if abs(forecasts[name].error) <= tolerance]
    chosen = min(near or usable, key=lambda name: forecasts[name].rmse)
    doubting = [name for name in usable if _doubts(name)]
    churn = min(doubting, key=lambda name: forecasts[name].rmse, default=None)
    segments = back_test.segment_mean(held)
    shown = {name: expected[name] for name in usable} | {back_test.SEGMENT_MEAN: segments}
    return BackTest(
        held=held,
        forecasts=forecasts,
        naive=[back_test.last_period(held), back_test.judged(back_test.SEGMENT_MEAN, segments, held)],
        by_frequency=back_test.by_frequency(held, shown),
        by_decile=back_test.by_decile(held, expected[chosen], shown),
        chosen=chosen,
        near=bool(near),
        churn=churn,
        value=_value(fits.get(VALUE_MODEL), held, expected[chosen]),
    )


def _expected(name: str, fitted: Fitted, rows: Statistics, t: float) -> Array:
    model = orders.MODELS[name]
    parts = orders.in_chunks(rows)
    return np.concatenate([model.expected_orders(fitted.values, p.x, p.t_x, p.T, t) for p in parts])


def _doubts(name: str) -> bool:
    model = orders.MODELS[name]
    return model.drops_out and not model.artefact


def _value(fits: Fits | None, held: HeldOut, expected: Array) -> tuple[float, float] | None:
    """The conditional mean is linear in what somebody spent, so the sums of each row are enough."""
    if fits is None or not fits.calibration.identified:
        return None
    p, q, v = fits.calibration.values
    means = p * (v * held["customers"] + held["spend"]) / (p * held["x"] + q - 1)
    return float(held["held_spend"].sum()), float(expected @ means)

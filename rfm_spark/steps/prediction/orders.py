"""Order models fitted to customers, and what they say of each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rfm_spark.steps.prediction.beta_geometric import BG_NBD, MBG_NBD
from rfm_spark.steps.prediction.model import OrderModel, Statistics
from rfm_spark.steps.prediction.nbd import NBD
from rfm_spark.steps.prediction.numeric import Array
from rfm_spark.steps.prediction.optimise import Climb, Fitted, maximise
from rfm_spark.steps.prediction.pareto_nbd import PARETO_NBD

MODELS = {model.name: model for model in (BG_NBD, MBG_NBD, PARETO_NBD, NBD)}
COARSE_ROWS = 1_000
TOLD_APART = 3.841  # twice the gain in log-likelihood that one more parameter brings by chance in a twentieth of cases
_CHUNK = 50_000


def fit(model: OrderModel, statistics: Statistics, baseline: Fitted | None = None) -> Fitted:
    """The model's parameters, of the greatest likelihood of these customers.

    Reads: `baseline`, the NBD of the same customers, which every model that lets customers leave has as a limit.
    Rules: dropout that gains less on the baseline than chance would is not identified, and that is a problem.
    """
    few = statistics.thinned(COARSE_ROWS)

    def total(of: Statistics, parameters: Sequence[float]) -> Climb:
        by = [float(part @ of.customers) for part in model.gradient(parameters, of.x, of.t_x, of.T)]
        return float(model.log_likelihood(parameters, of.x, of.t_x, of.T) @ of.customers), by

    found = maximise(
        model.parameters,
        model.shapes,
        lambda at: total(statistics, at),
        lambda at: total(few, at),
        _starts(model, statistics, baseline),
        statistics.size,
    )
    if baseline is None or not model.drops_out:
        return found
    gain = found.log_likelihood - baseline.log_likelihood
    if 2 * gain >= TOLD_APART:
        return found
    told = f"dropout is not identified: it gains {gain:.3f} of log-likelihood on the NBD, where nobody leaves"
    return replace(found, problems=(told, *found.problems))


def _starts(model: OrderModel, statistics: Statistics, baseline: Fitted | None) -> list[tuple[float, ...]]:
    """Deterministic, in the customers' own units: dropout seldom, often, alike for all, and very unlike."""
    length = float(statistics.T @ statistics.customers) / statistics.size or 1.0
    rate = max(float(statistics.x @ statistics.customers) / statistics.size, 1e-3) / length
    r, alpha = baseline.values if baseline is not None else (0.5, 0.5 / rate)
    if not model.drops_out:
        return [(0.5, 0.5 / rate), (2.0, 2.0 / rate), (0.1, 0.1 / rate)]
    if "s" in model.parameters:
        return [
            (r, alpha, 0.5, length / 2),
            (1.5 * r, alpha, 0.5, length / 4),
            (r, alpha, 2.0, 10 * length),
            (r, alpha, 0.1, length),
        ]
    return [(r, alpha, 0.5, 2.0), (1.5 * r, alpha, 1.0, 3.0), (r, alpha, 0.1, 2.0), (r, alpha, 5.0, 50.0)]


def quantile(model: OrderModel, parameters: Sequence[float], rows: Statistics, t: float, share: float) -> Array:
    """The smallest number of orders within t that is not exceeded with at least this chance, of each row."""
    found = np.zeros(len(rows.x))
    left = np.arange(len(rows.x))
    low, high = np.zeros(len(left)), np.ones(len(left))

    def exceeded(which: Array, n: Array) -> Array:
        x, t_x, T = rows.x[which], rows.t_x[which], rows.T[which]
        return model.at_least(parameters, x, t_x, T, t, n + 1) > 1 - share

    above = exceeded(left, low)
    left, low, high = left[above], low[above], high[above]
    open_ = np.ones(len(left), dtype=bool)  # double until it is not exceeded, then halve between
    while open_.any():
        more = exceeded(left[open_], high[open_])
        at = np.flatnonzero(open_)
        low[at[more]] = high[at[more]]
        high[at[more]] *= 2
        open_[at[~more]] = False
    while (wide := high - low > 1).any():
        middle = np.floor((low[wide] + high[wide]) / 2)
        more = exceeded(left[wide], middle)
        at = np.flatnonzero(wide)
        low[at[more]], high[at[~more]] = middle[more], middle[~more]
    found[left] = high
    return found


def discounted(
    model: OrderModel, parameters: Sequence[float], rows: Statistics, t: float, month: float, rate: float
) -> Array:
    """Expected orders within t, those of each month discounted at its end by the rate a month.

    The last month ends at t. At a rate of 0 it is `expected_orders`.
    """
    if rate == 0:
        return model.expected_orders(parameters, rows.x, rows.t_x, rows.T, t)
    ends = [*np.arange(month, t - 1e-9, month), t]
    total, before = np.zeros(len(rows.x)), np.zeros(len(rows.x))
    for end in ends:
        until = model.expected_orders(parameters, rows.x, rows.t_x, rows.T, float(end))
        total += (until - before) / (1 + rate) ** (end / month)
        before = until
    return total


def in_chunks(rows: Statistics) -> list[Statistics]:
    """The same rows in parts that need little memory each."""
    return [
        Statistics(*(column[at : at + _CHUNK] for column in (rows.x, rows.t_x, rows.T, rows.customers)))
        for at in range(0, len(rows.x), _CHUNK)
    ]

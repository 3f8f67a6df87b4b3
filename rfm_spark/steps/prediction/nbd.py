"""NBD: buying without end, at a rate that differs between customers (Ehrenberg 1959): the honest baseline."""

from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, digamma, gammaln

from rfm_spark.steps.prediction.model import OrderModel
from rfm_spark.steps.prediction.numeric import Array

Parameters = Sequence[float]


def log_likelihood(parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    """ln Γ(r+x) - ln Γ(r) + r ln α - (r+x) ln(α+T)."""
    r, alpha = parameters
    return gammaln(r + x) - gammaln(r) - r * np.log1p(T / alpha) - x * np.log(alpha + T)


def _gradient(parameters: Parameters, x: Array, t_x: Array, T: Array) -> tuple[Array, ...]:
    r, alpha = parameters
    by_alpha = r * T / alpha / (alpha + T) - x / (alpha + T)
    return digamma(r + x) - digamma(r) - np.log1p(T / alpha), by_alpha


def none_within(r: Array, alpha: Array, t: Array | float) -> Array:
    """The chance of no order within t at rates of Gamma(r, alpha): (α / (α+t))^r."""
    return np.exp(-r * np.log1p(t / alpha))


def at_least_within(n: Array, r: Array, alpha: Array, t: Array | float) -> Array:
    """The chance of n or more orders within t at rates of Gamma(r, alpha)."""
    return betainc(n, r, t / (alpha + t))


def _alive(parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    return np.ones_like(x)


def _expected(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha = parameters
    return (r + x) / (alpha + T) * t


def _none(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha = parameters
    return none_within(r + x, alpha + T, t)


def _at_least(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float, n: Array) -> Array:
    r, alpha = parameters
    return at_least_within(n, r + x, alpha + T, t)


NBD = OrderModel(
    name="nbd",
    parameters=("r", "alpha"),
    shapes=("r",),
    log_likelihood=log_likelihood,
    gradient=_gradient,
    p_alive=_alive,
    expected_orders=_expected,
    p_no_purchase=_none,
    at_least=_at_least,
    expected_new=lambda parameters, t: parameters[0] / parameters[1] * t,
    drops_out=False,
)

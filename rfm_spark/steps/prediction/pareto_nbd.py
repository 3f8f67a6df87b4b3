"""Pareto/NBD (Schmittlein, Morrison and Colombo 1987): orders at a rate of Gamma(r, α), a life that ends at a rate of
Gamma(s, β)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import digamma, expit, gammaln

from rfm_spark.steps.prediction.model import OrderModel
from rfm_spark.steps.prediction.nbd import at_least_within, none_within
from rfm_spark.steps.prediction.numeric import LARGEST_EXPONENT, Array, gap, legendre

LIKELIHOOD_NODES, FORECAST_NODES, INTERVAL_NODES = 24, 32, 12
Parameters = Sequence[float]


def _deaths(parameters: Parameters, x: Array, t_x: Array, T: Array) -> tuple[Array, Array, Array]:
    """Nodes of the time τ at which somebody may have died, with their weights; and ln of the integral over it.

    That is s ∫ (α+τ)^-(r+x) (β+τ)^-(s+1) dτ from t_x to T, which the papers write as the difference of two
    hypergeometric functions; here nothing is subtracted. It is taken over ln(α+τ), up to where no weight is left.
    """
    r, alpha, s, beta = parameters
    ratio = np.minimum((alpha + t_x) / (beta + t_x), (alpha + T) / (beta + T))
    decay = np.maximum(r + x - 1 + (s + 1) * ratio, 1e-9)
    width = np.minimum(np.log((alpha + T) / (alpha + t_x)), LARGEST_EXPONENT / decay)
    at, weights = legendre(LIKELIHOOD_NODES)
    v = at[:, None] * width
    since = (alpha + t_x) * np.expm1(v)
    inside = -(r + x - 1) * v - (s + 1) * np.log(beta + t_x + since)
    most = inside.max(axis=0)
    parts = weights[:, None] * np.exp(inside - most)
    total = parts.sum(axis=0)
    with np.errstate(divide="ignore"):
        scale = np.log(width)  # -inf where the last order is at T
    logs = np.log(s) - (r + x - 1) * np.log(alpha + t_x) + most + np.log(total) + scale
    return t_x + since, parts / total, logs


def _log_died(parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    return _deaths(parameters, x, t_x, T)[2]


def _log_lives(parameters: Parameters, x: Array, T: Array) -> Array:
    r, alpha, s, beta = parameters
    return -(r + x) * np.log(alpha + T) - s * np.log(beta + T)


def log_likelihood(parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    """ln of Γ(r+x)/Γ(r) α^r β^s [ (α+T)^-(r+x) (β+T)^-s + who died before T ]."""
    r, alpha, s, beta = parameters
    either = np.logaddexp(_log_lives(parameters, x, T), _log_died(parameters, x, t_x, T))
    return gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + either


def _gradient(parameters: Parameters, x: Array, t_x: Array, T: Array) -> tuple[Array, ...]:
    r, alpha, s, beta = parameters
    died_at, weights, log_died = _deaths(parameters, x, t_x, T)
    alive = expit(_log_lives(parameters, x, T) - log_died)
    dead = 1 - alive

    def mean(of: Array) -> Array:
        return (weights * of).sum(axis=0)

    by_r = digamma(r + x) - digamma(r) + np.log(alpha) - alive * np.log(alpha + T)
    by_alpha = r / alpha - alive * (r + x) / (alpha + T) - dead * (r + x) * mean(1 / (alpha + died_at))
    by_s = np.log(beta) - alive * np.log(beta + T) + dead * (1 / s - mean(np.log(beta + died_at)))
    by_beta = s / beta - alive * s / (beta + T) - dead * (s + 1) * mean(1 / (beta + died_at))
    return by_r - dead * mean(np.log(alpha + died_at)), by_alpha, by_s, by_beta


def p_alive(parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    """The share of the likelihood that is of the living."""
    return expit(_log_lives(parameters, x, T) - _log_died(parameters, x, t_x, T))


def _expected(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha, s, beta = parameters
    return p_alive(parameters, x, t_x, T) * (r + x) / (alpha + T) * _lifetime(s, beta + T, t)


def _lifetime(s: float, beta: Array, t: float) -> Array:
    """Expected life within t: β/(s-1) (1 - (β/(β+t))^(s-1)), and its limit at s = 1."""
    logs = np.log1p(t / beta)
    return beta * logs * gap((s - 1) * logs)


def _mean_over_lives(parameters: Parameters, T: Array, t: float, nodes: int, of: Callable[[Array], Array]) -> Array:
    """E[of(u)] over the time u that somebody who is alive at T lives on, at most t."""
    _, _, s, beta = parameters
    log_survives = -s * np.log1p(t / (beta + T))
    dies, (at, weights) = -np.expm1(log_survives), legendre(nodes)
    total = np.exp(log_survives) * of(np.full_like(T, t))
    for node, weight in zip(at, weights, strict=True):
        lives = (beta + T) * np.expm1(-np.log1p(-node * dies) / s)
        total = total + weight * dies * of(np.minimum(lives, t))
    return total


def _none(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha = parameters[:2]
    silent = _mean_over_lives(parameters, T, t, FORECAST_NODES, lambda u: none_within(r + x, alpha + T, u))
    return 1 - p_alive(parameters, x, t_x, T) * (1 - silent)


def _at_least(parameters: Parameters, x: Array, t_x: Array, T: Array, t: float, n: Array) -> Array:
    r, alpha = parameters[:2]
    enough = _mean_over_lives(parameters, T, t, INTERVAL_NODES, lambda u: at_least_within(n, r + x, alpha + T, u))
    return p_alive(parameters, x, t_x, T) * enough


def _new(parameters: Parameters, t: float) -> float:
    r, alpha, s, beta = parameters
    return r / alpha * float(_lifetime(s, np.array([beta]), t)[0])


PARETO_NBD = OrderModel(
    name="pareto_nbd",
    parameters=("r", "alpha", "s", "beta"),
    shapes=("r", "s"),
    log_likelihood=log_likelihood,
    gradient=_gradient,
    p_alive=p_alive,
    expected_orders=_expected,
    p_no_purchase=_none,
    at_least=_at_least,
    expected_new=_new,
)

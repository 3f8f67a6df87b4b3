"""BG/NBD (Fader, Hardie and Lee 2005) and MBG/NBD (Batislam, Denizel and Filiztekin 2007).

Both: orders at a rate of Gamma(r, α), and after each order a chance p of Beta(a, b) to leave for good; MBG/NBD has that
chance after the first order too, BG/NBD only after repeated ones, so to it who bought once is always alive.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import betaln, digamma, expit, gammaln

from rfm_spark.steps.prediction.model import OrderModel
from rfm_spark.steps.prediction.nbd import at_least_within, none_within
from rfm_spark.steps.prediction.numeric import Array, beta_nodes

NODES = 48
Parameters = Sequence[float]


def log_odds_of_death(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    """ln of P(dead at T) / P(alive at T); `first` is 1 where the first order can be the last, else 0."""
    r, alpha, a, b = parameters
    stayed = b + x + first - 1
    if not first:
        stayed = np.where(x > 0, stayed, 1.0)
    odds = np.log(a) - np.log(stayed) + (r + x) * np.log((alpha + T) / (alpha + t_x))
    return odds if first else np.where(x > 0, odds, -np.inf)


def _log_likelihood(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    r, alpha, a, b = parameters
    alive = gammaln(r + x) - gammaln(r) - r * np.log1p(T / alpha) - x * np.log(alpha + T)
    alive = alive + betaln(a, b + x + first) - betaln(a, b)
    return alive + np.logaddexp(0.0, log_odds_of_death(first, parameters, x, t_x, T))


def _gradient(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array) -> tuple[Array, ...]:
    r, alpha, a, b = parameters
    dead = expit(log_odds_of_death(first, parameters, x, t_x, T))
    until, last = alpha + T, alpha + t_x
    by_r = digamma(r + x) - digamma(r) - np.log1p(T / alpha) + dead * np.log(until / last)
    by_alpha = r * T / alpha / until - x / until + dead * (r + x) * (1 / until - 1 / last)
    both = digamma(a + b) - digamma(a + b + x + first)
    stayed = np.where(x + first > 0, b + x + first - 1, 1.0)
    by_b = both + digamma(b + x + first) - digamma(b) - dead / stayed
    return by_r, by_alpha, both + dead / a, by_b


def _alive(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array) -> Array:
    return expit(-log_odds_of_death(first, parameters, x, t_x, T))


def _while_alive(r: Array, alpha: Array, a: float, b: Array, t: float) -> Array:
    """Expected orders within t of who is alive, with p of Beta(a, b): E[(1 - (α/(α+pt))^r) / p].

    The same as the papers' hypergeometric function, which overflows for frequent buyers, and at a = 1 divides by 0.
    """
    kinds, which = np.unique(b, return_inverse=True)
    rules = [beta_nodes(a, float(kind), NODES) for kind in kinds]
    at, weights = np.array([rule[0] for rule in rules]), np.array([rule[1] for rule in rules])
    p = np.maximum(at, 1e-300)[which]
    each = -np.expm1(-r[:, None] * np.log1p(p * (t / alpha)[:, None])) / p
    return (weights[which] * each).sum(axis=1)


def _expected(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha, a, b = parameters
    alive = _alive(first, parameters, x, t_x, T)
    return alive * _while_alive(r + x, alpha + T, a, b + x + first, t)


def _none(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array, t: float) -> Array:
    r, alpha = parameters[:2]
    alive = _alive(first, parameters, x, t_x, T)
    return 1 - alive * (1 - none_within(r + x, alpha + T, t))


def _at_least(first: int, parameters: Parameters, x: Array, t_x: Array, T: Array, t: float, n: Array) -> Array:
    """Who is alive makes n orders where there is time for them and none of the first n - 1 was the last."""
    r, alpha, a, b = parameters
    stays = np.exp(betaln(a, b + x + first + n - 1) - betaln(a, b + x + first))
    return _alive(first, parameters, x, t_x, T) * stays * at_least_within(n, r + x, alpha + T, t)


def _new(first: int, parameters: Parameters, t: float) -> float:
    r, alpha, a, b = parameters
    stays = b / (a + b) if first else 1.0
    return stays * float(_while_alive(np.array([r]), np.array([alpha]), a, np.array([b + first]), t)[0])


def _model(name: str, first: int) -> OrderModel:
    return OrderModel(
        name=name,
        parameters=("r", "alpha", "a", "b"),
        shapes=("r", "a", "b"),
        log_likelihood=partial(_log_likelihood, first),
        gradient=partial(_gradient, first),
        p_alive=partial(_alive, first),
        expected_orders=partial(_expected, first),
        p_no_purchase=partial(_none, first),
        at_least=partial(_at_least, first),
        expected_new=partial(_new, first),
        artefact=not first,
    )


BG_NBD = _model("bg_nbd", 0)
MBG_NBD = _model("mbg_nbd", 1)

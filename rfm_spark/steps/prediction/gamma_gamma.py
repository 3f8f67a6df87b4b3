"""Gamma-Gamma: what an order is worth, where that does not go with how often one orders (Fader and Hardie 2013)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, gammaln

from rfm_spark.steps.prediction.numeric import Array
from rfm_spark.steps.prediction.optimise import Climb, Fitted, maximise

PARAMETERS = ("p", "q", "v")  # v is the papers' γ
COARSE_ROWS = 20_000
INDEPENDENT = 0.3  # a correlation of orders and their mean value beyond which the two are not


@dataclass(frozen=True)
class Spends:
    """One row a kind of repeat buyers: x orders of mean value `mean`, mean logarithm `log_mean`, so many customers."""

    x: Array
    mean: Array
    log_mean: Array
    customers: Array

    @classmethod
    def of(cls, x: object, mean: object, customers: object = None, log_mean: object = None) -> "Spends":
        """From anything numpy takes; without counts each row is a customer."""
        orders, value = np.asarray(x, dtype=float), np.asarray(mean, dtype=float)
        counts = np.ones_like(orders) if customers is None else np.asarray(customers, dtype=float)
        return cls(orders, value, np.log(value) if log_mean is None else np.asarray(log_mean, dtype=float), counts)


def log_likelihood(parameters: Sequence[float], spends: Spends) -> Array:
    """ln of Γ(px+q)/(Γ(px)Γ(q)) γ^q m^(px-1) x^(px) / (γ + mx)^(px+q), of each row."""
    p, q, v = parameters
    x, px = spends.x, p * spends.x
    total = np.log(v) + np.log1p(spends.mean * x / v)
    ends = q * np.log(v) + (px - 1) * spends.log_mean + px * np.log(x) - (px + q) * total
    return gammaln(px + q) - gammaln(px) - gammaln(q) + ends


def gradient(parameters: Sequence[float], spends: Spends) -> tuple[Array, ...]:
    """Of `log_likelihood`, by each parameter."""
    p, q, v = parameters
    x, px, total = spends.x, p * spends.x, v + spends.mean * spends.x
    both = digamma(px + q)
    by_p = x * (both - digamma(px) + spends.log_mean + np.log(x / total))
    return by_p, both - digamma(q) + np.log(v / total), q / v - (px + q) / total


def fit(spends: Spends) -> Fitted:
    """The parameters of repeat buyers who spent something, as all money is in one currency and unit.

    Rules: money is counted in mean values while the search is on, so that its bounds mean the same in any currency.
    """
    size = float(spends.customers.sum())
    unit = float((spends.mean * spends.customers).sum()) / size
    scaled = Spends(spends.x, spends.mean / unit, spends.log_mean - np.log(unit), spends.customers)
    step = -(-len(scaled.x) // COARSE_ROWS)
    order = np.lexsort((scaled.mean, scaled.x))[::step]
    few = Spends(scaled.x[order], scaled.mean[order], scaled.log_mean[order], scaled.customers[order])

    def total(of: Spends, parameters: Sequence[float]) -> Climb:
        by = [float(part @ of.customers) for part in gradient(parameters, of)]
        return float(log_likelihood(parameters, of) @ of.customers), by

    starts = [(1.0, 2.0, 1.0), (6.0, 4.0, 0.5), (2.0, 3.0, 10.0), (20.0, 2.0, 0.05)]
    found = maximise(
        PARAMETERS, ("p", "q"), lambda at: total(scaled, at), lambda at: total(few, at), starts, customers=size
    )
    (p, q, v), (*errors, error) = found.values, found.standard_errors
    problems = found.problems
    if q <= 1:
        problems = (*problems, f"q is {q:.2f}, at most 1: the mean value of an order has no end")
    return replace(
        found,
        values=(p, q, v * unit),
        standard_errors=(*errors, error * unit),
        log_likelihood=found.log_likelihood - size * float(np.log(unit)),
        problems=problems,
    )


def population_mean(parameters: Sequence[float]) -> float:
    """The mean value of an order of somebody of whom nothing is known: pγ/(q-1)."""
    p, q, v = parameters
    return p * v / (q - 1)


def conditional_mean(parameters: Sequence[float], x: Array, mean: Array) -> Array:
    """The expected value of an order of somebody with x orders of this mean: p(γ + mx) / (px + q - 1)."""
    p, q, v = parameters
    return p * (v + mean * x) / (p * x + q - 1)


def correlation(spends: Spends) -> float:
    """Pearson's, of the number of orders and their mean value; 0 where one of them does not vary."""
    w = spends.customers / spends.customers.sum()
    dx, dm = spends.x - w @ spends.x, spends.mean - w @ spends.mean
    spread = float(np.sqrt((w @ dx**2) * (w @ dm**2)))
    return float(w @ (dx * dm)) / spread if spread > 0 else 0.0

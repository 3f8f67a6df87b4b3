"""What an order model is: its likelihood, and what it says of a customer with x, t_x and T."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rfm_spark.steps.prediction.numeric import Array

Likelihood = Callable[[Sequence[float], Array, Array, Array], Array]
Gradient = Callable[[Sequence[float], Array, Array, Array], tuple[Array, ...]]
Forecast = Callable[[Sequence[float], Array, Array, Array, float], Array]
AtLeast = Callable[[Sequence[float], Array, Array, Array, float, Array], Array]


@dataclass(frozen=True)
class OrderModel:
    """A model of repeat purchase days. All functions take the parameters in order, then x, t_x and T as arrays.

    `log_likelihood` of each customer, without the factor that holds no parameter, and its `gradient` by each
    parameter. `p_alive` at T. Over the next t:
    `expected_orders`; `p_no_purchase`; `at_least`, the chance of n or more orders (n from 1 on).
    `expected_new(parameters, t)` is what somebody who has just come orders again within t. `shapes` are the parameters
    without a unit, the others are in units of time. `artefact`: everybody who bought once is alive to it, by its form.
    """

    name: str
    parameters: tuple[str, ...]
    shapes: tuple[str, ...]
    log_likelihood: Likelihood
    gradient: Gradient
    p_alive: Likelihood
    expected_orders: Forecast
    p_no_purchase: Forecast
    at_least: AtLeast
    expected_new: Callable[[Sequence[float], float], float]
    drops_out: bool = True
    artefact: bool = False


@dataclass(frozen=True)
class Statistics:
    """One row a distinct (x, t_x, T), in units of time, with the customers that share it."""

    x: Array
    t_x: Array
    T: Array
    customers: Array

    @classmethod
    def of(cls, x: object, t_x: object, T: object, customers: object = None) -> "Statistics":
        """From anything numpy takes; without counts each row is a customer."""
        rows = np.asarray(x, dtype=float)
        counts = np.ones_like(rows) if customers is None else np.asarray(customers, dtype=float)
        return cls(rows, np.asarray(t_x, dtype=float), np.asarray(T, dtype=float), counts)

    @property
    def size(self) -> float:
        """How many customers."""
        return float(self.customers.sum())

    def thinned(self, rows: int) -> "Statistics":
        """Every so-manieth row, so that at most `rows` are left: enough to tell starting points apart."""
        step = -(-len(self.x) // rows)
        order = np.lexsort((self.T, self.t_x, self.x))[::step]
        return Statistics(self.x[order], self.t_x[order], self.T[order], self.customers[order])

"""The back-test: what models and naive rules forecast of days that were held out, against what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rfm_spark.steps.prediction.numeric import Array

FREQUENT = 7  # classes of frequency are 0 to 6, and 7 and more
LAST_PERIOD, SEGMENT_MEAN = "last_period", "segment_mean"
_RECENCY_CLASSES = 4


@dataclass(frozen=True)
class HeldOut:
    """One row a kind of customers and what they did: arrays by the column names of `statistics.held_out`."""

    columns: Mapping[str, Array]
    days: int

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    @property
    def customers(self) -> float:
        """How many."""
        return float(self["customers"].sum())

    @property
    def orders(self) -> float:
        """What they ordered in the days held out."""
        return float((self["customers"] * self["held_orders"]).sum())

    @property
    def frequency(self) -> Array:
        """The class of frequency of each row."""
        return np.minimum(self["x"], FREQUENT).astype(int)


@dataclass(frozen=True)
class Forecast:
    """What one model or rule says in all, and how far it is off: of the total, and a customer."""

    name: str
    total: float
    error: float
    mae: float
    rmse: float


@dataclass(frozen=True)
class Class:
    """What came from one class of customers, a customer, and what each model forecast of it."""

    name: str
    customers: float
    actual: float
    forecasts: Mapping[str, float]


def judged(name: str, forecast: Array, held: HeldOut) -> Forecast:
    """A forecast of each row's customers against what they did."""
    n, off = held["customers"], np.abs(forecast - held["held_orders"])
    return _forecast(name, float(n @ forecast), float(n @ off), float(n @ off**2), held)


def last_period(held: HeldOut) -> Forecast:
    """Everybody orders again as often as in the as many days before, first purchases left out."""
    total, missed, squared = (float(held[column].sum()) for column in ("last_orders", "missed", "missed_squared"))
    return _forecast(LAST_PERIOD, total, missed, squared, held)


def _forecast(name: str, total: float, missed: float, squared: float, held: HeldOut) -> Forecast:
    actual, customers = held.orders, held.customers
    error = (total - actual) / actual if actual else float("inf")
    return Forecast(name, total, error, missed / customers, float(np.sqrt(squared / customers)))


def segment_mean(held: HeldOut) -> Array:
    """Everybody orders at the mean rate of who bought as often, and had been away for a like share of the time.

    Rules: segments are the classes of frequency by four classes of (T - t_x) / T; a rate is repeat days by days.
    """
    T = np.maximum(held["T_days"], 1)
    away = np.minimum((_RECENCY_CLASSES * (T - held["t_x_days"]) / T).astype(int), _RECENCY_CLASSES - 1)
    kind = held.frequency * _RECENCY_CLASSES + away
    orders = np.bincount(kind, held["customers"] * held["x"])
    days = np.maximum(np.bincount(kind, held["customers"] * T), 1)
    return (orders / days)[kind] * held.days


def by_frequency(held: HeldOut, forecasts: Mapping[str, Array]) -> list[Class]:
    """What came, and what each forecast says, by purchase days but the first: 0, 1, …, 7 and more."""
    names = [f"{k}+" if k == FREQUENT else str(k) for k in range(FREQUENT + 1)]
    return _classes(held, held.frequency, names, forecasts)


def by_decile(held: HeldOut, ranked: Array, forecasts: Mapping[str, Array]) -> list[Class]:
    """The same by tenths of the customers, those first of whom `ranked` expects most; equal forecasts stay together."""
    order = np.argsort(-ranked, kind="stable")
    _, same = np.unique(-ranked[order], return_inverse=True)
    sizes = np.bincount(same, held["customers"][order])
    middle = np.cumsum(sizes) - sizes / 2
    tenth = np.empty(len(ranked), dtype=int)
    tenth[order] = np.minimum((10 * middle / held.customers).astype(int), 9)[same]
    return _classes(held, tenth, [str(k + 1) for k in range(10)], forecasts)


def _classes(held: HeldOut, kind: Array, names: Sequence[str], forecasts: Mapping[str, Array]) -> list[Class]:
    n, k = held["customers"], len(names)
    sizes = np.bincount(kind, n, k)
    came = np.bincount(kind, n * held["held_orders"], k)
    said = {name: np.bincount(kind, n * forecast, k) for name, forecast in forecasts.items()}
    return [
        Class(names[i], float(sizes[i]), float(came[i] / sizes[i]), {m: float(said[m][i] / sizes[i]) for m in said})
        for i in range(k)
        if sizes[i]
    ]

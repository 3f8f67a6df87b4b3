"""The distinct statistics of `statistics`, on the driver; no customer is among them."""

from collections.abc import Mapping

import numpy as np
from pyspark.sql import DataFrame

from rfm_spark.steps.prediction import statistics
from rfm_spark.steps.prediction.gamma_gamma import Spends
from rfm_spark.steps.prediction.model import Statistics
from rfm_spark.steps.prediction.numeric import Array


def columns(frame: DataFrame) -> dict[str, Array]:
    """The columns of a compressed frame on the driver, in an order that does not depend on partitions."""
    table = frame.toArrow()
    found = {name: table.column(name).to_numpy() for name in table.column_names}
    order = np.lexsort([column for column in reversed(found.values()) if column.dtype.kind in "iu"])
    return {name: column[order].astype(float) for name, column in found.items()}


def in_units(found: Mapping[str, Array], days: float) -> Statistics:
    """Distinct statistics in units of time, with the customers of each."""
    keys = np.stack([found[name] for name in statistics.KEY])
    distinct, which = np.unique(keys, axis=1, return_inverse=True)
    customers = np.bincount(which.ravel(), found["customers"])
    return Statistics(distinct[0], distinct[1] / days, distinct[2] / days, customers)


def spends(customers: DataFrame, x: str, spend: str) -> Spends:
    """The kinds of repeat buyers by these columns of `statistics.statistics`."""
    found = columns(statistics.spends(customers, x, spend))
    order = np.lexsort((found["mean"], found["x"]))
    return Spends(*(found[name][order] for name in ("x", "mean", "log_mean", "customers")))

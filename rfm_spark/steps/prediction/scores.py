"""Scores: what the models say of each distinct (x, t_x, T), and of each customer who has it."""

from collections.abc import Mapping
from datetime import date

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.prediction import DAYS, Prediction
from rfm_spark.schemas import UNASSIGNED
from rfm_spark.steps.prediction import orders
from rfm_spark.steps.prediction.model import Statistics
from rfm_spark.steps.prediction.numeric import Array
from rfm_spark.steps.prediction.optimise import Fitted
from rfm_spark.steps.prediction.statistics import KEY

SURE = 0.95  # of either end of the interval of orders


def scored(
    fits: Mapping[str, Fitted], kinds: Mapping[str, Array], asked: Prediction, horizon_days: int
) -> dict[str, Array | list[str]]:
    """One row a model and kind of customers: columns model, x, t_x_days, T_days and what the model says of them.

    Reads: `kinds`, the distinct statistics in days. Returns: p_alive, expected_orders, discounted_orders,
        p_no_purchase, orders_low, orders_high.
    """
    unit = asked.days_a_unit
    t, month, rate = horizon_days / unit, DAYS["month"] / unit, (1 + asked.discount_rate) ** (1 / 12) - 1
    rows = Statistics.of(kinds["x"], kinds["t_x_days"] / unit, kinds["T_days"] / unit)
    columns: dict[str, list] = {}
    for name, fitted in fits.items():
        model, at = orders.MODELS[name], fitted.values
        for part in orders.in_chunks(rows):
            known = (at, part.x, part.t_x, part.T)
            said = {
                "p_alive": model.p_alive(*known),
                "expected_orders": model.expected_orders(*known, t),
                "discounted_orders": orders.discounted(model, at, part, t, month, rate),
                "p_no_purchase": model.p_no_purchase(*known, t),
                "orders_low": orders.quantile(model, at, part, t, 1 - SURE).astype(np.int64),
                "orders_high": orders.quantile(model, at, part, t, SURE).astype(np.int64),
            }
            for column, values in said.items():
                columns.setdefault(column, []).append(values)
    keys = {name: np.tile(kinds[name].astype(np.int32), len(fits)) for name in KEY}
    models = [name for name in fits for _ in range(len(rows.x))]
    return {"model": models, **keys, **{name: np.concatenate(parts) for name, parts in columns.items()}}


def predictions(
    customers: DataFrame, kinds: DataFrame, value: Fitted | None, as_of: date, horizon_days: int
) -> DataFrame:
    """One row a customer and model, as `predictions`.

    Reads: `statistics.statistics`; `kinds`, a frame of `scored`; `value`, Gamma-Gamma where it is identified.
    Rules: an order is worth what Gamma-Gamma expects of the customer's mean, nothing below 0; expected_value is that by
        the (discounted) orders. One join on (x, t_x_days, T_days), of which `kinds` is the small side.
    """
    worth = _worth(value).alias("order_value")
    known = customers.select("customer_key", *KEY, worth)
    return known.join(kinds, list(KEY)).select(
        F.lit(as_of).alias("snapshot_date"),
        "model",
        "customer_key",
        "p_alive",
        "expected_orders",
        (F.col("discounted_orders") * F.col("order_value")).alias("expected_value"),
        "p_no_purchase",
        "orders_low",
        "orders_high",
        "order_value",
        F.lit(horizon_days).cast("int").alias("horizon_days"),
    )


def _worth(value: Fitted | None) -> Column:
    if value is None:
        return F.lit(None).cast("double")
    p, q, v = (F.lit(one) for one in value.values)
    return p * (v + F.greatest("spend", F.lit(0.0))) / (p * F.col("x") + q - F.lit(1.0))


def totals(predicted: DataFrame, segments: DataFrame) -> DataFrame:
    """One row a segmentation and segment: customers, those with orders, and the sums of what is predicted of them.

    Reads: predictions of one model; `customer_segments` of one snapshot. One join by customer.
    """
    named = F.coalesce("segment", F.lit(UNASSIGNED)).alias("segment")
    return (
        segments.select("segmentation", named, "customer_key")
        .join(predicted, "customer_key", "left")
        .groupBy("segmentation", "segment")
        .agg(
            F.count(F.lit(1)).alias("customers"),
            _total(F.col("p_alive")).alias("alive"),
            _total(F.col("expected_orders")).alias("expected_orders"),
            _total(F.col("expected_value")).alias("expected_value"),
            _total(F.lit(1) - F.col("p_no_purchase")).alias("buyers"),
        )
        .orderBy("segmentation", "segment")
    )


def _total(column: Column) -> Column:
    """A sum without the last digits, which depend on the order of the rows."""
    return F.round(F.sum(column), 6)

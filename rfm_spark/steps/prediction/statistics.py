"""Sufficient statistics: what of a customer's orders the likelihoods know, per customer and compressed."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import RefundPolicy

KEY = ("x", "t_x_days", "T_days")
HELD = tuple(f"calibration_{name}" for name in KEY)
FINEST = 10_000  # values of an order are told apart to a ten-thousandth of themselves
CENT, FRACTION = 100, 10**9  # parts of the currency's unit, and of a logarithm


def statistics(activity: DataFrame, policy: RefundPolicy, calibration_end: date, last_day: date) -> DataFrame:
    """One row a customer with a counted order.

    Reads: `activity.activity`, before the day after `last_day`.
    Returns: customer_key; of all days x (purchase days but the first), t_x_days (from the first to the last purchase
        day), T_days (from the first purchase day to last_day), spend (net amount after the first purchase day); the
        same up to calibration_end as calibration_x, calibration_t_x_days, calibration_T_days, calibration_spend, null
        of who came later; held_orders and held_spend, purchase days and amount after it; last_orders, of the as many
        days before.
    Rules: orders of one day are one purchase day; an order that the refund policy takes away makes none. Where refunds
        count on their own day they reduce the spend of any day after the first. Amounts of the first day count nowhere.
    No shuffle: activity is partitioned by customer_key.
    """
    held_days = (last_day - calibration_end).days
    counted = F.col("orders") > 0
    counts = counted | F.lit(policy == "net_on_refund_date")
    days = (
        activity.filter(counts & F.col("activity_date").isNotNull())
        .groupBy("customer_key", "activity_date")
        .agg(F.max(counted.cast("int")).alias("bought"), F.sum("amount").alias("amount"))
    )
    firsts = days.filter("bought = 1").groupBy("customer_key").agg(F.min("activity_date").alias("first_date"))
    since = days.join(firsts, "customer_key").filter(F.col("activity_date") >= F.col("first_date"))
    day, first, end = F.col("activity_date"), F.col("first_date"), F.lit(calibration_end)
    bought, again = F.col("bought") == 1, day > first
    last = (day <= end) & (day > F.lit(calibration_end - timedelta(days=held_days))) & again
    summed = since.groupBy("customer_key", "first_date").agg(
        F.count_if(bought & again).alias("x"),
        F.max(F.when(bought, day)).alias("_last"),
        _spent(again).alias("spend"),
        F.count_if(bought & again & (day <= end)).alias("_x"),
        F.max(F.when(bought & (day <= end), day)).alias("_until"),
        _spent(again & (day <= end)).alias("_spend"),
        F.count_if(bought & (day > end)).alias("_held"),
        _spent(day > end).alias("_held_spend"),
        F.count_if(bought & last).alias("_recent"),
    )
    known = first <= end

    def calibrated(column: Column) -> Column:
        return F.when(known, column)

    return summed.select(
        "customer_key",
        F.col("x").cast("int").alias("x"),
        F.datediff("_last", first).alias("t_x_days"),
        F.datediff(F.lit(last_day), first).alias("T_days"),
        "spend",
        calibrated(F.col("_x")).cast("int").alias("calibration_x"),
        calibrated(F.datediff("_until", first)).alias("calibration_t_x_days"),
        calibrated(F.datediff(end, first)).alias("calibration_T_days"),
        calibrated(F.col("_spend")).alias("calibration_spend"),
        calibrated(F.col("_held")).cast("int").alias("held_orders"),
        calibrated(F.col("_held_spend")).alias("held_spend"),
        calibrated(F.col("_recent")).cast("int").alias("last_orders"),
    )


def _spent(where: Column) -> Column:
    """Exact to the cent, and then a double as the models take it."""
    return F.coalesce(F.sum(F.when(where, F.col("amount"))), F.lit(0)).cast("double")


def compressed(customers: DataFrame) -> DataFrame:
    """One row a distinct (x, t_x_days, T_days) of all days, with `customers`. One shuffle, of a row a kind and task."""
    return customers.groupBy(*KEY).agg(F.count(F.lit(1)).alias("customers"))


def held_out(customers: DataFrame) -> DataFrame:
    """One row a distinct (x, t_x_days, T_days) up to calibration_end and number of orders after it, `held_orders`.

    Returns: those, customers, spend (repeated, up to calibration_end, nothing below 0), held_spend, and of the orders
        of the last days before it last_orders, missed (sum of |last_orders - held_orders|) and missed_squared.
    One shuffle, of a row a kind and task.
    """
    missed = F.col("last_orders") - F.col("held_orders")
    return (
        customers.filter(F.col("calibration_x").isNotNull())
        .groupBy(*(F.col(theirs).alias(name) for theirs, name in zip(HELD, KEY, strict=True)), "held_orders")
        .agg(
            F.count(F.lit(1)).alias("customers"),
            _summed(F.greatest("calibration_spend", F.lit(0.0)), CENT).alias("spend"),
            _summed(F.col("held_spend"), CENT).alias("held_spend"),
            F.sum("last_orders").alias("last_orders"),
            F.sum(F.abs(missed)).alias("missed"),
            F.sum(missed * missed).alias("missed_squared"),
        )
    )


def spends(customers: DataFrame, x: str, spend: str) -> DataFrame:
    """One row a number of repeat orders x and a mean value of them, to a ten-thousandth: x, mean, log_mean, customers.

    Reads: the columns with x and their spend. Rules: who spent nothing again is left out; mean and log_mean are those
    of the customers of a row, so that the grid matters to no digit of a fit. One shuffle, of a row a kind and task.
    """
    mean = F.col(spend) / F.col(x)
    rows = customers.filter((F.col(x) > 0) & (F.col(spend) > 0)).select(
        F.col(x).alias("x"), F.col(spend).alias("spend"), F.log(mean).alias("log_value")
    )
    kind = F.floor(F.col("log_value") * FINEST).alias("kind")
    return (
        rows.groupBy("x", kind)
        .agg(
            (_summed(F.col("spend"), CENT) / F.count(F.lit(1)) / F.col("x")).alias("mean"),
            (_summed(F.col("log_value"), FRACTION) / F.count(F.lit(1))).alias("log_mean"),
            F.count(F.lit(1)).alias("customers"),
        )
        .drop("kind")
    )


def _summed(column: Column, parts: int) -> Column:
    """A sum of so-manieth parts as whole numbers: the same in whatever order the rows come."""
    return F.sum(F.round(column * parts).cast("bigint")) / F.lit(float(parts))

"""Rates: dated currency rates as spans of validity."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W


def spans(rates: DataFrame) -> DataFrame:
    """One row a currency and date it changed on: currency, valid_from, valid_to (exclusive), rate.

    Reads: clean rows of `contract.judge_rates`. Rules: a rate holds until the next one of its currency, the last for
        ever; of two rates of one day the greater is used. One shuffle by currency.
    """
    daily = rates.groupBy("currency", "date").agg(F.max("rate").alias("rate"))
    following = F.lead("date").over(W.partitionBy("currency").orderBy("date"))
    return daily.select(
        "currency",
        F.col("date").alias("valid_from"),
        F.coalesce(following, F.lit(date(9999, 12, 31))).alias("valid_to"),
        "rate",
    )

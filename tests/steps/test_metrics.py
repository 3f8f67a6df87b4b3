"""Metrics: each by its definition, on the days where a definition turns; money exact or refused."""

from datetime import date
from decimal import Decimal

import pytest

from rfm_spark.config.scoring import Criterion
from rfm_spark.errors import ConfigError
from rfm_spark.local import local_frame

BOUNDARIES = [date(2023, 1, 1), date(2023, 7, 1), date(2024, 1, 1)]
COLUMNS = [
    ("customer_key", "string"), ("activity_date", "date"), ("orders", "int"), ("amount", "decimal(28,2)"),
    ("contacts", "bigint"), ("engagements", "bigint"), ("duration_seconds", "bigint"),
]  # fmt: skip


def order(customer: str, day: date | None, amount: str, orders: int = 1) -> tuple:
    return (customer, day, orders, Decimal(amount), 0, 0, 0)


ACTIVITY = [
    order("edges", date(2022, 12, 31), "100.00"),  # the day before the period
    order("edges", date(2023, 1, 1), "0.10"),  # its first day
    order("edges", date(2023, 6, 30), "0.20"),  # the last of the first half
    order("edges", date(2023, 7, 1), "0.70"),  # the first of the second
    order("edges", date(2023, 12, 31), "0.20"),  # the last
    order("old", date(2021, 1, 1), "50.00"),
    order("refunded", date(2022, 6, 1), "9.00"),
    order("refunded", date(2023, 6, 1), "-9.00", orders=0),  # money back, and no order in the period
    ("reader", date(2023, 3, 1), 0, Decimal("0.00"), 2, 1, 60),
    ("reader", date(2022, 3, 1), 0, Decimal("0.00"), 5, 5, 600),  # before the period
    order("free", date(2023, 5, 5), "0.00"),
    order("nothing counts", None, "3.00", orders=0),
]
PROFILES = [("edges", None, "UK"), ("known", date(2023, 12, 31), "FR"), ("later", date(2024, 1, 1), "DE")]
PROFILE_COLUMNS = [("customer_key", "string"), ("profile_date", "date"), ("country", "string")]


@pytest.fixture
def measured(spark):
    from rfm_spark.steps import metrics

    activity = local_frame(spark, ACTIVITY, COLUMNS)
    return metrics.metrics(activity, local_frame(spark, PROFILES, PROFILE_COLUMNS), BOUNDARIES)


def test_metrics_and_attributes(measured):
    rows = {row["customer_key"]: row.asDict() for row in measured.collect()}
    assert rows.keys() == {"edges", "old", "refunded", "reader", "free", "nothing counts", "known"}

    edges = rows["edges"]
    assert (edges["recency_days"], edges["tenure_days"], edges["frequency"]) == (1, 366, 4)
    assert (edges["monetary"], edges["monetary_q1"], edges["monetary_q2"]) == tuple(
        map(Decimal, ("1.20", "0.30", "0.90"))
    )
    assert (edges["orders_q1"], edges["orders_q2"]) == (2, 2)
    assert edges["average_order_value"] == pytest.approx(0.3)
    assert edges["mean_gap_days"] == pytest.approx(364 / 3)
    assert edges["momentum"] == pytest.approx((0.9 - 0.3) / 1.2)
    assert edges["country"] == "UK"

    for name, recency in (("old", 1095), ("refunded", 579)):
        row = rows[name]
        assert (row["recency_days"], row["frequency"], row["monetary"]) == (recency, 0, Decimal("0.00"))
        assert (row["average_order_value"], row["mean_gap_days"], row["momentum"]) == (None, None, None)
    reader = rows["reader"]
    assert (reader["contacts"], reader["engagements"], reader["duration_seconds"]) == (2, 1, 60)
    assert (reader["recency_days"], reader["contact_recency_days"]) == (None, 306)
    free = rows["free"]
    assert (free["frequency"], free["monetary"], free["average_order_value"]) == (1, Decimal("0.00"), 0.0)
    assert (free["mean_gap_days"], free["momentum"]) == (None, None)
    for name in ("nothing counts", "known"):
        row = rows[name]
        assert (row["recency_days"], row["frequency"], row["monetary"], row["contacts"]) == (None, 0, Decimal(0), 0)
    assert rows["known"]["country"] == "FR"  # known the day before as_of; who is known later is not there


def test_criteria_in_sql(measured):
    """NaN and -0.0 reach no cut; a condition is 1 or 0."""
    from rfm_spark.steps import metrics

    sql = {
        "ratio": "case when frequency = 0 then double('NaN') else average_order_value end",
        "negative_zero": "frequency * -0.0d",
        "loyal": "frequency > 3",
    }
    criteria = {name: Criterion(sql=text, better="high") for name, text in sql.items()}
    rows = {
        row["customer_key"]: row
        for row in metrics.with_criteria(measured, criteria).select("customer_key", *sql).collect()
    }
    assert (rows["old"]["ratio"], rows["free"]["ratio"]) == (None, 0.0)
    assert {str(row["negative_zero"]) for row in rows.values()} == {"0.0"}
    assert (rows["edges"]["loyal"], rows["free"]["loyal"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("criterion", "told"),
    [
        ({"sql": "country"}, "criteria.x.sql: found a string, expected a number"),
        ({"sql": "frequency + nowhere"}, "criteria.x.sql: "),
        ({"metric": "country"}, "criteria.x.metric: found a string, expected a number"),
        ({"metric": "nowhere"}, "criteria.x.metric: "),
    ],
)
def test_criteria_that_are_no_number(measured, criterion, told):
    from rfm_spark.steps import metrics

    with pytest.raises(ConfigError, match=told):
        metrics.with_criteria(measured, {"x": Criterion.model_validate({"better": "high"} | criterion)})


def test_money_is_exact_to_the_last_cent_or_refused(spark):
    """Neither null, which would score the richest worst, nor a rounded sum."""
    from rfm_spark.steps import metrics

    largest = "9999999999999999.99"
    rows = [order("most", date(2023, 2, 1), largest), order("most", date(2022, 2, 1), largest)]
    found = metrics.metrics(local_frame(spark, rows, COLUMNS), None, BOUNDARIES).head()
    assert (found["monetary"], found["frequency"]) == (Decimal(largest), 1)

    for day in (date(2023, 3, 1), date(2023, 9, 1)):  # too much in one sub-period, and in both together
        more = local_frame(spark, [*rows, order("most", day, "0.01")], COLUMNS)
        with pytest.raises(Exception, match=metrics.TOO_MUCH_MONEY.replace("(", r"\(").replace(")", r"\)")):
            metrics.metrics(more, None, BOUNDARIES).collect()

"""Activity: what is one order, what a refund does to it, and what as_of does not see."""

from datetime import date
from decimal import Decimal

import pytest

from rfm_spark.local import local_frame

AS_OF = date(2024, 3, 1)
COLUMNS = [
    ("customer_key", "string"), ("event_type", "string"), ("event_date", "date"), ("order_id", "string"),
    ("amount", "decimal(18,2)"), ("duration_seconds", "bigint"),
]  # fmt: skip
JAN, FEB, LATE = date(2024, 1, 10), date(2024, 2, 10), date(2024, 2, 29)
EVENTS = [
    ("rows", "purchase", FEB, "o1", Decimal("1.10"), None),  # two rows, one order, dated by the first
    ("rows", "purchase", JAN, "o1", Decimal("2.20"), None),
    ("days", "purchase", JAN, None, Decimal("1.00"), None),  # no order_id: one order a day
    ("days", "purchase", JAN, None, Decimal("2.00"), None),
    ("days", "purchase", FEB, None, Decimal("4.00"), None),
    ("part", "purchase", JAN, "o1", Decimal("9.00"), None),
    ("part", "refund", FEB, "o1", Decimal("4.00"), None),
    ("all", "purchase", JAN, "o1", Decimal("9.00"), None),
    ("all", "refund", FEB, "o1", Decimal("9.00"), None),
    ("free", "purchase", JAN, "o1", Decimal("0.00"), None),  # worth nothing, and an order
    ("same id", "purchase", JAN, "o1", Decimal("5.00"), None),  # another customer's o1
    ("touched", "contact", FEB, None, None, None),
    ("touched", "engagement", FEB, None, None, 30),
    ("touched", "engagement", FEB, None, None, 12),
    ("late", "purchase", LATE, "o1", Decimal("7.00"), None),
    ("late", "purchase", AS_OF, "o1", Decimal("70.00"), None),  # not seen yet
    ("late", "refund", AS_OF, "o1", Decimal("7.00"), None),
]
UNTOUCHED = {
    ("rows", JAN): (1, Decimal("3.30")),
    ("days", JAN): (1, Decimal("3.00")),
    ("days", FEB): (1, Decimal("4.00")),
    ("free", JAN): (1, Decimal("0.00")),
    ("same id", JAN): (1, Decimal("5.00")),
    ("late", LATE): (1, Decimal("7.00")),
}


@pytest.mark.parametrize(
    ("policy", "refunded"),
    [
        (
            "net_on_order_date",
            {("part", JAN): (1, Decimal("5.00")), ("all", JAN): (0, Decimal("0.00"))},
        ),
        (
            "net_on_refund_date",
            {
                ("part", JAN): (1, Decimal("9.00")),
                ("part", FEB): (0, Decimal("-4.00")),
                ("all", JAN): (1, Decimal("9.00")),
                ("all", FEB): (0, Decimal("-9.00")),
            },
        ),
        ("ignore", {("part", JAN): (1, Decimal("9.00")), ("all", JAN): (1, Decimal("9.00"))}),
    ],
)
def test_orders_and_refunds(spark, policy, refunded):
    from pyspark.sql import functions as F

    from rfm_spark.steps import activity

    events = local_frame(spark, EVENTS, COLUMNS).withColumn("event_month", F.trunc("event_date", "month"))
    rows = activity.activity(events, policy, AS_OF).collect()
    found = {
        (row["customer_key"], row["activity_date"]): (row["orders"], row["amount"])
        for row in rows
        if row["orders"] or row["amount"] or row["customer_key"] == "all"
    }
    if policy == "ignore":
        found.pop(("all", FEB), None)  # its day is there, and holds nothing
    assert found == UNTOUCHED | refunded
    shared = _as_of(activity, events, policy)
    sums = ("orders", "amount", "contacts", "engagements", "duration_seconds")
    for day in (JAN, FEB, LATE, AS_OF, date(2024, 4, 1)):  # what is kept for several dates sums to the same
        one, other = (
            frame.groupBy("customer_key", "activity_date").agg(*(F.sum(name).cast("decimal(38,2)") for name in sums))
            for frame in (activity.activity(events, policy, day), shared(day))
        )
        assert sorted(map(str, map(tuple, one.collect()))) == sorted(map(str, map(tuple, other.collect()))), day
    (touched,) = [row for row in rows if row["customer_key"] == "touched"]
    assert (touched["contacts"], touched["engagements"], touched["duration_seconds"]) == (1, 2, 42)
    assert (touched["orders"], touched["amount"]) == (0, Decimal("0.00"))


def _as_of(activity, events, policy):
    from rfm_spark.pipelines.ingested import SharedActivity

    rows = activity.by_customer(events)
    days, rest = activity.by_day(rows, policy), activity.of_several_days(rows, policy)
    assert rest.select("customer_key").distinct().count() == (4 if policy == "net_on_order_date" else 2)
    return lambda day: SharedActivity(policy, days, rest).as_of(day, None)

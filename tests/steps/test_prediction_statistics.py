"""x, t_x and T: published cases, the rules for refunds and for who came late, and plain Python on random orders."""

import math
import random
from datetime import date, timedelta
from decimal import Decimal

import pytest

pytest.importorskip("scipy")

from rfm_spark.local import local_frame

END = date(2015, 2, 7)
COLUMNS = [
    ("customer_key", "string"), ("activity_date", "date"), ("orders", "int"), ("amount", "decimal(28,2)"),
]  # fmt: skip


def _rows(spark, activity, calibration_end=END - timedelta(days=1), last_day=END, policy="net_on_order_date"):
    from rfm_spark.steps.prediction.statistics import statistics

    frame = local_frame(spark, activity, COLUMNS)
    found = statistics(frame, policy, calibration_end, last_day).collect()
    return {row["customer_key"]: row.asDict() for row in found}


def test_the_published_case(spark):
    """lifetimes' test of its summary: orders of one day are one, the first does not count."""
    days = {"1": [(2, 1), (2, 6)], "2": [(1, 1)], "3": [(1, 1), (1, 2), (1, 5), (1, 5)]}
    rows = [(key, date(2015, *day), 1, Decimal(3)) for key, each in days.items() for day in each]
    found = _rows(spark, rows)
    assert {key: (one["x"], one["t_x_days"], one["T_days"], one["spend"]) for key, one in found.items()} == {
        "1": (1, 5, 6, 3.0), "2": (0, 0, 37, 0.0), "3": (2, 4, 37, 9.0),
    }  # fmt: skip


@pytest.mark.parametrize(("policy", "spend"), [("net_on_order_date", 7.0), ("net_on_refund_date", 3.0)])
def test_what_refunds_leave(spark, policy, spend):
    """A day without a counted order is no purchase day; its amount counts only where refunds have days of their own."""
    rows = [
        ("A", date(2015, 1, 1), 0, Decimal(-9)),  # of an order before all that is known
        ("A", date(2015, 1, 2), 1, Decimal(5)),
        ("A", date(2015, 1, 4), 1, Decimal(7)),
        ("A", date(2015, 1, 6), 0, Decimal(-4)),
        ("B", date(2015, 1, 6), 0, Decimal(-4)),  # never bought
        ("C", None, 0, Decimal(0)),
    ]
    found = _rows(spark, rows, policy=policy)
    assert found.keys() == {"A"}
    assert (found["A"]["x"], found["A"]["t_x_days"], found["A"]["T_days"]) == (1, 2, 36)
    assert found["A"]["spend"] == spend


def test_random_orders_as_plain_python_counts_them(spark):
    """300 customers, with those who came after calibration; and the compressed frames hold the same people."""
    from rfm_spark.steps.prediction import statistics as step

    seed = random.Random(20250103)
    end, last = date(2020, 3, 1), date(2020, 3, 31)
    rows = []
    for n in range(300):
        for _ in range(seed.randint(1, 6)):
            rows.append(
                (f"c{n}", date(2020, 1, 1) + timedelta(days=seed.randint(0, 90)), 1, Decimal(seed.randint(0, 50)))
            )
    found = _rows(spark, rows, end, last)
    assert len(found) == 300
    for key, one in found.items():
        mine = [row for row in rows if row[0] == key]
        days = sorted({row[1] for row in mine})
        until = [day for day in days if day <= end]
        assert one["x"] == len(days) - 1
        assert one["t_x_days"] == (days[-1] - days[0]).days
        assert one["T_days"] == (last - days[0]).days
        assert one["spend"] == sum(row[3] for row in mine if row[1] > days[0])
        if not until:
            assert {one[name] for name in one if name.startswith(("calibration", "held", "last"))} == {None}
            continue
        assert one["calibration_x"] == len(until) - 1
        assert one["calibration_t_x_days"] == (until[-1] - until[0]).days
        assert one["calibration_T_days"] == (end - until[0]).days
        assert one["calibration_spend"] == sum(row[3] for row in mine if days[0] < row[1] <= end)
        assert one["held_orders"] == len(days) - len(until)
        assert one["held_spend"] == sum(row[3] for row in mine if row[1] > end)
        assert one["last_orders"] == sum(day > end - timedelta(days=30) for day in until[1:])
    calibrated = [one for one in found.values() if one["calibration_x"] is not None]
    frame = step.statistics(local_frame(spark, rows, COLUMNS), "net_on_order_date", end, last)
    held = step.held_out(frame).collect()
    assert sum(row["customers"] for row in held) == len(calibrated)
    assert sum(row["customers"] * row["held_orders"] for row in held) == sum(one["held_orders"] for one in calibrated)
    assert sum(row["missed_squared"] for row in held) == sum(
        (one["last_orders"] - one["held_orders"]) ** 2 for one in calibrated
    )
    anew = step.spends(frame.repartition(7, "spend"), "x", "spend").collect()
    spent = step.spends(frame, "x", "spend").collect()
    assert sorted(map(repr, anew)) == sorted(map(repr, spent))  # to the last digit, whatever the order
    again = [one for one in found.values() if one["x"] > 0 and one["spend"] > 0]
    assert sum(row["mean"] * row["customers"] * row["x"] for row in spent) == pytest.approx(
        sum(one["spend"] for one in again)
    )
    logs = sum(math.log(one["spend"] / one["x"]) for one in again)
    assert sum(row["log_mean"] * row["customers"] for row in spent) == pytest.approx(logs)
    assert sum(row["customers"] for row in spent) == sum(one["x"] > 0 and one["spend"] > 0 for one in found.values())

"""Reference periods: months clamped to their ends, sub-periods without a gap between them."""

from datetime import date
from itertools import pairwise

import pytest

from rfm_spark.config.models import ReferencePeriod
from rfm_spark.steps import periods

DAY = date(2024, 1, 11)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 3, 31), -1, date(2024, 2, 29)),
        (date(2023, 3, 31), -1, date(2023, 2, 28)),
        (date(2024, 2, 29), -12, date(2023, 2, 28)),
        (date(2024, 1, 15), -1, date(2023, 12, 15)),
        (date(2023, 12, 31), 2, date(2024, 2, 29)),
        (date(2024, 5, 31), 0, date(2024, 5, 31)),
    ],
)
def test_months_end_where_their_month_ends(day, months, expected):
    assert periods.add_months(day, months) == expected


@pytest.mark.parametrize(
    ("period", "as_of", "first", "expected"),
    [
        ({"months": 12}, date(2024, 1, 1), None, ["2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01"]),
        # each start is clamped by itself, not counted on from a clamped one
        ({"months": 12}, date(2024, 5, 31), None, ["2023-05-31", "2023-08-31", "2023-11-30", "2024-02-29"]),
        ({"months": 6, "sub_periods": 1}, date(2024, 8, 31), None, ["2024-02-29"]),
        # ten days in four: two days each, the remainder to the last
        ({"all": True}, DAY, date(2024, 1, 1), ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-07"]),
        ({"all": True, "sub_periods": 2}, DAY, None, ["2024-01-11", "2024-01-11"]),
        ({"all": True, "sub_periods": 1}, DAY, date(2025, 1, 1), ["2024-01-11"]),
    ],
)  # fmt: skip
def test_sub_periods(period, as_of, first, expected):
    found = periods.boundaries(ReferencePeriod.model_validate(period), as_of, first)
    assert [str(day) for day in found] == [*expected, str(as_of)]
    assert all(start <= end for start, end in pairwise(found))


@pytest.mark.parametrize(
    ("first", "until", "every", "expected"),
    [
        (date(2024, 1, 31), date(2024, 4, 30), "month", [(1, 31), (2, 29), (3, 31), (4, 30)]),
        (date(2023, 2, 28), date(2023, 4, 27), "month", [(2, 28), (3, 28)]),
        (date(2024, 2, 28), date(2024, 3, 1), "day", [(2, 28), (2, 29), (3, 1)]),
        (date(2024, 1, 1), date(2024, 1, 15), "week", [(1, 1), (1, 8), (1, 15)]),
        (date(2023, 11, 30), date(2024, 5, 31), "quarter", [(11, 30), (2, 29), (5, 30)]),
        (date(2024, 1, 1), date(2024, 1, 1), "year", [(1, 1)]),
    ],
)
def test_dates_of_a_back_fill(first, until, every, expected):
    found = periods.dates(first, until, every)
    assert [(day.month, day.day) for day in found] == expected


def test_a_leap_day_comes_back_every_fourth_year():
    assert [str(day) for day in periods.dates(date(2024, 2, 29), date(2028, 2, 29), "year")] == [
        "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
    ]  # fmt: skip

"""Which snapshots a policy keeps: against the rule spelled out day by day, and what must hold whatever the policy."""

import random
from datetime import date, timedelta

import pytest

from rfm_spark.config.lake import Keep
from rfm_spark.steps.retention import expired

AS_OF = date(2024, 2, 29)


def every(days: int, until: date = AS_OF) -> list[date]:
    return [until - timedelta(days=n) for n in range(days)]


def kept(days, keep, as_of=AS_OF, protected=()):
    gone = expired(days, as_of, keep, protected)
    assert gone == sorted(set(gone))
    return sorted(set(days) - set(gone))


def test_days_then_months_then_years():
    left = kept(every(1500), Keep(daily=3, monthly=2))
    assert left == [
        *(date(year, 12, 31) for year in (2020, 2021, 2022)),
        *(date(2023, 12, 31), date(2024, 1, 31)),
        *(date(2024, 2, day) for day in (26, 27, 28, 29)),
    ]
    assert kept(every(1500), Keep(daily=3, monthly=2, yearly=2))[0] == date(2022, 12, 31)
    assert kept(every(40), Keep(daily=10**9)) == sorted(every(40))
    assert kept(every(40), Keep(daily=1, yearly=0)) == [date(2024, 2, 28), date(2024, 2, 29)]


def test_the_newest_and_the_protected_stay():
    old = [date(2001, 5, 1), date(2001, 5, 2), date(2001, 5, 3)]
    assert kept(old, Keep(daily=1, yearly=0)) == [date(2001, 5, 3)]
    assert kept(old, Keep(daily=1, yearly=0), protected={date(2001, 5, 1)}) == [date(2001, 5, 1), date(2001, 5, 3)]
    assert kept([], Keep(daily=1)) == []


@pytest.mark.parametrize("seed", range(20))
def test_dropping_often_is_dropping_once(seed):
    """A snapshot a day or so for years, dropped from at random dates: the same stay as if judged once."""
    chance = random.Random(seed)
    keep = Keep(daily=chance.randint(1, 60), monthly=chance.randint(0, 8), yearly=chance.choice([None, 0, 1, 2]))
    days = [day for day in every(1100) if chance.random() < chance.choice([0.1, 0.9])]
    end, left, arrived = AS_OF, set(), date.min
    for as_of in [*sorted(chance.sample(every(1100), 15)), end]:
        left |= {day for day in days if arrived < day <= as_of}
        arrived = as_of
        left -= set(expired(left, as_of, keep, ()))
        assert expired(left, as_of, keep, ()) == []
    assert sorted(left) == kept(days, keep, end), f"seed {seed}, {keep}"

"""The reference period and its sub-periods, as plain dates."""

import calendar
from datetime import date, timedelta

from rfm_spark.config.models import ReferencePeriod
from rfm_spark.errors import ConfigError


def add_months(day: date, months: int) -> date:
    """The same day of another month, clamped to that month's end: 31 March less one month is 28 (29) February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


EVERY = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "quarter": (3, 0), "year": (12, 0)}  # months, days


def dates(first: date, until: date, every: str) -> list[date]:
    """The first date and every later one up to and with `until`, a day, week, month, quarter or year apart.

    Rules: months are counted from the first date, so that of 31 January month ends follow, each clamped by itself.
    Raises: ConfigError where there is no such step, or `until` is before the first.
    """
    if every not in EVERY or until < first:
        raise ConfigError(
            f"back-fill: found {first} until {until}, every {every}; expected a later date, and every "
            f"{', '.join(EVERY)}"
        )
    months, days = EVERY[every]
    found, day = [], first
    while day <= until:
        found.append(day)
        n = len(found)
        day = add_months(first, n * months) + timedelta(days=n * days)
    return found


def boundaries(period: ReferencePeriod, as_of: date, first_event: date | None) -> list[date]:
    """Starts of sub-periods 1..n, then as_of: sub-period i is [boundaries[i-1], boundaries[i]).

    Rules: by months, sub-period i starts at add_months(start, (i-1)·months/n); `all` splits the span's days evenly
        from the first event (as_of where there is none), the remainder to the last.
    """
    n = period.sub_periods
    if period.months is not None:
        start = add_months(as_of, -period.months)
        return [add_months(start, i * period.months // n) for i in range(n)] + [as_of]
    start = min(first_event or as_of, as_of)
    length = (as_of - start).days // n
    return [start + timedelta(days=i * length) for i in range(n)] + [as_of]

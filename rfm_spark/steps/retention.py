"""Which snapshots have had their time, as plain dates."""

from collections.abc import Collection, Iterable
from datetime import date

from rfm_spark.config.lake import Keep


def expired(published: Iterable[date], as_of: date, keep: Keep, protected: Collection[date]) -> list[date]:
    """The snapshots that a policy does not keep, ascending.

    Reads: `published`, all snapshots there are, of one kind; `protected`, those that stay whatever the policy says.
    Rules: kept are all from `daily` days before as_of on; of earlier ones, the last of its calendar month from the
        month `monthly` months before as_of's on; of still earlier ones, the last of its calendar year, without `yearly`
        for ever. The newest is always kept. What is kept today was kept at every earlier as_of, so dropping
        often comes to the same as dropping once.
    """
    days = sorted(set(published))
    last_of_month = {(day.year, day.month): day for day in days}
    last_of_year = {day.year: day for day in days}
    first_month = _month(as_of) - keep.monthly
    first_year = as_of.year - keep.yearly if keep.yearly is not None else date.min.year

    def kept(day: date) -> bool:
        if (as_of - day).days <= keep.daily or day in protected or day == days[-1]:
            return True
        if _month(day) >= first_month:
            return day == last_of_month[day.year, day.month]
        return day.year >= first_year and day == last_of_year[day.year]

    return [day for day in days if not kept(day)]


def _month(day: date) -> int:
    return day.year * 12 + day.month

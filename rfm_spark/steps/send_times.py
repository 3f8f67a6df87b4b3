"""Send times: the instant of a campaign's send in each time zone, outside of quiet hours."""

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from rfm_spark.config.campaigns import QuietHours


def send_at(day: date, clock: str, quiet: QuietHours | None, zone: str) -> datetime:
    """The instant (UTC) of a local time of a day, moved to the end of the quiet hours where it falls within.

    Rules: quiet hours hold from their first minute until before their last; a local time that the zone skips moves
        forward by the gap, one that it repeats is the first.
    """
    at = time.fromisoformat(clock)
    if quiet is not None:
        first, last = time.fromisoformat(quiet.from_), time.fromisoformat(quiet.to)
        over_midnight = first > last
        if over_midnight and at >= first:
            day, at = day + timedelta(days=1), last
        elif (over_midnight and at < last) or first <= at < last:
            at = last
    return datetime.combine(day, at, _zone(zone)).astimezone(UTC)


def seconds_at(day: date, zone: str) -> int:
    """The first instant of a day in a zone, in seconds since 1970."""
    return int(send_at(day, "00:00", None, zone).timestamp())


def _zone(name: str) -> tzinfo:
    if name[:1] in "+-":  # an offset, as a project may name it
        hours, minutes = name[1:].split(":")
        span = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-span if name[0] == "-" else span)
    return ZoneInfo(name)

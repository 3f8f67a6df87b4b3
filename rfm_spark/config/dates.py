"""The dates that a job can be asked for."""

from datetime import date

from rfm_spark.errors import ConfigError

# so that a hundred years before and some after are dates too, and times in nanoseconds on any engine
FIRST_YEAR, LAST_YEAR = 1800, 2199


def asked(day: date) -> date:
    """The date. Raises: ConfigError where nobody can have meant it, so that no period around it ends the calendar."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ConfigError(f"found {day}, expected a date in the years {FIRST_YEAR} to {LAST_YEAR}, such as 2011-12-10")
    return day

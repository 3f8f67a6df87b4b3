"""What an ingest leaves for all that comes after it: events, profiles, and the activity of customers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import ReferencePeriod, RefundPolicy
from rfm_spark.errors import InputError
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import stacked
from rfm_spark.steps import activity


@dataclass(frozen=True)
class SharedActivity:
    """Activity for several dates: `days` of `activity.by_day`, and the rows of `activity.of_several_days`, if any."""

    policy: RefundPolicy
    days: DataFrame
    rest: DataFrame | None

    def as_of(self, day: date, customers: DataFrame | None) -> DataFrame:
        """The activity before a date, summed by customer and date, but for orders of several dates."""
        known = self.days.filter(F.col("seen_date") < F.lit(day)).drop("seen_date")
        parts = [known] if self.rest is None else [known, activity.settled(self.rest, self.policy, day)]
        if customers is not None:
            parts = [part.join(customers, "customer_key", "left_semi") for part in parts]
        return stacked(parts)


@dataclass(frozen=True)
class Ingested:
    """What the segmentation goes on with: all events and all profiles (None where no source has any).

    `shared`, what can be kept of their activity for several snapshots.
    """

    events: DataFrame
    profiles: DataFrame | None
    shared: SharedActivity | None = None

    def first_date(self, period: ReferencePeriod) -> date | None:
        """The date of the first event, where the period begins with it; None, and not asked, for one of months."""
        return self.events.agg(F.min("event_date")).collect()[0][0] if period.all else None

    def activity(self, policy: RefundPolicy, as_of: date, customers: DataFrame | None = None) -> DataFrame:
        """The activity before a date, of all or of some customers (a frame of customer_key)."""
        if self.shared is not None and self.shared.policy == policy:
            return self.shared.as_of(as_of, customers)
        rows = self.events if customers is None else self.events.join(customers, "customer_key", "left_semi")
        return activity.activity(rows, policy, as_of)


def stored(run: Run, at: Mapping[str, int] | None = None) -> Ingested:
    """The events and profiles that complete runs have brought into the lake, for a segmentation without an ingest.

    `at`: the versions of these tables to use, where it is not the newest. Raises: InputError where there are none.
    """
    now = published(run.lake).versions if at is None else at
    if "events" not in now:
        raise InputError(f"no complete run has written events in {run.lake.place}; run `rfm-spark ingest` first")
    events_then = run.lake.use("events", now["events"])
    known = "customers" in now and any(source.kind == "profile" for source in run.config.sources)
    return Ingested(events_then, run.lake.use("customers", now["customers"]) if known else None)

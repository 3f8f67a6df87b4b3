"""Back-fill: the snapshots of several dates from one look at the events."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date

from pyspark.sql import functions as F

from rfm_spark.config.models import RefundPolicy
from rfm_spark.pipelines.ingested import Ingested, SharedActivity, stored
from rfm_spark.pipelines.kept_frames import Kept
from rfm_spark.pipelines.run_record import Run
from rfm_spark.pipelines.segment import segment
from rfm_spark.steps import activity

_TABLES = ("events", "customers")


def backfill(
    start: Callable[[date], AbstractContextManager[Run]], days: Iterable[date], cut_points_from: date | None = None
) -> list[Run]:
    """Publish the snapshot of each date, the earliest first, each by a run of its own.

    So one that fails leaves those before it published, and each has the one before it as its previous. All are of the
    same events, which are read and summed by customer and date once; that is kept for as long as it takes.
    """
    ordered, kept, runs = sorted(days), Kept(), []
    data: Ingested | None = None
    try:
        for day in ordered:
            with start(day) as run:
                if data is None:
                    data = _shared(stored(run), run.config.refunds.policy, ordered[-1], kept)
                    versions = {name: at for name, at in run.lake.versions().items() if name in _TABLES}
                else:
                    stored(run, versions)
                segment(run, data, cut_points_from)
            runs.append(run)
    finally:
        kept.release()
    return runs


def _shared(data: Ingested, policy: RefundPolicy, until: date, kept: Kept) -> Ingested:
    seen = activity.by_customer(data.events.filter(F.col("event_date") < F.lit(until)))
    rest = kept.keep(activity.of_several_days(seen, policy))
    days = kept.keep(activity.by_day(seen, policy))
    return replace(data, shared=SharedActivity(policy, days, None if rest.isEmpty() else rest))

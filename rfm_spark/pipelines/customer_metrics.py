"""Metrics of one as_of: moved on from the newest earlier snapshot where that is exact, else from all events."""

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import __version__, engines
from rfm_spark.config.models import ProjectConfig
from rfm_spark.pipelines.counts import EVENTS_SEEN, LATE
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import union
from rfm_spark.steps import metrics, moved_sums, periods

_LONGEST_STEP = timedelta(days=31)  # a longer one touches nearly everybody
# of the customers, whose histories cost less than everybody's; fewer where their plan is compiled beside the other
_FEW, _FEW_COMPILED = 0.25, 0.05
_BROADCAST = 1_000_000  # customers, whose keys each executor holds


def measured_by(config: ProjectConfig) -> tuple:
    """What of a project decides how metrics are measured, whatever they are scored by."""
    return config.reference_period, config.refunds, config.timezone, config.currency


def customer_metrics(run: Run, data: Ingested, profiles: DataFrame | None, earlier: Published) -> DataFrame:
    """The metrics of every customer as of the run's date; the same cells whichever way they are made.

    Reads: all events, or where an earlier snapshot can be moved on, those of the days that enter or leave a sub-period
        and the histories of the customers who have an order there.
    Records: customer_metrics.moved and customer_metrics.recomputed, the customers of either way; where some were
        moved, `LATE`; `EVENTS_SEEN`.
    """
    period = run.config.reference_period
    boundaries = periods.boundaries(period, run.as_of, data.first_date(period))
    # what a dry run brings, or restates, is in no version
    seen = None if run.dry else run.lake.versions().get("events")
    if seen is not None:
        run.counts[EVENTS_SEEN] = seen
    moves = seen is not None and not period.all and data.shared is None  # of what is shared the sums cost less
    before = _earlier(run, earlier) if moves else None
    summed = _moved(run, data, boundaries, before, seen) if before is not None and seen is not None else None
    if summed is None:
        summed = metrics.sums(data.activity(run.config.refunds.policy, run.as_of), boundaries)
    return metrics.from_sums(summed, profiles, boundaries)


@dataclass(frozen=True)
class _Earlier:
    """A published snapshot of customer_metrics, with the version of `events` that it was made of."""

    as_of: date
    events: int
    customers: int
    frame: DataFrame


def _earlier(run: Run, now: Published) -> _Earlier | None:
    """The newest published snapshot before as_of, where today's code and config would have made the same of it."""
    newest = now.newest_before(run.as_of)
    if newest is None or run.as_of - newest > _LONGEST_STEP:
        return None
    row, frame = now.made(newest), now.read("customer_metrics", newest)
    if frame is None or EVENTS_SEEN not in row["counts"] or row["code_version"] != __version__:
        return None
    if measured_by(now.config(row["run_id"])) != measured_by(run.config):
        return None
    return _Earlier(newest, row["counts"][EVENTS_SEEN], row["counts"]["customer_metrics.rows"], frame)


def _moved(run: Run, data: Ingested, boundaries: list[date], earlier: _Earlier, seen: int) -> DataFrame | None:
    """The sums of every customer, or None where too many would have to be recomputed, or events were not just added."""
    period, policy = run.config.reference_period, run.config.refunds.policy
    unseen = run.lake.appended_by("events", earlier.events, seen)
    if unseen is None:
        return None
    before = periods.boundaries(period, earlier.as_of, None)
    touched = run.keep(moved_sums.touched(data.events, policy, before, boundaries, unseen))
    recomputed, late = touched.agg(F.count_if("recompute"), F.count_if("late")).collect()[0]
    few = _FEW_COMPILED if engines.of(run.spark).compiles else _FEW
    if recomputed > min(few * earlier.customers, _BROADCAST):
        return None
    run.counts |= {"customer_metrics.recomputed": recomputed, LATE: late}
    moved = moved_sums.moved(earlier.frame, touched, period.sub_periods)
    if not recomputed:
        return moved
    who = F.broadcast(touched.filter("recompute").select("customer_key"))
    return union([moved, metrics.sums(data.activity(policy, run.as_of, who), boundaries)])

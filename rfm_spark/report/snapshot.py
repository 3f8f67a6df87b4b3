"""A published snapshot, and the project file that it was made by."""

from collections.abc import Callable, Iterable
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import config as configs
from rfm_spark.config.models import ProjectConfig
from rfm_spark.errors import InputError
from rfm_spark.pipelines.published import COMPLETE, SNAPSHOT_JOBS

Read = Callable[[str], DataFrame]  # a published table by its name


def config_of(runs: DataFrame, as_of: date) -> ProjectConfig:
    """The project as it was when a snapshot was made: today's file may hold other rules and criteria.

    Reads: `runs`. Raises: InputError where no complete run has made the snapshot.
    """
    made = runs.filter((F.col("status") == COMPLETE) & F.col("job").isin(*SNAPSHOT_JOBS))
    newest = made.filter(F.col("as_of") == F.lit(as_of)).orderBy(F.desc("ended_at")).select("config").head()
    if newest is None:
        raise _missing(as_of, (row["as_of"] for row in made.select("as_of").distinct().collect()))
    return configs.from_resolved(newest["config"])


def of_snapshot(frame: DataFrame, as_of: date) -> DataFrame:
    """The rows of one snapshot. Raises: InputError where there is none."""
    rows = frame.filter(F.col("snapshot_date") == F.lit(as_of))
    if rows.isEmpty():
        raise _missing(as_of, (row["snapshot_date"] for row in frame.select("snapshot_date").distinct().collect()))
    return rows


def _missing(as_of: date, published: Iterable[date]) -> InputError:
    newest = sorted(published, reverse=True)[:5]
    return InputError(f"no snapshot of {as_of}; published: {', '.join(map(str, newest)) or 'none'}")

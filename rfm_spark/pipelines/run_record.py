"""What one run is, and the row of `runs` that it writes last."""

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from rfm_spark import __version__, engines, schemas, session, sources
from rfm_spark import config as configs
from rfm_spark.config.campaigns import Campaign
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.words import without_secrets
from rfm_spark.errors import ConflictError, RfmSparkError
from rfm_spark.lake import Done, Lake, cause, damaged
from rfm_spark.local import local_frame
from rfm_spark.pipelines.kept_frames import Kept
from rfm_spark.pipelines.published import COMPLETE, Published, define_views, greatest, published


class Stage:
    """A stage that is under way; `rows` is what it tells when it ends."""

    rows: int | None = None


@dataclass(frozen=True)
class Moves:
    """How many customers go from which segment to which (segmentation, from, to, customers), stayers too."""

    since: date
    rows: list[dict[str, Any]]


@dataclass
class Plan:
    """What one campaign would do: rows of `targeting.totals`, its date, and what a measurement would find."""

    campaign: Campaign
    wave: date
    totals: list[dict[str, Any]]
    detectable: Mapping[str, float | None] = field(default_factory=dict)
    needed: int | None = None
    baseline: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """One run: what it was asked, the lake as it sees it, and what it has counted so far.

    The run id and the clock are made by the caller; nothing below reads the time by itself. What a caller may look at
    when it is over: of a snapshot `profiles` and `migrations`, rows of those tables, and of a dry one `moves`; of
    `maintain` its `upkeep`, a table each; of `target` its `plans`; of `measure` its `results`, rows of that table.
    `decided_against`: the runs of the snapshots that were current when this one told what it changes. `built_on`: the
    published version of each table that it makes anew of what was in it and more. `checks`: what has to hold still when
    it is published, each of which raises where it does not.
    """

    spark: SparkSession
    config: ProjectConfig
    lake: Lake
    job: str
    as_of: date
    run_id: str
    started_at: datetime
    clock: Callable[[], datetime]
    stage: Callable[[str], AbstractContextManager[Stage]]
    inputs: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    profiles: list[dict[str, Any]] = field(default_factory=list)
    migrations: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    decided_against: frozenset[str] | None = None
    built_on: dict[str, int | None] = field(default_factory=dict)
    checks: list[Callable[[], None]] = field(default_factory=list)
    moves: Moves | None = None
    upkeep: list[Done] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    _kept: Kept = field(default_factory=Kept)

    def __post_init__(self) -> None:
        """What a dry lake hands on is kept as all else."""
        self.lake.keep = self.keep

    def keep(self, frame: DataFrame) -> DataFrame:
        """Keep a frame until `release`: in the engine's cache, else in a file of a folder of this run's own."""
        return self._kept.keep(frame)

    def hold(self, columns: Mapping[str, Any]) -> DataFrame:
        """Columns that the driver has calculated, as a frame until `release`."""
        return self._kept.hold(self.spark, columns)

    def reused(self, frame: DataFrame) -> DataFrame:
        """A frame that one plan uses several times; kept where the engine would compute it for each."""
        return frame if engines.of(self.spark).caches else self.keep(frame)

    def checkpoint(self, frame: DataFrame) -> DataFrame:
        """Keep a few rows, and let later plans begin with them."""
        return self._kept.checkpoint(frame)

    def release(self) -> None:
        """Let go of what was kept: a later run of the session would read it in place of files that have changed."""
        self._kept.release()

    def build_on(self, table: str) -> Published:
        """What is published, for a run that will replace a table by what it holds and more: no other may meanwhile."""
        self.lake.hold(table, self.lake.version(table))
        now = published(self.lake)
        self.built_on[table] = now.versions.get(table)
        return now

    @property
    def dry(self) -> bool:
        """Whether nothing is to be published."""
        return self.lake.dry


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Run the body, then check that its slices are still its own, then write its row of `runs`.

    A run that fails writes a row too, with the reason; should that fail as well, the first reason is the one raised.
    """
    with session.settings(run.spark):
        try:
            yield
            if not run.dry:
                run.lake.verify()
                _publish(run)
        except Exception as error:
            fault = error if isinstance(error, RfmSparkError) else sources.cause(error, run.config.sources)
            fault = fault or cause(error, f"run {run.run_id}") or damaged(error)
            if not run.dry:
                _write_failure(run, fault or RfmSparkError("an unexpected error; see the log"))
            if fault is error or fault is None:
                raise
            raise fault from error
        finally:
            run.release()
        if run.config.lake.catalog and not run.dry:
            _renew_views(run)


def _renew_views(run: Run) -> None:
    """Define the catalog's views of what is published; a run that is complete does not fail of it."""
    try:
        define_views(run.lake)
    except Exception as error:
        fault = cause(error, f"the views in {run.lake.place}") or RfmSparkError(type(error).__name__)
        run.warnings.append(f"published, and the views show what was there before: {fault}")


def require_as_decided(run: Run, now: Published) -> None:
    """Check that what the run was decided on is published still. Raises: ConflictError, where another run's is."""
    if run.decided_against not in (None, now.snapshot_runs):
        raise ConflictError(
            f"another run published a snapshot in {run.lake.place} while this one was telling what it changes; nothing "
            "of this one is published: run again"
        )
    for check in run.checks:
        check()
    for table, version in run.built_on.items():
        if run.lake.has_changed(table, version, now.versions.get(table)):
            raise ConflictError(
                f"another run published {table} in {run.lake.place} while this one was making it of what was there "
                "before; nothing of this one is published: run again"
            )


def _publish(run: Run) -> None:
    """Write the row of a complete run, in turn: of two that were decided on the same, one is published."""

    def decide() -> tuple[DataFrame, frozenset[str]]:
        now = published(run.lake)
        require_as_decided(run, now)
        return _row(run, now, COMPLETE, 0, "; ".join(run.warnings)[:2000] or None), now.run_ids

    run.lake.append_in_turn(schemas.RUNS, decide)


def _row(run: Run, now: Published, status: str, exit_code: int, message: str | None) -> DataFrame:
    versions = greatest(now.versions, run.lake.versions()) | run.lake.dropped()
    row = (
        run.run_id,
        run.job,
        run.as_of,
        run.started_at,
        run.clock(),
        status,
        exit_code,
        message,
        json.dumps(configs.resolved(run.config), ensure_ascii=False),  # in its order, which scores are joined in
        configs.config_hash(run.config),
        __version__,
        f"{engines.of(run.spark)}, python {platform.python_version()}",
        run.inputs,
        run.counts,
        versions,
    )
    return local_frame(run.spark, [row], schemas.RUNS.types())


def _write_failure(run: Run, fault: RfmSparkError) -> None:
    try:
        message = without_secrets(str(fault))[:2000]
        run.lake.append(schemas.RUNS, _row(run, published(run.lake), fault.status, fault.exit_code, message))
    except Exception:
        return

"""The public entry: the same pipelines as the commands, on a session of the caller's."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from rfm_spark import config as configs
from rfm_spark import engines, session
from rfm_spark.config import dates
from rfm_spark.config.models import ProjectConfig
from rfm_spark.errors import ConflictError, EnvironmentFault, InputError
from rfm_spark.lake import Lake
from rfm_spark.pipelines import ledger, watermarks
from rfm_spark.pipelines.backfill import backfill
from rfm_spark.pipelines.evolution import moves
from rfm_spark.pipelines.identity import Audit, audit
from rfm_spark.pipelines.ingest import ingest, replay
from rfm_spark.pipelines.ingested import stored
from rfm_spark.pipelines.maintain import maintain
from rfm_spark.pipelines.measure import measure
from rfm_spark.pipelines.published import CURRENT, HISTORY, PREDICT, PREDICTED, published
from rfm_spark.pipelines.restatement import Restatement, restatement
from rfm_spark.pipelines.run_record import Run, Stage, recorded
from rfm_spark.pipelines.segment import resolve, segment
from rfm_spark.pipelines.target import target
from rfm_spark.schemas import AUDIENCES, CAMPAIGN_RESULTS
from rfm_spark.steps import periods

if TYPE_CHECKING:
    from rfm_spark.pipelines.predict import Tell
    from rfm_spark.steps.prediction.choice import Outcome

# the commands that make tables which `run` does not
_MADE_BY = {**dict.fromkeys(PREDICTED, PREDICT), AUDIENCES.name: "target", CAMPAIGN_RESULTS.name: "measure"}
StageReporter = Callable[[str], AbstractContextManager[Stage]]


@contextmanager
def _silent(_: str) -> Iterator[Stage]:
    yield Stage()


class Project:
    """One project file, and the jobs it describes.

    Every job takes `as_of`, the first day not seen, and returns its `Run` (`predict` its models too, `backfill` a run
    a date): its id and what it counted. Every job raises a subclass of `RfmSparkError`, by cause: ConfigError or
    InputError before anything is written, GateError where the data failed the contract, ConflictError where another
    writer won, EnvironmentFault for the rest of the world. A run that raises has published nothing, and `runs` says
    why; a back-fill keeps the dates before, and an export of `target` that was whole stays.

    >>> project = Project.load("conf/cdnow.yaml")
    >>> project.run(spark, as_of=date(1998, 7, 1))
    >>> project.read(spark, "current_segments")
    """

    def __init__(self, config: ProjectConfig, stage: StageReporter = _silent) -> None:
        self.config = config
        self._stage = stage

    @classmethod
    def load(
        cls, path: str | Path, overrides: Sequence[str] = (), lake: str | None = None, stage: StageReporter = _silent
    ) -> "Project":
        """Read and check a project file; `overrides` are `a.b=c` as for `--set`. Raises: ConfigError."""
        return cls(configs.load_ready(path, overrides, lake), stage)

    def ingest(self, spark: SparkSession, as_of: date) -> Run:
        """Sources to events, customers and quarantine: every row read ends in one place, and is counted."""
        with self._run(spark, "ingest", as_of) as run:
            ingest(run)
        return run

    def replay(self, spark: SparkSession, as_of: date, reason: str | None = None) -> Run:
        """Judge the quarantined again under today's contract, with `reason` only those, and free what passes."""
        with self._run(spark, "replay", as_of) as run:
            replay(run, reason)
        return run

    def segment(self, spark: SparkSession, as_of: date, cut_points_from: date | None = None) -> Run:
        """Events to segments, one snapshot; with `cut_points_from` scored by the cut-points of that snapshot.

        Returns: the run; its `profiles` are the rows of `segment_profiles`.
        """
        with self._run(spark, "segment", as_of) as run:
            segment(run, stored(run), cut_points_from)
        return run

    def backfill(
        self, spark: SparkSession, as_of: date, until: date, every: str = "month", cut_points_from: date | None = None
    ) -> list[Run]:
        """Events to segments for `as_of` and every later date up to `until`, from one look at the events.

        `every` is day, week, month, quarter or year. Returns: the runs, one a snapshot; where one fails, those before
        it are published.
        """
        days = periods.dates(dates.asked(as_of), dates.asked(until), every)
        return backfill(lambda day: self._run(spark, "segment", day), days, cut_points_from)

    def run(self, spark: SparkSession, as_of: date, *, dry_run: bool = False) -> Run:
        """Ingest and segment as one run; a dry run does all of it and publishes nothing.

        Returns: the run; its `profiles` are the rows of `segment_profiles`, and of a dry run `moves` are who would
            change segment.
        """
        with self._run(spark, "run", as_of, dry_run=dry_run) as run:
            segment(run, ingest(run, resolve))
        return run

    def predict(
        self, spark: SparkSession, as_of: date, *, force: bool = False, tell: "Tell" = lambda _: None
    ) -> "tuple[Run, Outcome]":
        """Fit and back-test the models of `prediction`, and publish what customers are expected to do.

        `force` publishes outside of the tolerance too; `tell` is given the back-test before it is judged. Returns: the
        run, and its models and back-test. Raises: EnvironmentFault without the packages of rfm-spark[predict].
        """
        try:
            from rfm_spark.pipelines.predict import predict
        except ImportError as missing:
            raise EnvironmentFault.not_installed(str(missing.name), "predict", "predict") from None
        with self._run(spark, "predict", as_of) as run:
            outcome = predict(run, stored(run), force=force, tell=tell)
        return run, outcome

    def target(self, spark: SparkSession, as_of: date, *, plan: bool = False) -> Run:
        """Segments to audiences, one a campaign that sends at or after as_of; with `plan` nothing is published.

        Returns: the run; its `plans` say what each campaign does by segment, and what a measurement would find.
        """
        with self._run(spark, "target", as_of, dry_run=plan) as run:
            target(run, stored(run), plan=plan)
        return run

    def measure(self, spark: SparkSession, as_of: date) -> Run:
        """What the campaigns changed, from events after their sends and before as_of.

        Returns: the run; its `results` are the rows of `campaign_results`.
        """
        with self._run(spark, "measure", as_of) as run:
            measure(run, stored(run))
        return run

    def maintain(self, spark: SparkSession, as_of: date, *, dry_run: bool = False) -> Run:
        """Mend, drop expired snapshots, compact and remove old files; readers see the same but for what expired.

        Returns: the run; its `upkeep` is what was done, or of a dry run what would be.
        """
        with self._run(spark, "maintain", as_of, dry_run=dry_run) as run:
            maintain(run)
        return run

    def watch(
        self, spark: SparkSession, as_of: date, ended: Callable[[], bool]
    ) -> Iterator[Run | ConflictError | None]:
        """Run, and run again as files land, until `ended`, which is asked after each look and may take its time.

        Yields: a look each: the run; None where no source of events has a new or changed file, or rows of a database
            beyond its watermark; or what another run was faster with, after which the next look runs again. Other
            tables and profiles are not looked at, and come along with the next run. A run that fails otherwise raises,
            and ends it.
        """
        grown = True
        while True:
            done: Run | ConflictError | None = None
            if grown:
                try:
                    done, grown = self.run(spark, as_of), False
                except ConflictError as overtaken:
                    done = overtaken
            yield done
            if ended():
                return
            grown = grown or ledger.has_landed(spark, self.config)
            grown = grown or watermarks.have_grown(Lake(spark, self.config.lake), self.config)

    def read(self, spark: SparkSession, table: str) -> DataFrame:
        """A table as the complete runs left it, without what runs that died did.

        `current_segments` is the newest snapshot of each segmentation, `segment_history` every stay in a segment.

        Raises: InputError where no complete run has written it.
        """
        lake = Lake(spark, self.config.lake)
        if table == "runs" and lake.exists("runs"):
            return lake.read("runs")
        now = published(lake)
        views = {CURRENT: now.current_segments, HISTORY: now.history}
        frame = views[table]() if table in views else now.read(table)
        if frame is None:
            job = _MADE_BY.get(table, "run")
            raise InputError(f"no complete run has written {table} in {lake.place} yet; run `rfm-spark {job}` first")
        return frame

    def restatement(self, spark: SparkSession, run_id: str, as_of: date | None = None) -> Restatement:
        """What a run changed of a snapshot that was published before, or what has changed of its own since.

        Raises: InputError where there is no such run, it is of another date than `as_of`, or has nothing beside it.
        """
        return restatement(Lake(spark, self.config.lake), run_id, as_of)

    def moves(self, spark: SparkSession, since: date, as_of: date) -> list[dict[str, Any]]:
        """Who moved from one published snapshot to a later one, each move with its cause; nothing is written.

        Returns: rows as those of `segment_migrations`, which holds the same of neighbours.
        Raises: ConfigError where `since` is not before `as_of`; InputError where one of the two is not published, or
            the events that the later one saw are not kept.
        """
        with self._run(spark, "show", as_of, dry_run=True, writes=False) as run:
            return moves(run, since)

    def audit(self, spark: SparkSession, id_: str | None = None) -> Audit:
        """How ids were joined to people; with `id_`, TYPE:VALUE, how one id came to its person.

        Raises: ConfigError without an identity section or such a type; InputError where there is nothing to audit.
        """
        session.adopt(spark)
        return audit(Lake(spark, self.config.lake), self.config.identity, id_)

    @contextmanager
    def _run(
        self, spark: SparkSession, job: str, as_of: date, *, dry_run: bool = False, writes: bool = True
    ) -> Iterator[Run]:
        dates.asked(as_of)
        session.adopt(spark)
        engines.require(engines.of(spark).name, self.config, writes=writes)
        run_id = str(uuid.uuid4())
        run = Run(
            spark=spark,
            config=self.config,
            lake=Lake(spark, self.config.lake, run_id, dry=dry_run),
            job=job,
            as_of=as_of,
            run_id=run_id,
            started_at=_now(),
            clock=_now,
            stage=self._stage,
        )
        with recorded(run):
            yield run


def _now() -> datetime:
    return datetime.now(UTC)

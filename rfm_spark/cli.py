"""The commands. Each is one call into `Project`; exit codes are those of `errors`."""

import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfm_spark import config as configs
from rfm_spark.config import dates
from rfm_spark.config.words import counted, without_secrets
from rfm_spark.errors import ConfigError, RfmSparkError
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.report.console import console

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from rfm_spark.project import Project

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
out, log = console(), console(stderr=True)

Config = Annotated[Path, typer.Argument(help="the project's YAML file")]
AsOf = Annotated[str, typer.Option("--as-of", help="the first day not seen, YYYY-MM-DD")]
Set = Annotated[list[str] | None, typer.Option("--set", help="override a value: a.b=c; may be repeated")]
LakePath = Annotated[str | None, typer.Option("--lake", help="write and read the tables under this path")]
Engine = Annotated[str, typer.Option("--engine", help="the engine that runs the job: spark or sail")]

SMALL_BYTES = 96 * 2**20  # some millions of events; more, and the full compiler pays
_ENDS: dict[object, tuple[int, str]] = {0: (0, "complete"), None: (0, "complete"), 2: (2, "invalid")}


@app.command()
def check(
    config: Config,
    set_: Set = None,
    lake: LakePath = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="print the project with every default filled in")
    ] = False,
) -> None:
    """Find every fault of a project file, and lint its rules over all scores. Starts no JVM."""
    loaded = configs.load_ready(config, set_ or [], lake)
    if defaults:
        out.print(configs.defaults(loaded), soft_wrap=True)
        return
    for warning in configs.warnings(loaded):
        out.print(f"warning: {warning}", soft_wrap=True)
    segments = sum(len(segmentation.segments) for segmentation in loaded.segmentations)
    sizes = {"source": len(loaded.sources), "segmentation": len(loaded.segmentations), "segment": segments}
    out.print(f"{config}: {', '.join(counted(n, thing) for thing, n in sizes.items())}: good")


@app.command()
def run(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="all gates, sizes and moves; nothing is published")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="run again as files land, until SIGINT or SIGTERM")] = False,
    every_seconds: Annotated[
        int | None, typer.Option("--every-seconds", min=1, help="with --watch: how often to look; default 60")
    ] = None,
) -> None:
    """Ingest and segment as one run, and print the segments."""
    if (every_seconds and not watch) or (watch and dry_run):
        raise ConfigError("--every-seconds goes with --watch, and --watch does not go with --dry-run")
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import runs

    if watch:
        _watch(project, _session(project, engine), day, every_seconds or 60)
        return
    done = project.run(_session(project, engine), day, dry_run=dry_run)
    runs.print_rows(out, project.config, done)
    runs.print_profiles(out, project.config, done)
    if dry_run:
        runs.print_moves(out, done)
        out.print("Dry run: nothing was published.")


@app.command()
def ingest(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    replay: Annotated[
        bool, typer.Option("--replay", help="judge the quarantined again under today's contract")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="with --replay: only rows with this reason")] = None,
) -> None:
    """Bring new rows of all sources into events, and the rest into quarantine."""
    if reason and not replay:
        raise ConfigError("--reason goes with --replay")
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import runs

    spark = _session(project, engine)
    done = project.replay(spark, day, reason) if replay else project.ingest(spark, day)
    runs.print_rows(out, project.config, done)


@app.command()
def segment(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    cut_points_from: Annotated[
        str | None, typer.Option("--cut-points-from", help="score with the cut-points of this snapshot")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="back-fill: snapshots from --as-of to this date")] = None,
    every: Annotated[
        str | None, typer.Option("--every", help="with --until: day, week, month (if not given), quarter or year")
    ] = None,
) -> None:
    """Measure, score and segment the customers of the events already in the lake."""
    if every and not until:
        raise ConfigError("--every goes with --until")
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import runs

    frozen = None if cut_points_from is None else _date(cut_points_from)
    if until is None:
        runs.print_profiles(out, project.config, project.segment(_session(project, engine), day, frozen))
        return
    from rfm_spark.steps import periods

    last = _date(until)
    periods.dates(day, last, every or "month")  # so that a wrong one is told before an engine starts
    done = project.backfill(_session(project, engine), day, last, every or "month", frozen)
    runs.print_profiles(out, project.config, done[-1])
    out.print(f"Published {len(done)} snapshots: {', '.join(str(run.as_of) for run in done)}", soft_wrap=True)


@app.command()
def predict(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    force: Annotated[
        bool, typer.Option("--force", help="publish although the back-test is outside of the tolerance")
    ] = False,
) -> None:
    """Predict who is still alive, how often they will order and what they will spend, by back-tested models."""
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import runs
    from rfm_spark.report.predictions import print_back_test, print_totals

    tell = partial(print_back_test, out)
    done, outcome = project.predict(_session(project, engine), day, force=force, tell=tell)
    print_totals(out, outcome, project.config.currency)
    runs.print_warnings(out, done)


@app.command()
def maintain(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list what would be done; nothing is changed")] = False,
) -> None:
    """Mend old tables, drop expired snapshots, compact small files, delete files that nobody needs."""
    from rfm_spark.report import tables

    project, day = _project(config, set_, lake, engine), _date(as_of)
    done = project.maintain(_session(project, engine), day, dry_run=dry_run)
    rows = [(one.table, one.action, one.what) for one in done.upkeep]
    out.print(tables.plain("Maintenance", ("table", "action", "what"), rows) if rows else "Nothing is to be done.")
    if dry_run:
        out.print("Dry run: nothing was changed.")


@app.command()
def target(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    plan: Annotated[
        bool, typer.Option("--plan", help="sizes, costs, returns and advice for every segment; nothing is published")
    ] = False,
) -> None:
    """Choose whom the campaigns contact, hold some out, and export the audiences."""
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import campaigns, runs

    done = project.target(_session(project, engine), day, plan=plan)
    campaigns.print_plans(out, project.config, done.plans)
    runs.print_warnings(out, done)
    if plan:
        out.print("Plan: nothing was published or exported.")
    for name, rows in done.counts.items():
        if name.startswith("export."):
            out.print(f"{name.removeprefix('export.')}: {rows:,} rows exported")


@app.command()
def measure(config: Config, as_of: AsOf, set_: Set = None, lake: LakePath = None, engine: Engine = "spark") -> None:
    """Measure what the campaigns changed, from the events after their sends."""
    project, day = _project(config, set_, lake, engine), _date(as_of)

    from rfm_spark.report import campaigns, runs

    done = project.measure(_session(project, engine), day)
    campaigns.print_results(out, project.config, done.results)
    runs.print_warnings(out, done)


@app.command()
def show(
    config: Config,
    as_of: AsOf,
    table: Annotated[
        str, typer.Argument(help="segments, quarantine, cut_points, runs, or any other table")
    ] = "segments",
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    moves: Annotated[bool, typer.Option("--moves", help="who moved since the snapshot before, and why")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="with --moves: from the snapshot of this date, not the one before")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="with --moves: nodes and links for a Sankey picture")] = False,
    diff: Annotated[
        str | None, typer.Option("--diff", help="what this run changed of a published snapshot, or was changed since")
    ] = None,
) -> None:
    """Print what is published, for people."""
    from rfm_spark.report import moves as moving
    from rfm_spark.report import show as shown

    if (json or since is not None) and not moves:
        raise ConfigError("--json and --since go with --moves")
    if (moves or diff is not None) and (table != "segments" or (moves and diff is not None)):
        raise ConfigError("--moves and --diff go without each other and without the name of a table")
    project, day, name = _project(config, set_, lake, engine), _date(as_of), shown.known_table(table)
    first = None if since is None else _date(since)
    spark = _session(project, engine)
    read = partial(project.read, spark)
    if diff is not None:
        moving.show_restatement(out, project.config, project.restatement(spark, diff, day))
    elif moves:
        rows = moving.published(read, day) if first is None else project.moves(spark, first, day)
        if json:
            out.print(moving.sankey(rows), soft_wrap=True, markup=False, highlight=False)
        else:
            moving.show_moves(out, read, day, rows)
    else:
        shown.show(out, read, name, day)


@app.command()
def explain(
    config: Config,
    as_of: AsOf,
    customer: Annotated[
        str, typer.Option("--customer", help="a customer_key, or an id in a source that is one person's")
    ],
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
) -> None:
    """Say why one customer is in a segment: inputs, cut-points, scores, the rule that fired."""
    from rfm_spark.report import explain as explained

    project, day = _project(config, set_, lake, engine), _date(as_of)
    explained.explain(out, partial(project.read, _session(project, engine)), day, customer)


@app.command()
def identity(
    config: Config,
    as_of: AsOf,
    set_: Set = None,
    lake: LakePath = None,
    engine: Engine = "spark",
    id_: Annotated[str | None, typer.Option("--id", help="one id, TYPE:VALUE: its person's links")] = None,
) -> None:
    """Say how ids were joined to people: sizes, what joins nobody, the largest and the most suspicious."""
    from rfm_spark.report import identity as audited

    project, _ = _project(config, set_, lake, engine), _date(as_of)
    audited.show(out, project.audit(_session(project, engine), id_))


@app.command()
def init(directory: Annotated[Path, typer.Argument(help="a new or empty folder")]) -> None:
    """Write a commented project to start from."""
    for path in configs.template.write(directory):
        out.print(str(path))
    out.print(f"Next: rfm-spark check {directory}/project.yaml")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; the last line of the log says it too.

    `RFM_SPARK_DEBUG=1` shows where an error came from.
    """
    debug = os.environ.get("RFM_SPARK_DEBUG") == "1"
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is to be cleaned up at the end is
    try:
        app(list(sys.argv[1:] if arguments is None else arguments), prog_name="rfm-spark")
    except SystemExit as ended:  # so typer ends, after it has said what is wrong with the arguments
        _leave(*_ENDS.get(ended.code, (1, "interrupted")))
    except Exception as error:
        if debug:
            raise
        if fault := _fault(error):
            log.print(f"error: {without_secrets(str(fault))}", soft_wrap=True)
            _leave(fault.exit_code, fault.status)
        told = "".join(str(error).strip().splitlines()[:1])[:500]
        if type(error).__module__.startswith("pyspark"):  # an engine quotes what it could not cast
            told = re.sub(r"'[^']*'|\"[^\"]*\"", "…", told)
        log.print(f"error: {type(error).__name__}: {without_secrets(told)}", soft_wrap=True)
        log.print("This is a bug of rfm_spark; RFM_SPARK_DEBUG=1 shows where.")
        _leave(1, "failed")


def _fault(error: Exception) -> RfmSparkError | None:
    """What a user can mend; also where a table that was found is not what a report then reads."""
    if isinstance(error, RfmSparkError):
        return error

    from rfm_spark.lake import damaged

    return damaged(error)


def _leave(code: int, status: str) -> None:
    log.print(f"rfm_spark: exit {code} ({status})")
    sys.exit(code)


def _project(config: Path, overrides: list[str] | None, lake: str | None, engine: str) -> "Project":
    loaded = configs.load_ready(config, overrides or [], lake)

    from rfm_spark import engines

    engines.require(engine, loaded)
    warnings = configs.warnings(loaded)
    if warnings:
        log.print(f"{counted(len(warnings), 'warning')} about the project file, listed by `rfm-spark check {config}`")

    from rfm_spark.project import Project
    from rfm_spark.report.progress import Progress

    return Project(loaded, Progress(log))


def _session(project: "Project", engine: str) -> "SparkSession":
    from rfm_spark import session

    if engine != "spark":
        log.print(f"Starting {engine.title()}", highlight=False)
        return session.build(engine=engine)
    size, small = _input_bytes(project), False
    if size is not None:
        small = size <= SMALL_BYTES
        log.print(
            f"Starting Spark for {size / 2**20:,.0f} MB of input: {'quick start' if small else 'full compiler'}",
            highlight=False,
        )
    return session.build(small=small, catalog=project.config.lake.catalog is not None)


def _input_bytes(project: "Project") -> int | None:
    """Bytes of all local inputs and of the lake; None where any of them is not local."""
    total = 0
    for place in [*(source.path for source in project.config.sources), project.config.lake.path]:
        if place is None or is_elsewhere(place):
            return None
        fixed = Path(without_scheme(place).split("*")[0])
        root = fixed if fixed.exists() else fixed.parent
        files = [root] if root.is_file() else root.rglob("*") if root.is_dir() else []
        total += sum(file.stat().st_size for file in files if file.is_file())
    return total


def _date(text: str) -> date:
    try:
        return dates.asked(date.fromisoformat(text))
    except ValueError:
        raise ConfigError(f"found {text!r}, expected a date such as 2011-12-10") from None


def _watch(project: "Project", spark: "SparkSession", day: date, seconds: int) -> None:
    """One line a look. A signal ends it after the run that is under way, a second one at once."""
    from rfm_spark.report import runs

    ended = threading.Event()

    def end(*_: object) -> None:
        if ended.is_set():
            sys.exit(0)
        ended.set()

    in_main = threading.current_thread() is threading.main_thread()
    before = {which: signal.signal(which, end) for which in (signal.SIGINT, signal.SIGTERM) if in_main}
    try:
        for done in project.watch(spark, day, lambda: ended.wait(seconds)):
            out.print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {runs.told(done)}", soft_wrap=True, highlight=False)
            runs.print_warnings(out, done)
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


if __name__ == "__main__":
    main()

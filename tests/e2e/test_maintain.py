"""Maintain a lake: readers see the same but for what expired, whoever writes beside it and wherever it dies."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from e2e import bad_input as bad
from e2e import faults
from e2e.commands import rfm_spark
from e2e.faults import FIRST, LATER, SECOND, SNAPSHOTS

from rfm_spark.errors import ConflictError, InputError

pytestmark = pytest.mark.slow_on_spark

AS_OF = date(2021, 6, 1)
KEEP = {"maintenance": "{keep: {daily: 1, monthly: 8}}"}  # the months from October
BEST = {"segmentations.value.segments.best.when": "r >= 2"}
KEEP_ARGUMENT = f"maintenance={KEEP['maintenance']}"
SHORT = {"maintenance": "{keep: {daily: 1, monthly: 8}, retention_hours: 0, allow_short_retention: true}"}


@pytest.fixture
def lake(october) -> str:
    """A lake with the snapshots of July and October."""
    return october


def rows_seen(spark, tiny) -> dict[str, list[dict]]:
    """What readers see of every table and view."""
    names = (*faults.TABLES, "current_segments", "segment_history")
    return {name: [rounded(row.asDict()) for row in tiny.read(spark, name).collect()] for name in names}


def rounded(row: dict) -> dict:
    """Without the last bit of fractions, which Sail may misread from the statistics of a file of one row."""
    return {name: round(value, 12) if isinstance(value, float) else value for name, value in row.items()}


def in_order(rows: list[dict]) -> list[str]:
    return sorted(map(repr, rows))


def without(day: date, seen: dict[str, list[dict]]) -> dict[str, list[str]]:
    """What is left for readers once a snapshot is gone."""
    return {
        name: in_order(row for row in rows if row.get("snapshot_date") != day)
        for name, rows in seen.items()
        if name != "segment_history"
    }


def versions(lake: str) -> dict[str, int]:
    return {path.name: DeltaTable(path).version() for path in Path(lake).iterdir()}


def dates(spark, tiny, table: str) -> set[date]:
    return {row["snapshot_date"] for row in tiny.read(spark, table).select("snapshot_date").distinct().collect()}


@pytest.mark.slow
def test_what_expired_goes_and_all_else_stays(spark, config, lake, undisturbed):
    tiny, dropping = faults.project(config, lake), faults.project(config, lake, **KEEP)
    before, at = rows_seen(spark, tiny), versions(lake)
    planned = dropping.maintain(spark, AS_OF, dry_run=True)
    assert versions(lake) == at
    assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before)

    done = dropping.maintain(spark, AS_OF)
    assert [(one.table, one.action) for one in planned.upkeep] == [(one.table, one.action) for one in done.upkeep]
    assert [one.table for one in done.upkeep if one.action == "drop"] == list(SNAPSHOTS)
    assert done.counts["customer_segments.rows_dropped"] == 20
    after = rows_seen(spark, tiny)
    assert without(date.min, after) == without(FIRST, before)
    assert {row["valid_from"] for row in after["segment_history"]} == {SECOND}
    run = tiny.read(spark, "runs").where("job = 'maintain'").head()
    assert (run["status"], run["counts"][f"dropped.{FIRST}"]) == ("complete", at["customer_segments"] - 1)
    july = tiny.read(spark, "runs").where(f"as_of = DATE'{FIRST}'").head()
    for table, version in july["table_versions"].items():  # within retention
        assert faults.content(f"{lake}/{table}", version) == undisturbed.july[table]
    said = rfm_spark(spark, "show", config, "--as-of", FIRST, "--lake", lake)
    assert said.code == 2
    assert f"no snapshot of {FIRST}; published: {SECOND}" in said.log
    again = dropping.maintain(spark, AS_OF)
    assert [one.action for one in again.upkeep] == []

    tiny.segment(spark, as_of=FIRST)  # made again, it is there again
    assert dates(spark, tiny, "customer_segments") == {FIRST, SECOND}
    assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before)
    tiny.segment(spark, as_of=LATER)
    assert dates(spark, tiny, "customer_metrics") == {FIRST, SECOND, LATER}


@pytest.mark.slow
def test_the_newest_and_what_scoring_names_stay(spark, config, lake):
    frozen = {"segmentations.value.scoring.method": "frozen", "segmentations.value.scoring.snapshot": str(FIRST)}
    tiny = faults.project(config, lake, maintenance="{keep: {daily: 1, yearly: 0}}", **frozen)
    done = tiny.maintain(spark, date(2030, 1, 1))
    assert [one for one in done.upkeep if one.action == "drop"] == []
    assert dates(spark, tiny, "cut_points") == {FIRST, SECOND}


@pytest.mark.slow
def test_of_one_that_dies_nothing_is_seen(spark, config, lake, monkeypatch):
    """After each step, and with a later run at another date, whose versions hold what it has dropped."""
    from rfm_spark.lake import Upkeep

    tiny, dropping = faults.project(config, lake), faults.project(config, lake, **KEEP)
    before = rows_seen(spark, tiny)
    for step in ("drop", "vacuum"):
        with monkeypatch.context() as patched:
            act = getattr(Upkeep, step)

            def die(self, spec, *rest, act=act, step=step):
                done = act(self, spec, *rest)
                if spec.name == "customer_segments":
                    raise faults.Killed(step)
                return done

            patched.setattr(Upkeep, step, die)
            with pytest.raises(faults.Killed, match=step):
                dropping.maintain(spark, AS_OF)
        assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before), step
    tiny.segment(spark, as_of=LATER)
    later = rows_seen(spark, tiny)
    for table in SNAPSHOTS:
        assert in_order(r for r in later[table] if r["snapshot_date"] != LATER) == in_order(before[table]), table
    dropping.maintain(spark, AS_OF)
    assert dates(spark, tiny, "customer_segments") == {SECOND, LATER}


@pytest.mark.slow
def test_what_a_run_that_died_has_replaced_is_put_back(spark, config, lake, undisturbed, monkeypatch):
    """So that readers need no log to know of it, whose old commits go; not while the run may be at work."""
    from rfm_spark.lake import upkeep

    tiny, other = faults.project(config, lake), faults.project(config, lake, **BEST)
    before = rows_seen(spark, tiny)
    with monkeypatch.context() as patched:
        faults.kill_after(patched, "segment_profiles")
        for day in (FIRST, SECOND):
            with pytest.raises(faults.Killed):
                other.segment(spark, as_of=day)
    assert [one for one in tiny.maintain(spark, AS_OF, dry_run=True).upkeep if one.action == "put back"] == []
    monkeypatch.setattr(upkeep, "_A_RUN", timedelta(0))
    planned = tiny.maintain(spark, AS_OF, dry_run=True)
    done = tiny.maintain(spark, AS_OF)
    assert [(one.table, one.action, one.what) for one in planned.upkeep if one.action == "put back"] == [
        (table, "put back", f"{FIRST}, {SECOND}") for table in SNAPSHOTS
    ]
    assert [(one.table, one.action) for one in done.upkeep] == [(one.table, one.action) for one in planned.upkeep]
    for table in SNAPSHOTS:  # by a reader that knows no runs
        assert faults.content(f"{lake}/{table}", DeltaTable(f"{lake}/{table}").version()) == undisturbed.october[table]
    at = versions(lake)
    assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before)
    assert [one for one in tiny.maintain(spark, AS_OF).upkeep if one.action == "put back"] == []
    assert {table: at[table] for table in SNAPSHOTS} == {table: versions(lake)[table] for table in SNAPSHOTS}
    tiny.segment(spark, as_of=LATER)
    assert in_order(r for r in rows_seen(spark, tiny)["customer_segments"] if r["snapshot_date"] != LATER) == in_order(
        before["customer_segments"]
    )


@pytest.mark.slow
def test_beside_runs_that_are_at_work(spark, config, lake, undisturbed):
    """A maintain within a run: neither notices, not even where the run makes the snapshot that expired."""

    def maintain():
        faults.project(config, lake, **KEEP).maintain(spark, AS_OF)

    tiny = faults.project(config, lake)
    october = {row["customer_key"]: row["segment"] for row in tiny.read(spark, "current_segments").collect()}
    faults.project(config, lake, before={"cut points": maintain}).segment(spark, as_of=FIRST)
    assert dates(spark, tiny, "customer_segments") == dates(spark, tiny, "customer_metrics") == {FIRST, SECOND}
    assert faults.published(spark, tiny)["events"] == undisturbed.october["events"]

    faults.project(config, lake, before={"quarantine": maintain}).run(spark, as_of=SECOND)
    assert dates(spark, tiny, "customer_metrics") == {SECOND}
    segments = {row["customer_key"]: row["segment"] for row in tiny.read(spark, "current_segments").collect()}
    assert segments == october
    assert {row["status"] for row in tiny.read(spark, "runs").collect()} == {"complete"}


@pytest.mark.slow
def test_what_no_complete_run_brought_stays_unseen(spark, config, undisturbed, tmp_path, monkeypatch):
    lake, orders = str(tmp_path / "lake"), tmp_path / "shop"
    folder = shutil.copytree(config.parent, orders, ignore=shutil.ignore_patterns("july", "october", "lake"))
    (folder / "orders" / "summer.csv").rename(folder / "summer.csv")
    tiny = faults.project(folder / "project.yaml", lake)
    tiny.run(spark, as_of=FIRST)
    before = rows_seen(spark, tiny)
    (folder / "summer.csv").rename(folder / "orders" / "summer.csv")
    with monkeypatch.context() as patched:
        faults.kill_after(patched, "customers")
        with pytest.raises(faults.Killed):
            tiny.ingest(spark, as_of=SECOND)
    short = faults.project(folder / "project.yaml", lake, **SHORT)
    for _ in range(2):
        left = [one.table for one in short.maintain(spark, AS_OF).upkeep if one.what.startswith("left: readers")]
        assert "customers" in left
        assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before)
    tiny.ingest(spark, as_of=SECOND)
    assert len(rows_seen(spark, tiny)["events"]) > len(before["events"])


@pytest.mark.slow
def test_one_that_loses_each_time_says_so(spark, config, lake, monkeypatch):
    from rfm_spark.lake import Upkeep

    tiny = faults.project(config, lake, **KEEP)
    before = rows_seen(spark, tiny)
    compact = Upkeep.compact

    def lose(self, spec):
        if spec.name == "events":
            raise ConflictError("another writer")
        return compact(self, spec)

    monkeypatch.setattr(Upkeep, "compact", lose)
    with pytest.raises(ConflictError, match=r"other runs were writing events in .*run maintain again") as raised:
        tiny.maintain(spark, AS_OF)
    assert raised.value.exit_code == 4
    assert without(date.min, rows_seen(spark, tiny)) == without(date.min, before)
    monkeypatch.undo()
    tiny.maintain(spark, AS_OF)
    assert dates(spark, tiny, "customer_segments") == {SECOND}


def test_the_command_says_what_it_does(spark, config, lake, tmp_path):
    dry = rfm_spark(spark, "maintain", config, "--as-of", AS_OF, "--lake", lake, "--dry-run", "--set", KEEP_ARGUMENT)
    assert dry.code == 0
    assert [row[:2] for row in dry.rows if row[1] == "drop"] == [(table, "drop") for table in SNAPSHOTS]
    assert dry.lines[-1] == "Dry run: nothing was changed."
    said = rfm_spark(spark, "maintain", config, "--as-of", AS_OF, "--lake", lake, "--set", KEEP_ARGUMENT)
    assert ("customer_segments", "drop", f"{FIRST}, 20 rows") in said.rows
    said = rfm_spark(spark, "maintain", config, "--as-of", AS_OF, "--lake", lake, "--set", KEEP_ARGUMENT)
    assert said.out == "Nothing is to be done.\n"
    shown = rfm_spark(spark, "show", config, "segment_history", "--as-of", AS_OF, "--lake", lake)
    assert shown.row("valid_to")[0] == "date"
    assert "20 rows" in shown.lines
    empty = rfm_spark(spark, "maintain", config, "--as-of", AS_OF, "--lake", tmp_path / "none")
    assert empty.code == 2
    assert "no table in" in empty.log


def test_a_short_retention_is_not_a_slip(config):
    said = rfm_spark(None, "check", config, "--set", "maintenance.retention_hours=24")
    assert said.code == 2
    assert "retention_hours of at least 168" in said.log
    assert "allow_short_retention: true" in said.log
    allowed = "maintenance={retention_hours: 24, allow_short_retention: true}"
    assert rfm_spark(None, "check", config, "--set", allowed).code == 0
    assert "retention_hours: 168" in rfm_spark(None, "check", config, "--defaults").out


def test_a_lake_without_tables(spark, config, tmp_path):
    with pytest.raises(InputError, match="no table in"):
        faults.project(config, str(tmp_path / "none")).maintain(spark, AS_OF)


@pytest.mark.slow
@pytest.mark.on_sail
def test_files_stay_few_however_many_days_are_run(spark, tmp_path):
    """Four a partition, and a partition a month of events and a snapshot that is kept; as README bounds a year."""
    from rfm_spark import Project

    keep = {"keep": {"daily": 6, "monthly": 2}, "retention_hours": 0, "allow_short_retention": True}
    config = bad.project_file(tmp_path, [bad.source_of("orders", "in/*.csv")], maintenance=keep)
    project, first = Project.load(config), date(2021, 1, 20)
    for n in range(24):
        day = first + timedelta(days=n)
        bad.write(tmp_path, {f"in/{n}.csv": bad.HEAD + f"c{n % 7},{day},{n + 1}\nc{n},{day},5\n"})
        project.run(spark, as_of=day + timedelta(days=1))
        if n % 8 == 7:
            project.maintain(spark, as_of=day + timedelta(days=1))
    months, kept = 2, len(dates(spark, project, "customer_segments"))
    assert 6 <= kept <= 6 + 2 + 1
    partitions = {"events": months, "segment_migrations": kept, **dict.fromkeys(SNAPSHOTS, kept)}
    files = {path.name: len(DeltaTable(path).file_uris()) for path in Path(project.config.lake.path).iterdir()}
    assert {name: n for name, n in files.items() if n > 4 * partitions.get(name, 1)} == {}

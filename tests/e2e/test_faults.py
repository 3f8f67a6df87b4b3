"""Runs that die, race, or find the disk full: what is published stays whole, and running again mends the rest."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e import faults
from e2e.commands import rfm_spark
from e2e.faults import FIRST, LATER, SECOND, SNAPSHOTS, TABLES, UNPUBLISHED
from e2e.test_evolution import current, replayed

from rfm_spark.errors import ConflictError, EnvironmentFault, GateError, InputError


@pytest.fixture
def lake(undisturbed, tmp_path) -> str:
    """A copy of the lake of July, with the snapshot of October yet to come."""
    return str(shutil.copytree(undisturbed.folder / "july", tmp_path / "lake"))


@pytest.mark.slow_on_spark
def test_killed_within_a_snapshot_and_run_again(spark, config, lake, undisturbed, monkeypatch):
    tiny = faults.project(config, lake)
    for table in (SNAPSHOTS[0], "segment_migrations", "segment_changes"):  # the slow test below does so after each
        with monkeypatch.context() as patched:
            faults.kill_after(patched, table)
            with pytest.raises(faults.Killed, match=table):
                tiny.segment(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.july
    tiny.segment(spark, as_of=SECOND)
    assert but_for_the_feed(faults.published(spark, tiny)) == but_for_the_feed(undisturbed.october)
    assert replayed(tiny, spark) == current(tiny, spark)
    assert statuses(spark, tiny) == ["complete", "complete"]  # the killed left no row


@pytest.mark.slow
@pytest.mark.on_sail
def test_killed_after_each_table_of_a_first_run_and_run_again(spark, config, undisturbed, tmp_path, monkeypatch):
    tiny = faults.project(config, str(tmp_path / "lake"))
    # one more table each time, on what the killed run before left
    for table in (*TABLES, "segment_migrations", "segment_changes"):
        with monkeypatch.context() as patched:
            faults.kill_after(patched, table)
            with pytest.raises(faults.Killed, match=table):
                tiny.run(spark, as_of=FIRST)
        with pytest.raises(InputError, match="no complete run"):
            tiny.read(spark, "current_segments")
    tiny.run(spark, as_of=FIRST)
    left = but_for_the_feed(faults.published(spark, tiny))
    assert len(left.pop("ingested_files")) > len(undisturbed.july["ingested_files"])  # the killed wrote there too
    july = but_for_the_feed(undisturbed.july)
    assert left == {table: rows for table, rows in july.items() if table != "ingested_files"}
    assert replayed(tiny, spark) == current(tiny, spark)
    assert tiny.read(spark, "ingested_files").count() == len(undisturbed.july["ingested_files"])


@pytest.mark.slow_on_spark
def test_what_a_dead_run_replaced_stays_as_published(spark, config, october, monkeypatch):
    tiny = faults.project(config, october)
    before = snapshots(spark, tiny)
    other = faults.project(config, october, **{"segmentations.value.segments.best.when": "r >= 2"})
    with monkeypatch.context() as patched:
        faults.kill_after(patched, "customer_segments")
        for day in (SECOND, UNPUBLISHED):
            with pytest.raises(faults.Killed):
                other.segment(spark, as_of=day)
    tiny.segment(spark, as_of=LATER)  # its versions of the tables hold what the dead runs left
    after = snapshots(spark, tiny)
    assert {row[0] for row in after["customer_segments"]} == {FIRST, SECOND, LATER}
    for table, rows in after.items():
        assert [row for row in rows if row[0] != LATER] == before[table]


@pytest.mark.slow
@pytest.mark.on_sail
def test_run_again_at_a_published_date(spark, config, october, undisturbed):
    tiny = faults.project(config, october)
    earlier = tiny.read(spark, "runs").where(f"as_of = DATE'{SECOND}'").head()
    tiny.run(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.october
    later = tiny.read(spark, "runs").where(f"as_of = DATE'{SECOND}' AND run_id <> '{earlier['run_id']}'").head()
    assert later["table_versions"]["events"] == earlier["table_versions"]["events"]
    for table in SNAPSHOTS:
        assert later["table_versions"][table] == earlier["table_versions"][table] + 1
        as_it_was = faults.content(f"{october}/{table}", earlier["table_versions"][table])
        assert as_it_was == undisturbed.october[table]


@pytest.mark.slow_on_spark
def test_of_interleaved_runs_at_one_date_the_one_that_overtook_wins(spark, config, lake, undisturbed):
    def segment_whole():
        faults.project(config, lake).segment(spark, as_of=SECOND)

    slow = faults.project(config, lake, before={"cut points": segment_whole})
    with pytest.raises(ConflictError, match="replaced the same slice of customer_metrics") as raised:
        slow.segment(spark, as_of=SECOND)
    assert raised.value.exit_code == 4
    assert faults.published(spark, slow) == undisturbed.october
    assert statuses(spark, slow) == ["complete", "complete", "conflict"]


@pytest.mark.slow
@pytest.mark.on_sail
def test_interleaved_runs_at_two_dates_are_both_published(spark, config, lake, undisturbed):
    def segment_first():
        faults.project(config, lake).segment(spark, as_of=FIRST)

    tiny = faults.project(config, lake, before={"segments": segment_first})
    tiny.segment(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.october
    assert statuses(spark, tiny) == ["complete"] * 3


@pytest.mark.slow_on_spark
def test_a_snapshot_that_should_be_compared_with_one_published_meanwhile(spark, config, lake, undisturbed):
    def segment_between():
        faults.project(config, lake).segment(spark, as_of=UNPUBLISHED)

    slow = faults.project(config, lake, before={"cut points": segment_between})
    with pytest.raises(ConflictError, match=f"published the snapshot of {UNPUBLISHED}.*run again"):
        slow.segment(spark, as_of=SECOND)
    assert statuses(spark, slow) == ["complete", "complete", "conflict"]


@pytest.mark.slow_on_spark
@pytest.mark.parametrize("other", [LATER, pytest.param(UNPUBLISHED, marks=pytest.mark.slow)], ids=["later", "between"])
def test_of_snapshots_that_end_at_once_one_is_published(spark, config, lake, monkeypatch, other):
    """The other is published between the last look at what is and the row that publishes: the feed is told again."""
    tiny = faults.project(config, lake)
    with monkeypatch.context() as patched:
        faults.run_after_looks(patched, lambda: faults.project(config, lake).segment(spark, as_of=other))
        with pytest.raises(ConflictError, match=r"published a snapshot.*run again") as raised:
            tiny.segment(spark, as_of=SECOND)
    assert raised.value.exit_code == 4
    assert statuses(spark, tiny) == ["complete", "complete", "conflict"]
    assert replayed(tiny, spark) == current(tiny, spark)
    tiny.segment(spark, as_of=SECOND)
    assert replayed(tiny, spark) == current(tiny, spark)


@pytest.mark.slow
@pytest.mark.slow_on_spark
def test_runs_of_other_kinds_that_end_at_once_are_both_published(spark, config, lake, monkeypatch):
    """One that fails as well: neither is what the other was decided on."""

    def failed():
        with pytest.raises(GateError):
            faults.project(config, lake, **{"contract.max_quarantined_share": 0}).ingest(spark, as_of=SECOND)

    tiny = faults.project(config, lake)
    with monkeypatch.context() as patched:
        faults.run_after_looks(patched, failed, lambda: faults.project(config, lake).ingest(spark, as_of=SECOND))
        tiny.segment(spark, as_of=SECOND)
    assert statuses(spark, tiny) == ["complete", "complete", "complete", "gate_failed"]


def test_two_ingests_at_once_bring_no_event_twice(spark, config, undisturbed, tmp_path):
    lake = str(tmp_path / "lake")

    def ingest_whole():
        faults.project(config, lake).ingest(spark, as_of=FIRST)

    slow = faults.project(config, lake, before={"events": ingest_whole})
    with pytest.raises(ConflictError, match="another run wrote events"):
        slow.ingest(spark, as_of=FIRST)
    seen = faults.published(spark, slow)
    assert {table: seen[table] for table in faults.INGESTED} == {t: undisturbed.july[t] for t in faults.INGESTED}


def test_a_failed_gate_leaves_the_earlier_snapshot(spark, config, lake, undisturbed):
    strict = faults.project(config, lake, **{"contract.max_quarantined_share": 0})
    with pytest.raises(GateError, match="do not meet the contract") as raised:
        strict.run(spark, as_of=SECOND)
    assert raised.value.exit_code == 3
    assert faults.published(spark, strict) == undisturbed.july
    row = strict.read(spark, "runs").where("status = 'gate_failed'").head()
    assert (row["exit_code"], row["counts"]["shop.quarantined"]) == (3, 11)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["{tmp_path}/file", "/proc"])
def test_a_lake_that_cannot_be_made(spark, config, tmp_path, folder):
    (tmp_path / "file").write_text("not a folder")
    tiny = faults.project(config, f"{folder.format(tmp_path=tmp_path)}/lake")
    assert_environment(lambda: tiny.ingest(spark, as_of=FIRST), "no folder can be made there")


def test_a_read_only_lake(spark, config, undisturbed, tmp_path):
    with faults.small_disk(tmp_path / "disk", 8) as mount_again:
        lake = str(shutil.copytree(undisturbed.folder / "july", tmp_path / "disk" / "lake"))
        mount_again("ro")
        tiny = faults.project(config, lake)
        assert_environment(lambda: tiny.segment(spark, as_of=SECOND), "no right to write there")
        assert faults.published(spark, tiny) == undisturbed.july


def test_a_full_disk(spark, config, undisturbed, tmp_path):
    with faults.small_disk(tmp_path / "disk", 8):
        lake = str(shutil.copytree(undisturbed.folder / "july", tmp_path / "disk" / "lake"))
        free = shutil.disk_usage(tmp_path / "disk").free
        (tmp_path / "disk" / "ballast").write_bytes(b"0" * (free - 2**15))
        tiny = faults.project(config, lake)
        assert_environment(lambda: tiny.segment(spark, as_of=SECOND), "the disk is full")
        assert faults.published(spark, tiny) == undisturbed.july


@pytest.mark.slow_on_spark
def test_a_lake_that_lost_a_table(spark, config, undisturbed, tmp_path):
    lake = shutil.copytree(undisturbed.folder / "july", tmp_path / "lake")
    shutil.rmtree(lake / "events")
    tiny = faults.project(config, str(lake))
    assert_environment(lambda: tiny.segment(spark, as_of=SECOND), "gone or damaged")
    said = rfm_spark(spark, "show", config, "events", "--as-of", FIRST, "--lake", lake)
    assert (said.code, "gone or damaged" in said.log) == (5, True)


@pytest.mark.on_sail
def test_a_file_that_goes_while_a_run_has_read_it_and_another_looks(spark, config, tmp_path):
    """The other takes the first for dead, and its rows out: so the first is not published, as if they were there."""
    folder = shutil.copytree(config.parent, tmp_path / "tiny")
    own, lake = folder / config.name, str(tmp_path / "both")

    def look_without_the_file():
        (folder / "orders" / "summer.csv").unlink()
        faults.project(own, lake).ingest(spark, as_of=FIRST)

    with pytest.raises(ConflictError, match=r"taken out .* the rows of files.*run again"):
        faults.project(own, lake, before={"quarantine": look_without_the_file}).ingest(spark, as_of=FIRST)
    tiny = faults.project(own, lake)
    assert statuses(spark, tiny) == ["complete", "conflict"]
    found = tiny.read(spark, "events").select("source_file").distinct().collect()
    assert [Path(row["source_file"]).name for row in found] == ["spring.csv"]
    assert tiny.ingest(spark, as_of=FIRST).counts.get("events.removed", 0) == 0


@pytest.mark.spark_only
@pytest.mark.slow
def test_a_driver_killed_for_real(spark, config, lake, undisturbed):
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(faults.__file__).parent.parent)!r})
from e2e import faults
from rfm_spark import session
def wait(): print("now", flush=True); time.sleep(600)
tiny = faults.project({str(config)!r}, {lake!r}, before={{"profiles": wait}})
tiny.run(session.build(small=True), as_of=faults.SECOND)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert driver.stdout.readline() == "now\n"
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # Python and its JVM
        driver.wait()
        driver.stdout.close()
    tiny = faults.project(config, lake)
    assert faults.published(spark, tiny) == undisturbed.july
    tiny.run(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.october


def snapshots(spark, tiny) -> dict[str, list[tuple]]:
    """The published rows of each table of snapshots, the snapshot first."""
    read = {table: tiny.read(spark, table) for table in SNAPSHOTS}
    others = {table: [name for name in frame.columns if name != "snapshot_date"] for table, frame in read.items()}
    return {
        table: sorted(map(tuple, frame.select("snapshot_date", *others[table]).collect()), key=repr)
        for table, frame in read.items()
    }


def but_for_the_feed(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without the table that holds what runs that died have appended as well, for readers to leave out."""
    return {table: rows for table, rows in tables.items() if table != "segment_changes"}


def statuses(spark, tiny) -> list[str]:
    return sorted(row["status"] for row in tiny.read(spark, "runs").collect())


def assert_environment(act, told: str) -> None:
    with pytest.raises(EnvironmentFault, match=told) as raised:
        act()
    assert raised.value.exit_code == 5
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 300

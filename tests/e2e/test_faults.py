"""Runs that die, race, or find the disk full: what is published stays whole, and running again mends the rest."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e import faults
from e2e.faults import FIRST, SECOND, TABLES

from rfm_spark.errors import ConflictError, EnvironmentFault, GateError


@pytest.fixture
def undisturbed(spark, tmp_path_factory) -> faults.Undisturbed:
    """What undisturbed runs leave."""
    return faults.undisturbed(spark, tmp_path_factory)


@pytest.fixture
def config(undisturbed) -> Path:
    """The project file."""
    return undisturbed.config


@pytest.fixture
def lake(undisturbed, tmp_path) -> str:
    """A copy of the lake of July, with the orders of summer yet to come."""
    return str(shutil.copytree(undisturbed.folder / "july", tmp_path / "lake"))


@pytest.fixture
def october(undisturbed, tmp_path) -> str:
    """A copy of the lake of October."""
    return str(shutil.copytree(undisturbed.folder / "october", tmp_path / "lake"))


def test_killed_after_each_table_and_run_again(spark, config, lake, undisturbed, monkeypatch):
    tiny = faults.project(config, lake)
    for table in TABLES:  # one more table each time, on what the killed run before left
        with monkeypatch.context() as patched:
            faults.kill_after(patched, table)
            with pytest.raises(faults.Killed, match=table):
                tiny.run(spark, as_of=SECOND)
        seen = ("events", "customer_metrics", "current_segments")
        assert {t: faults.content(tiny.read(spark, t)) for t in seen} == {t: undisturbed.july[t] for t in seen}
    assert tiny.read(spark, "runs").count() == 1
    tiny.run(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.october


def test_run_again_at_a_published_date(spark, config, october, undisturbed):
    from rfm_spark.lake import Lake

    tiny = faults.project(config, october)
    earlier = tiny.read(spark, "runs").where(f"as_of = DATE'{SECOND}'").head()
    tiny.run(spark, as_of=SECOND)
    assert faults.published(spark, tiny) == undisturbed.october
    versions = {row["run_id"]: row["table_versions"] for row in tiny.read(spark, "runs").collect()}
    later = next(own for run_id, own in versions.items() if own["customer_segments"] > 1)
    stored = Lake(spark, tiny.config.lake)
    for table in TABLES:
        assert faults.content(stored.read(table, earlier["table_versions"][table])) == undisturbed.october[table]
    assert later["customer_segments"] == earlier["table_versions"]["customer_segments"] + 1
    assert later["events"] == earlier["table_versions"]["events"]


def test_of_interleaved_runs_at_one_date_the_one_that_overtook_wins(spark, config, lake, undisturbed):
    def run_whole():
        faults.project(config, lake).run(spark, as_of=SECOND)

    slow = faults.project(config, lake, before={"cut points": run_whole})
    with pytest.raises(ConflictError, match="replaced the same slice of customer_metrics") as raised:
        slow.run(spark, as_of=SECOND)
    assert raised.value.exit_code == 4
    assert faults.published(spark, slow) == undisturbed.october
    assert statuses(spark, slow) == ["complete", "complete", "conflict"]


def test_interleaved_runs_at_two_dates_are_both_published(spark, config, october, undisturbed):
    def run_other():
        faults.project(config, october).segment(spark, as_of=FIRST)

    tiny = faults.project(config, october, before={"segments": run_other})
    tiny.segment(spark, as_of=SECOND)
    assert statuses(spark, tiny) == ["complete"] * 4
    published = faults.published(spark, tiny)
    assert published["current_segments"] == undisturbed.october["current_segments"]
    assert published["customer_metrics"] == undisturbed.october["customer_metrics"]


def test_two_ingests_at_once_bring_no_event_twice(spark, config, lake, undisturbed):
    def ingest_whole():
        faults.project(config, lake).ingest(spark, as_of=SECOND)

    slow = faults.project(config, lake, before={"events": ingest_whole})
    with pytest.raises(ConflictError, match="another run wrote events"):
        slow.ingest(spark, as_of=SECOND)
    assert faults.content(slow.read(spark, "events")) == undisturbed.october["events"]
    assert faults.content(slow.read(spark, "quarantine")) == undisturbed.october["quarantine"]


def test_a_failed_gate_leaves_the_earlier_snapshot(spark, config, lake, undisturbed):
    strict = faults.project(config, lake, **{"contract.max_quarantined_share": 0})
    with pytest.raises(GateError, match="do not meet the contract") as raised:
        strict.run(spark, as_of=SECOND)
    assert raised.value.exit_code == 3
    assert faults.published(spark, strict) == undisturbed.july
    row = strict.read(spark, "runs").where("status = 'gate_failed'").head()
    assert (row["exit_code"], row["counts"]["shop.quarantined"]) == (3, 4)


def test_a_lake_that_cannot_be_made_is_one_line(spark, config, undisturbed, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert_environment(lambda: faults.project(config, f"{tmp_path}/file/lake").run(spark, as_of=FIRST))


def test_a_read_only_lake(spark, config, undisturbed, tmp_path):
    with faults.small_disk(tmp_path / "disk", 8) as mount_again:
        lake = str(shutil.copytree(undisturbed.folder / "july", tmp_path / "disk" / "lake"))
        mount_again("ro")
        tiny = faults.project(config, lake)
        assert_environment(lambda: tiny.run(spark, as_of=SECOND), "no right to write there")
        assert faults.published(spark, tiny) == undisturbed.july


def test_a_full_disk(spark, config, undisturbed, tmp_path):
    with faults.small_disk(tmp_path / "disk", 8):
        lake = str(shutil.copytree(undisturbed.folder / "july", tmp_path / "disk" / "lake"))
        free = shutil.disk_usage(tmp_path / "disk").free
        (tmp_path / "disk" / "ballast").write_bytes(b"0" * (free - 2**16))
        tiny = faults.project(config, lake)
        assert_environment(lambda: tiny.run(spark, as_of=SECOND), "the disk is full")
        assert faults.published(spark, tiny) == undisturbed.july
        (tmp_path / "disk" / "ballast").unlink()
        tiny.run(spark, as_of=SECOND)
        assert faults.published(spark, tiny) == undisturbed.october


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


def statuses(spark, tiny) -> list[str]:
    return sorted(row["status"] for row in tiny.read(spark, "runs").collect())


def assert_environment(act, told: str = "") -> None:
    with pytest.raises(EnvironmentFault, match=told) as raised:
        act()
    assert raised.value.exit_code == 5
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 300

"""How cost grows: exponents, the event log, what a cluster is sized from, and the page; no time is asserted."""

import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="scripts/bench installs it")
import pyarrow.dataset
from benchmark import event_log, generate, growth, growth_page, job, ours, report, sizing

from rfm_spark.config import load_ready

SEED = 7


def test_default_data_are_as_they_were():
    """Stored results are of these: a change of the data must not pass for a change of what is measured."""
    rows = generate.month_of_block(0, 4_000, 3, SEED)
    digest = hashlib.sha256()
    for name, column in vars(rows).items():
        digest.update(name.encode())
        digest.update(column.tobytes())
    assert len(rows) == 662
    assert digest.hexdigest() == "7eb59195f2dd1a8243bad1ad2a8cf1c78b9a105b3ea71a0a4979373a2b28a4bd"


@pytest.mark.parametrize(("events", "customers"), [(50_000, 1_000), (50_000, 10_000), (200_000, 10_000)])
def test_events_of_so_many_customers(tmp_path, events, customers):
    people = generate.people_for(customers, events)
    data = generate.generate(tmp_path, events, SEED, raw=False, people=people)
    keys = pyarrow.dataset.dataset(data.events).to_table(columns=["customer_key"])["customer_key"]
    assert len(keys) == pytest.approx(events, rel=0.1)
    assert len(keys.unique()) == pytest.approx(customers, rel=0.05)
    assert data.folder != generate.generate(tmp_path, events, SEED, raw=False).folder


def test_too_few_events_for_so_many_customers():
    with pytest.raises(ValueError, match="too few"):
        generate.people_for(10_000, 15_000)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.05, 2.0])
def test_exponent_of_a_power_law(power):
    sizes = [1, 10, 50, 200]
    assert growth.exponent(sizes, [3.5 * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize(("sizes", "costs"), [([], []), ([5], [1.0]), ([5, 5], [1.0, 2.0]), ([1, 2], [0.0, 1.0])])
def test_no_exponent_of_less_than_two_costs(sizes, costs):
    assert growth.exponent(sizes, costs) is None


def test_exponents_take_start_up_off_and_leave_noise_out():
    result = _result("events", {1: 10.5, 10: 15.0, 100: 60.0})  # start-up 10: above it 0.5, 5, 50
    found = growth.exponents(result)
    assert found.above_start == pytest.approx(1.0)
    assert found.last_step == pytest.approx(1.0)
    assert found.whole == pytest.approx(0.378, abs=0.001)
    assert [growth.told_apart(result, point) for point in growth.done(result)] == [False, True, True]


def test_sources_share_the_same_files(tmp_path):
    data = generate.generate(tmp_path, 10_000, SEED, raw=True)
    for _ in range(2):
        folders = growth.dealt(data, 9)
    files = {name: list(Path(folder).glob("*.parquet")) for name, folder in folders.items()}
    assert [len(some) for some in files.values()] == [8] * 9
    assert sum(file.stat().st_size for some in files.values() for file in some) == data.bytes("raw")


def test_projects_of_many_sources_and_segmentations_are_valid(tmp_path):
    folders = {f"source_{i}": str(tmp_path / str(i)) for i in range(9)}
    project = tmp_path / "bench.yaml"
    project.write_text(json.dumps(ours.config(job.Data(tmp_path), tmp_path / "lake", folders, 16)))
    config = load_ready(project, [], None)
    assert len(config.sources) == 9
    assert len({(s.name, s.scoring.bins) for s in config.segmentations}) == 16


# --- the event log ---------------------------------------------------------------------------------------------------


def test_event_log_of_two_files(tmp_path):
    folder = tmp_path / "eventlog_v2_local-1"
    folder.mkdir()
    (folder / "appstatus_local-1.inprogress").write_text("")
    (folder / ".events_1_local-1.crc").write_bytes(b"\x00")
    first = [
        {"Event": "SparkListenerApplicationStart", "App ID": "local-1"},
        _task(0, ms=1500, written=400, memory=70),
        _task(0, ms=500, written=200, memory=30),
        _block("rdd_4_0", 90, 10),
        _block("broadcast_1", 5_000, 0),
        {"Event": "SparkListenerStageCompleted", "Stage Info": {"Stage ID": 0}},
    ]
    second = [
        _block("rdd_4_1", 50, 0),
        _block("rdd_4_0", 0, 0),
        {"Event": "SparkListenerTaskEnd", "Stage ID": 1, "Task End Reason": {"Reason": "ExceptionFailure"}},
        _task(1, ms=900, read=(100, 500), memory=20, spilled=33, given=12),
        {"Event": "SparkListenerStageCompleted", "Stage Info": {"Stage ID": 1}},
    ]
    for number, events in enumerate((first, second), 1):
        text = "\n".join(map(json.dumps, events))
        (folder / f"events_{number}_local-1").write_text(text + ('\n{"Event": "SparkLi' if number == 2 else "\n"))
    assert event_log.read(tmp_path) == event_log.EventLog(
        stages=2,
        tasks=3,
        shuffles=1,
        shuffle_written_bytes=600,
        shuffle_read_bytes=600,
        largest_shuffle_bytes=600,
        spilled_bytes=33,
        input_bytes=12,
        cached_bytes=150,
        task_seconds=2.9,
        longest_task=event_log.Task(1.5, 0, 70),
        task_memory_bytes=70,
        task_shuffle_read_bytes=600,
    )


def test_no_event_log(tmp_path):
    assert event_log.read(tmp_path) is None


def _task(stage, ms, written=0, read=(0, 0), memory=0, spilled=0, given=0):
    metrics = {
        "Executor Run Time": ms,
        "Peak Execution Memory": memory,
        "Disk Bytes Spilled": spilled,
        "Shuffle Read Metrics": {"Remote Bytes Read": read[0], "Local Bytes Read": read[1]},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": written},
        "Input Metrics": {"Bytes Read": given},
    }
    return {"Event": "SparkListenerTaskEnd", "Stage ID": stage, "Task Metrics": metrics}


def _block(block, memory, disk):
    info = {"Block ID": block, "Memory Size": memory, "Disk Size": disk}
    return {"Event": "SparkListenerBlockUpdated", "Block Updated Info": info}


# --- a cluster -------------------------------------------------------------------------------------------------------


def test_linear_cost_is_found_again():
    sizes = [(1e6, 1e5), (1e7, 1e6), (1e7, 1e5), (5e7, 1e6)]
    found = sizing.linear([(n, m, 3 + 2e-6 * n + 5e-6 * m) for n, m in sizes])
    assert (found.fixed, found.an_event, found.a_customer) == pytest.approx((3, 2e-6, 5e-6))
    assert found.worst == pytest.approx(0, abs=1e-9)
    assert found.at(2e9, 1e8) == pytest.approx(4503)


def test_no_coefficient_is_below_nothing():
    found = sizing.linear([(1, 1, 10), (2, 1, 9), (2, 2, 21), (4, 2, 20)])
    assert min(found.fixed, found.an_event, found.a_customer) >= 0


def test_linear_cost_needs_events_and_customers_apart():
    assert sizing.linear([(n, n / 10, n) for n in (10, 100, 1000)]) is None


def test_cluster():
    """10,000 CPU seconds in 1,000 at half busy are 20 cores: 5 executors; 40 GB of shuffle in tasks of 0.1 GB."""
    measures = sizing.Measures(
        cpu_seconds=sizing.Linear(0, 1e-5, 0, 0),
        shuffled_bytes=sizing.Linear(0, 40, 0, 0),
        cached_bytes=sizing.Linear(0, 0, 120, 0),
        busy=0.5,
        largest_shuffle=1.0,
        task_read_bytes=100_000_000,
        task_memory_bytes=300_000_000,
        start_seconds=200,
    )
    found = sizing.cluster(measures, events=1e9, customers=1e8, minutes=20)
    assert (found.cores, found.executors, found.partitions) == (20, 5, 400)
    assert found.executor_bytes == pytest.approx(sizing.RESERVED_BYTES + (1.2e9 + 12e9 / 5) / 0.6)
    with pytest.raises(ValueError, match="more than the start"):
        sizing.cluster(measures, 1e9, 1e8, minutes=3)


# --- the page --------------------------------------------------------------------------------------------------------


def test_page_of_one_dimension(tmp_path):
    _store(tmp_path, _result("segmentations", {1: 20.0, 4: 26.0, 16: 50.0}, grown="size"))
    page = growth_page.page(tmp_path)
    assert "| segmentations | million raw rows | million customers | wall s |" in page
    assert "| 16 | 1 | 0.1 | 30.0 | 50.0 | 40.0 | 2.0 |" in page
    assert "Exponent **0.50** above start-up (limit 1.05: met)" in page
    assert "Each further segmentation takes 2.0 s of CPU." in page
    assert "What the engine moved" not in page


def test_page_tells_what_missed_the_limit_and_what_failed(tmp_path):
    result = _result("events", {1: 20.0, 10: 210.0})
    point = {"status": "timeout", "wall_seconds": 1800.0, "message": "", "size": 100_000_000, "rows": 100_000_000}
    result["points"].append(result["points"][0] | point)
    _store(tmp_path, result)
    page = growth_page.page(tmp_path)
    assert "Exponent **1.30** above start-up (limit 1.05: NOT met)" in page
    assert "timeout after 1,800" in page


def test_page_sizes_a_cluster(tmp_path):
    alone = {"events-a-customer": 100_000, "customers": None, "events": None}
    for name, customers in alone.items():
        result = _result(name, {1: 12.0, 10: 30.0, 100: 210.0})
        for point in result["points"]:
            millions = point["size"] / 1e6
            point["rows"] = 50_000_000 if name == "customers" else point["size"]
            point["customers"] = customers or (point["size"] if name == "customers" else point["size"] // 10)
            point["cpu_seconds"] = 10 + 5 * point["rows"] / 1e6 + 10 * point["customers"] / 1e6
            point["event_log"] = _log(int(20 * point["rows"] + 50 * point["customers"]), int(millions))
        _store(tmp_path, result)
    growth_page.write(tmp_path)
    page = (tmp_path / "growth.md").read_text()
    assert "CPU seconds above start-up = 0 + 5.00 · N + 10.00 · M" in page
    assert "20.0 bytes an event and 50.0 a customer" in page
    assert "NOT flat" not in page
    assert "Extrapolated:" in page


def test_stored_growth_is_not_in_the_table_of_sides(tmp_path):
    _store(tmp_path, _result("events", {1: 20.0}))
    assert report.tables(tmp_path) == ""


def _result(dimension, costs, grown="rows"):
    million = 1_000_000
    points = [
        {
            "when": "2026-01-01T00:00:00+00:00",
            "command": ["scripts/bench", "--growth", dimension],
            "commit": "abc1234",
            "load_before": [0.1, 0.1, 0.1],
            "size": size if grown == "size" else size * million,
            "rows": million if grown == "size" else size * million,
            "customers": 100_000 if grown == "size" else size * million // 10,
            "status": "done",
            "wall_seconds": 30.0,
            "cpu_seconds": cost,
            "peak_mb": 2048.0,
            "runs": [{}],
        }
        for size, cost in costs.items()
    ]
    return {
        "dimension": dimension,
        "engine": "spark",
        "fixed": million,
        "machine": {"processor": "a processor", "cores": 2, "memory_gb": 16.0},
        "versions": {"pyspark": "4.2.0"},
        "start": {"status": "done", "wall_seconds": 20.0, "cpu_seconds": 10.0},
        "points": points,
    }


def _log(shuffled, size):
    log = event_log.parse(iter([json.dumps(_task(0, ms=1000 * size, written=shuffled, memory=50_000_000))]))
    return log.as_dict() | {"task_shuffle_read_bytes": 10_000_000, "cached_bytes": 5 * shuffled}


def _store(folder, result):
    growth.file_of(folder, result["dimension"], "spark").write_text(json.dumps(result))

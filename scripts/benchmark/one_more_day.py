"""One more day, and what else a segmentation that lives costs: ingest of a day, back-fill, and what a peer takes anew.

All lies on one lake, whose events are files of a month, and each step is measured after the same was done before, in
one process and session: the date whose only earlier snapshot is forty days back is segmented again and again, which is
all events each time; then day after day; then twelve months by one back-fill. The metrics that were moved on are
compared with those of all events. Another process ingests days of new files, the same whatever the lake holds. A last
one, measured from start to end, ingests and segments one more day; beside it, on Sail, peers do the classic job on all
events. CPU seconds are those of the process and all that it started.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmark import job, report
from benchmark.generate import day_of_raws, generate, people_for
from benchmark.growth import ENGINES
from benchmark.job import Data
from benchmark.measure import descendants, measured
from benchmark.ours import REFUNDS
from rfm_spark import Project, schemas
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import activity, metrics

KINDS = {
    "orders": "ten orders a customer, of two or three rows each",
    "contacts": "200 events a customer, nine of ten contacts or engagements",
}
ROWS_A_CUSTOMER = 22  # ten orders
EVENTS_A_CUSTOMER = 200
_LONG_BEFORE = timedelta(days=40)
_DAYS = 2  # moved on, after one that is not counted; as many of all events, and ingested
_BACK_FILL = (date(2024, 1, 1), date(2024, 12, 1), "month")
_PEOPLE_A_DAY = 50_000  # of whom some thousands order
_TAKEN = ("wall_seconds", "cpu_seconds")
PEERS = ("DuckDB", "Polars")


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size and kind that is asked for; each is stored as soon as it is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for events in asked.events:
        for kind in KINDS:
            say(f"one more day, {kind} {events:,}: generating where it is missing")
            found = _measure(asked, kind, events, data_of(asked.cache, kind, events, asked.seed))
            file = folder / f"one-more-day-{kind}-{events}-{asked.engine}.json"
            file.write_text(json.dumps(found, indent=1) + "\n")
            for line in told(found):
                say(f"one more day, {kind} {events:,}: {line}")


def _measure(asked: argparse.Namespace, kind: str, events: int, data: Data) -> dict[str, Any]:
    """The parts, each in a process of its own on the lake that the one before it left; then the peers."""
    found: dict[str, Any] = {"kind": kind, "about": KINDS[kind], "engine": asked.engine, "events": events}
    found |= {"seed": asked.seed, **report.surroundings(["scripts/bench", *sys.argv[1:]])}
    found |= {"load_before": os.getloadavg(), "processes": {}}
    out = data.folder / f"day-{asked.engine}"
    for old in (out, _landing(out)):
        shutil.rmtree(old, ignore_errors=True)
    for part in PARTS:
        with _logged(asked.engine, out / "event_log"):
            log = out.with_name(f"{out.name}-{part}.log")
            one = measured(["day", part, asked.engine, str(data.folder), str(out)], log, asked.timeout, asked.memory)
        found["processes"][part] = one.as_dict()
        if one.status != "done":
            break
        found |= json.loads((out / f"{part}.json").read_text())
    found["peers"] = {side: _peer(asked, side, data) for side in PEERS} if asked.engine == "sail" else {}
    return found | {"load_after": os.getloadavg()}


def _peer(asked: argparse.Namespace, side: str, data: Data) -> dict[str, Any]:
    """A full recompute of the classic job, as many times as are asked for."""
    out, runs = data.folder / "peer", []
    for _ in range(asked.repeats):
        shutil.rmtree(out, ignore_errors=True)
        log = out.with_suffix(".log")
        runs.append(measured(["one", "classic", side, str(data.folder), str(out)], log, asked.timeout, asked.memory))
    shutil.rmtree(out, ignore_errors=True)
    return report.summary([one.as_dict() for one in runs])


def told(found: dict[str, Any]) -> list[str]:
    """A stored result in lines for people."""
    lines = [f"{part}: {one['status']} {one['message']}" for part, one in found["processes"].items() if one["message"]]
    if "cost" in found:
        cost = found["cost"]
        lines.append(f"segment: {cost['cpu_seconds']} of the CPU and {cost['wall_seconds']} of the time of all events")
    if "back_fill" in found:
        done = found["back_fill"]
        lines.append(
            f"back-fill: {done['snapshots']} snapshots take {done['cost']['cpu_seconds']} times the CPU and "
            f"{done['cost']['wall_seconds']} times the time of one ({done['wall_seconds']} s)"
        )
    if "ingests" in found:
        middle = {name: _median(found["ingests"], name) for name in ("rows", "wall_seconds", "cpu_seconds")}
        lines.append(
            f"ingest: a day of {middle['rows']:,} rows takes {middle['wall_seconds']} s, {middle['cpu_seconds']} s of "
            "CPU, whatever lies below it: compare the sizes"
        )
    if "run" in found["processes"]:
        sides = {"ingest and segment": found["processes"]["run"], **found["peers"]}
        each = (f"{side} {_in_words(one)}" for side, one in sides.items())
        lines.append(f"from start to end of a process: {'; '.join(each)}")
    return lines


def _in_words(one: Mapping[str, Any]) -> str:
    if one["status"] != "done":
        return f"{one['status']} after {one['wall_seconds']} s"
    return f"{one['wall_seconds']} s, CPU {one['cpu_seconds']} s"


def work(part: str, engine: str, folder: str, out: str) -> None:
    """The work of one part, in its own process."""
    data, lake = Data(Path(folder)), Path(out)
    landing = {name: str(_landing(lake) / name) for name in job.SOURCES}
    project, spark = import_module(ENGINES[engine]).opened(data, lake, landing)
    left = PARTS[part](project, spark, data, landing)
    (lake / f"{part}.json").write_text(json.dumps(left))


def _segments(project: Project, spark: SparkSession, data: Data, _: dict[str, str]) -> dict[str, Any]:
    """Snapshots of all events, then moved on, then as a back-fill."""
    with project._run(spark, "ingest", job.AS_OF) as brought:
        _bring(brought, spark.read.parquet(data.events))
    first = job.AS_OF - timedelta(days=_DAYS + 1)
    days = [first - _LONG_BEFORE, *[first] * (_DAYS + 1), *(first + timedelta(days=n) for n in range(1, _DAYS + 2))]
    runs = []
    for day in days:
        done, taken = _taken(partial(project.segment, spark, as_of=day))
        runs.append({"as_of": str(day), **taken, **_customers(done)})
    whole, moved = runs[2 : _DAYS + 2], runs[_DAYS + 3 :]
    done = activity.activity(project.read(spark, "events"), REFUNDS, job.AS_OF)
    expected = metrics.metrics(done, None, job.BOUNDARIES)
    found = project.read(spark, "customer_metrics").filter(F.col("snapshot_date") == F.lit(job.AS_OF))
    equal = _digest(found, expected.columns) == _digest(expected, expected.columns)
    snapshots, taken = _taken(partial(project.backfill, spark, *_BACK_FILL))
    one_each = [{"as_of": str(run.as_of), **_customers(run)} for run in snapshots]
    filled = {"snapshots": len(snapshots), **taken, "cost": _ratio(taken, whole), "each": one_each}
    middle = {name: _median(moved, name) for name in _TAKEN}
    return {
        "cost": _ratio(middle, whole), "equal": equal, "all_events": whole, "moved_on": moved, "back_fill": filled
    }  # fmt: skip


def _ingests(project: Project, spark: SparkSession, _: Data, landing: dict[str, str]) -> dict[str, Any]:
    """Day after day of new files, the first not counted; the last day is left for `run`."""
    ingests = []
    for n in range(_DAYS + 2):
        rows = land(landing, n)
        done, taken = _taken(partial(project.ingest, spark, as_of=job.AS_OF + timedelta(days=n + 1)))
        brought = sum(done.counts[f"{name}.accepted"] for name in landing)
        ingests.append({"rows": rows, "accepted": brought, **taken})
    project.segment(spark, as_of=job.AS_OF + timedelta(days=_DAYS + 2))
    land(landing, _DAYS + 2)
    return {"ingests": ingests[1:]}


def _whole_day(project: Project, spark: SparkSession, _: Data, __: dict[str, str]) -> dict[str, Any]:
    """Ingest and segment of the day that has landed last, as a user's daily job."""
    done = project.run(spark, as_of=job.AS_OF + timedelta(days=_DAYS + 3))
    return {"run": _customers(done)}


PARTS: dict[str, Callable[[Project, SparkSession, Data, dict[str, str]], dict[str, Any]]] = {
    "segment": _segments,
    "ingest": _ingests,
    "run": _whole_day,
}


def _landing(lake: Path) -> Path:
    return lake.with_name(f"{lake.name}-landing")


def land(landing: Mapping[str, str], day: int) -> int:
    """Put the file of a day into each source's folder; returns the rows of all. The same whatever lies below."""
    rows = 0
    for table, folder in zip(day_of_raws(_PEOPLE_A_DAY, job.AS_OF, day), landing.values(), strict=True):
        Path(folder).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, Path(folder) / f"day-{day:03}.parquet")
        rows += table.num_rows
    return rows


def _bring(run: Run, clean: DataFrame) -> None:
    """The generated events as an ingest leaves them."""
    others = {
        "source_customer_id": F.col("customer_key"),
        "content_hash": F.xxhash64("event_id"),
        "ingested_run_id": F.lit(run.run_id),
    }
    there = {*clean.columns, *others}
    nothing = {c.name: F.lit(None).cast(c.type) for c in schemas.EVENTS.columns if c.name not in there}
    run.lake.append_once(schemas.EVENTS, clean.withColumns(others | nothing).hint("rebalance", "event_month"), None)


def data_of(cache: Path, kind: str, events: int, seed: int) -> Data:
    """The data set of a kind, made where it is not there yet."""
    if kind == "orders":
        return generate(cache, events, seed, raw=False, people=people_for(events // ROWS_A_CUSTOMER, events))
    rows = events // 10
    orders = generate(cache, rows, seed, raw=False, people=people_for(events // EVENTS_A_CUSTOMER, rows))
    data = Data(orders.folder.with_name(orders.folder.name + "-and-contacts"))
    for file in sorted(Path(orders.events).glob("*.parquet")):
        into = Path(data.events) / file.name
        if not into.exists():
            into.parent.mkdir(parents=True, exist_ok=True)
            with duckdb.connect() as db:
                db.execute(f"copy ({_WITH_CONTACTS.format(file=file)}) to '{into}' (format parquet)")
    return data


# beside each row nine contacts or engagements of the same customer, spread over its month
_WITH_CONTACTS = """
select * from read_parquet('{file}')
union all
select source, event_id || '-c' || n as event_id, customer_key,
    if(n % 3 = 0, 'engagement', 'contact') as event_type, event_ts,
    event_month + cast(hash(event_id, n) % 28 as integer) as event_date,
    event_month, null as order_id, null as amount, if(n % 3 = 0, 30, null)::bigint as duration_seconds
from read_parquet('{file}'), range(9) as more(n)
"""


def _digest(frame: DataFrame, names: list[str]) -> tuple:
    cells = F.xxhash64(*(F.coalesce(F.col(name).cast("string"), F.lit("-")) for name in sorted(names)))
    return tuple(frame.agg(F.count(F.lit(1)), F.sum(cells.cast("decimal(38,0)"))).collect()[0])


def _taken(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What a work returns, and its wall and CPU seconds and Spark's stages."""
    logs = os.environ.get("BENCH_EVENT_LOG")
    before, began, cpu = _stages(logs), time.monotonic(), _cpu_seconds()
    done = work()
    taken = {"wall_seconds": round(time.monotonic() - began, 2), "cpu_seconds": round(_cpu_seconds() - cpu, 2)}
    return done, {**taken, "stages": _stages(logs) - before}


def _customers(run: Run) -> dict[str, int]:
    """All of a snapshot, and those whose metrics were made of their events."""
    counts = run.counts
    return {"customers": counts["customer_metrics.rows"], "recomputed": counts["customer_metrics.recomputed"]}


def _ratio(taken: Mapping[str, Any], of: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(taken[name] / _median(of, name), 3) for name in _TAKEN}


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return sorted(one[name] for one in runs)[len(runs) // 2]


def _cpu_seconds() -> float:
    """Of this process and all living ones below it."""
    ticks = sum(_ticks(pid) for pid in (os.getpid(), *descendants(os.getpid())))
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def _stages(logs: str | None) -> int:
    """Stages that Spark has completed so far, by its event log."""
    if not logs:
        return 0
    time.sleep(1.0)  # for what is still on its way there
    files = [file for file in Path(logs).rglob("*") if file.is_file() and not file.name.startswith((".", "appstatus"))]
    return sum(file.read_bytes().count(b'"Event":"SparkListenerStageCompleted"') for file in files)


@contextmanager
def _logged(engine: str, folder: Path) -> Iterator[None]:
    """Spark's event log of what is started within, where the engine has one."""
    if engine == "spark":
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["BENCH_EVENT_LOG"] = str(folder.absolute())
    try:
        yield
    finally:
        os.environ.pop("BENCH_EVENT_LOG", None)

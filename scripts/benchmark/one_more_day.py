"""One more day: what `segment` costs where a snapshot of the day before is there, against one of all events.

Both are runs of one process and session, on a lake whose events lie in files of a month, each after the same was done
before: the date whose only earlier snapshot is forty days back is segmented again and again, which is all events each
time; then day after day. CPU seconds are those of the process and all that it started. At last the metrics that were
moved on are compared with those of all events.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmark import job, report
from benchmark.generate import generate, people_for
from benchmark.growth import ENGINES
from benchmark.job import Data
from benchmark.measure import descendants, measured
from benchmark.ours import REFUNDS
from rfm_spark import schemas
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import activity, metrics

KINDS = {
    "orders": "ten orders a customer, of two or three rows each",
    "contacts": "200 events a customer, nine of ten contacts or engagements",
}
ROWS_A_CUSTOMER = 22  # ten orders
EVENTS_A_CUSTOMER = 200
_LONG_BEFORE = timedelta(days=40)
_DAYS = 2  # moved on, after one that is not counted; and as many of all events


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size and kind that is asked for; each is stored as soon as it is measured."""
    for events in asked.events:
        for kind in KINDS:
            say(f"one more day, {kind} {events:,}: generating where it is missing")
            data = data_of(asked.cache, kind, events, asked.seed)
            around = report.surroundings(["scripts/bench", *sys.argv[1:]])
            found = {"kind": kind, "about": KINDS[kind], "engine": asked.engine, "events": events, "seed": asked.seed}
            found |= around | {"load_before": os.getloadavg()}
            out = data.folder / f"day-{asked.engine}"
            shutil.rmtree(out, ignore_errors=True)
            arguments = ["day", asked.engine, str(data.folder), str(out)]
            with _logged(asked.engine, out / "event_log"):
                one = measured(arguments, out.with_suffix(".log"), asked.timeout, asked.memory)
            found |= {"process": one.as_dict(), "load_after": os.getloadavg()}
            if one.status == "done":
                found |= json.loads((out / "day.json").read_text())
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"one-more-day-{kind}-{events}-{asked.engine}.json"
            file.write_text(json.dumps(found, indent=1) + "\n")
            say(f"one more day, {kind} {events:,}: {one.status} {one.message} {found.get('cost', '')}")


def work(engine: str, folder: str, out: str) -> None:
    """The work of one point, in its own process."""
    data, lake = Data(Path(folder)), Path(out)
    project, spark = import_module(ENGINES[engine]).opened(data, lake)
    logs, told = os.environ.get("BENCH_EVENT_LOG"), []
    with project._run(spark, "ingest", job.AS_OF) as brought:
        _bring(brought, spark.read.parquet(data.events))
    first = job.AS_OF - timedelta(days=_DAYS + 1)
    days = [first - _LONG_BEFORE, *[first] * (_DAYS + 1), *(first + timedelta(days=n) for n in range(1, _DAYS + 2))]
    for day in days:
        before, began, cpu = _stages(logs), time.monotonic(), _cpu_seconds()
        done = project.segment(spark, as_of=day)
        told.append({
            "as_of": str(day), "wall_seconds": round(time.monotonic() - began, 2),
            "cpu_seconds": round(_cpu_seconds() - cpu, 2), "stages": _stages(logs) - before,
            "customers": done.counts["customer_metrics.rows"],
            "recomputed": done.counts["customer_metrics.recomputed"],
        })  # fmt: skip
    whole, moved = told[2 : _DAYS + 2], told[_DAYS + 3 :]
    done = activity.activity(project.read(spark, "events"), REFUNDS, job.AS_OF)
    expected = metrics.metrics(done, None, job.BOUNDARIES)
    found = project.read(spark, "customer_metrics").filter(F.col("snapshot_date") == F.lit(job.AS_OF))
    cost = {name: round(_median(moved, name) / _median(whole, name), 3) for name in ("cpu_seconds", "wall_seconds")}
    equal = _digest(found, expected.columns) == _digest(expected, expected.columns)
    (lake / "day.json").write_text(json.dumps({"cost": cost, "equal": equal, "all_events": whole, "moved_on": moved}))


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

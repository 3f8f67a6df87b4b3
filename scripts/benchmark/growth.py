"""How cost grows: rfm_spark's own side at several sizes of one thing, all else the same, and the exponent of that.

Each point is a run in a process of its own, measured as every side is. All sizes of a dimension
are run with the same session, large or small as they are, and so is the start-up that is taken off the CPU seconds: of
the classic job, the job itself on next to no events; else a session that does nothing.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from deltalake import DeltaTable

from benchmark import event_log, report
from benchmark.generate import generate, people_for
from benchmark.job import Data
from benchmark.measure import measured

# engine: the module whose classic, whole, begun, snapshots and start run on it
ENGINES = {"spark": "benchmark.ours", "sail": "benchmark.ours_on_sail"}
LIMIT = 1.05
NOISE = 0.2  # of start-up's CPU seconds: a cost above it that is less is shown, and not fitted
START_EVENTS = 10_000  # the classic job on so few is its start-up: code is compiled, and next to nothing done
_STARTS = 3  # runs of it at least: all that is fitted depends on it
_BYTES_AN_EVENT = 100  # of disk: its data, its shuffles, its results
_OF_A_LAKE = ("sources", "segmentations", "snapshots")


@dataclass(frozen=True)
class Dimension:
    """One thing that grows. `fixed` is what stays: events, or where `sizes` are events of as many people, customers."""

    title: str
    sizes: tuple[int, ...]
    fixed: int = 0
    heap: str = ""  # a limit of the JVM's, where that it stays the same is the point
    scaled: bool = False  # its sizes are millions, and follow --growth-scale


DIMENSIONS = {
    "events": Dimension(
        "Events, and customers with them", (1_000_000, 10_000_000, 50_000_000, 200_000_000), scaled=True
    ),
    "events-a-customer": Dimension(
        "Events of the same customers",
        (5_000_000, 10_000_000, 20_000_000, 50_000_000),
        fixed=1_000_000,
        heap="2g",
        scaled=True,
    ),
    "customers": Dimension(
        "Customers of the same events", (100_000, 1_000_000, 5_000_000, 20_000_000), fixed=100_000_000, scaled=True
    ),
    "sources": Dimension("Sources", (1, 3, 9), fixed=1_000_000),
    "segmentations": Dimension("Segmentations", (1, 4, 16), fixed=1_000_000),
    "snapshots": Dimension("Snapshots", (1, 4, 12), fixed=1_000_000),
}


@dataclass(frozen=True)
class Exponents:
    """Slopes of the logarithm of cost on that of size; None where there are too few sizes to tell."""

    above_start: float | None  # of CPU seconds, those of a start taken off
    whole: float | None  # of all CPU seconds
    last_step: float | None  # above start-up, between the two largest sizes
    memory: float | None  # of the peak


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Least squares of log cost against log size; None for fewer than two sizes, or a cost of nothing."""
    if len(set(sizes)) < 2 or min(costs) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def exponents(result: dict[str, Any]) -> Exponents:
    """Of one stored result, over the points that ended well; above start-up, over those that are `told_apart`."""
    points, start = done(result), result["start"]["cpu_seconds"]
    sizes = [grown(result["dimension"], point) for point in points]
    apart = [point for point in points if told_apart(result, point)]
    above = [(grown(result["dimension"], point), point["cpu_seconds"] - start) for point in apart]
    return Exponents(
        above_start=_exponent_of(above),
        whole=exponent(sizes, [point["cpu_seconds"] for point in points]),
        last_step=_exponent_of(above[-2:]),
        memory=exponent(sizes, [point["peak_mb"] for point in points]),
    )


def told_apart(result: dict[str, Any], point: dict[str, Any]) -> bool:
    """Whether a cost is so far above start-up that the difference is not noise."""
    start = result["start"]["cpu_seconds"]
    return point["cpu_seconds"] - start >= NOISE * start


def _exponent_of(points: Sequence[tuple[float, float]]) -> float | None:
    return exponent([size for size, _ in points], [cost for _, cost in points])


def done(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The points that ended well, by size."""
    return sorted((p for p in result["points"] if p["status"] == "done"), key=lambda p: p["size"])


def grown(dimension: str, point: dict[str, Any]) -> int:
    """What of a point grows: what was counted, not what was asked for."""
    return point[{"customers": "customers"}.get(dimension, "size" if dimension in _OF_A_LAKE else "rows")]


def file_of(folder: Path, dimension: str, engine: str) -> Path:
    """The file of the results."""
    return folder / f"growth-{dimension}{_suffix(engine)}.json"


def page_of(folder: Path, engine: str) -> Path:
    """The file of the page."""
    return folder / f"growth{_suffix(engine)}.md"


def results(folder: Path, engine: str = "spark") -> list[dict[str, Any]]:
    """All that is stored of an engine, in the order of the dimensions."""
    files = [file_of(folder, name, engine) for name in DIMENSIONS]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size of every dimension that is asked for; each is stored as soon as it is measured."""
    for name in asked.growth or DIMENSIONS:
        sizes, fixed = _sizes(asked, name)
        with _environment(_settings(name)):
            result = _begin(asked, name, fixed, folder, say)
            for size in sizes:
                if not _room(asked, name, size, fixed):
                    say(f"growth, {name} {size:,}: left out, too little disk is free")
                    continue
                point = _measure(asked, name, size, fixed, say)
                result["points"] = [p for p in result["points"] if p["size"] != size] + [point]
                file = file_of(folder, name, asked.engine)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(result, indent=1) + "\n")
                if point["status"] != "done":
                    break


def work(engine: str, dimension: str, size: str, folder: str, out: str) -> None:
    """The work of one point, in its own process; `start`, `warm` and `begun` stand beside the dimensions."""
    side, data, number, where = import_module(ENGINES[engine]), Data(Path(folder)), int(size), Path(out)
    if dimension == "sources":
        side.whole(data, where, sources=dealt(data, number))
    elif dimension == "segmentations":
        side.whole(data, where, segmentations=number)
    elif dimension == "snapshots":
        side.snapshots(data, where, number)
    elif dimension in ("start", "begun"):
        getattr(side, dimension)(data, where)
    else:
        side.classic(data, where)


def _sizes(asked: argparse.Namespace, name: str) -> tuple[list[int], int]:
    dimension, scale = DIMENSIONS[name], asked.growth_scale
    sizes = [round(size * scale) if dimension.scaled else size for size in dimension.sizes]
    return asked.growth_sizes or sizes, round(dimension.fixed * scale)


def _settings(name: str) -> dict[str, str]:
    wanted = {"BENCH_SESSION": "quick" if name in _OF_A_LAKE else "full"}
    return wanted | ({"RFM_SPARK_DRIVER_MEMORY": DIMENSIONS[name].heap} if DIMENSIONS[name].heap else {})


def _data(asked: argparse.Namespace, name: str, size: int, fixed: int) -> Data:
    if name in _OF_A_LAKE:
        return generate(asked.cache, fixed, asked.seed, raw=True)
    if name == "events":
        return generate(asked.cache, size, asked.seed, raw=False)
    events, customers = (fixed, size) if name == "customers" else (size, fixed)
    return generate(asked.cache, events, asked.seed, raw=False, people=people_for(customers, events))


def _room(asked: argparse.Namespace, name: str, size: int, fixed: int) -> bool:
    asked.cache.mkdir(parents=True, exist_ok=True)
    events = size if name.startswith("events") else fixed
    return shutil.disk_usage(asked.cache).free > events * _BYTES_AN_EVENT


def _begin(
    asked: argparse.Namespace, name: str, fixed: int, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """What is stored, where it was measured in the same way, or else a new result; the start-up is measured anew."""
    around = report.surroundings(["scripts/bench", *sys.argv[1:]])
    about = {"dimension": name, "engine": asked.engine, "fixed": fixed, "seed": asked.seed, "settings": _settings(name)}
    about |= {key: around[key] for key in ("machine", "versions")}
    file = file_of(folder, name, asked.engine)
    stored = json.loads(file.read_text()) if file.exists() else {}
    points = stored["points"] if about.items() <= stored.items() else []
    small = generate(asked.cache, START_EVENTS, asked.seed, raw=False)
    runs, _ = _runs(asked, "start" if name in _OF_A_LAKE else "warm", 0, small, None, max(asked.repeats, _STARTS))
    start = report.summary(runs)
    if start["status"] != "done":
        raise SystemExit(f"the engine does not start: {start['message']}")
    say(f"growth, {name}: start-up " + ", ".join(f"{k} {v}" for k, v in start.items()))
    return about | {"start": start, "points": points}


def _measure(asked: argparse.Namespace, name: str, size: int, fixed: int, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"growth, {name} {size:,}: generating where it is missing")
    data = _data(asked, name, size, fixed)
    around = report.surroundings(["scripts/bench", *sys.argv[1:]])
    meta = json.loads((data.folder / "meta.json").read_text())
    about = {key: around[key] for key in ("when", "command", "commit")} | {"load_before": os.getloadavg()}
    about |= {"size": size, "rows": meta["raw_rows" if name in _OF_A_LAKE else "events_rows"]}
    lake = _begun(asked, data) if name == "snapshots" else None
    runs, left = _runs(asked, name, size, data, lake, asked.repeats)
    found = about | left | report.summary(runs) | {"load_after": os.getloadavg(), "runs": runs}
    say(f"growth, {name} {size:,}: " + ", ".join(f"{k} {v}" for k, v in found.items() if k in _TOLD))
    for rest in ("out", "begun"):
        shutil.rmtree(data.folder / rest, ignore_errors=True)
    return found


_TOLD = ("rows", "customers", "status", "wall_seconds", "cpu_seconds", "peak_mb", "message")


def _begun(asked: argparse.Namespace, data: Data) -> Path:
    lake = _emptied(data.folder / "out") / "begun"
    arguments = ["point", asked.engine, "begun", "0", str(data.folder), str(lake)]
    found = measured(arguments, lake.with_suffix(".log"), asked.timeout, asked.memory)
    if found.status != "done":
        raise SystemExit(f"the lake of the snapshots was not made: {found.message}")
    kept = data.folder / "begun"
    shutil.rmtree(kept, ignore_errors=True)
    return lake.rename(kept)


def _runs(
    asked: argparse.Namespace, name: str, size: int, data: Data, lake: Path | None, repeats: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """So many runs, and what the last one left and logged."""
    runs, found = [], {}
    for _ in range(repeats):
        out = _emptied(data.folder / "out") / "point"
        logs = out.with_name("event_log")
        logs.mkdir()
        if lake is not None:
            shutil.copytree(lake, out)
        with _environment({"BENCH_EVENT_LOG": str(logs.absolute())}):
            arguments = ["point", asked.engine, name, str(size), str(data.folder), str(out)]
            one = measured(arguments, out.with_suffix(".log"), asked.timeout, asked.memory)
        runs.append(one.as_dict())
        if one.status != "done":
            break
        if name not in ("start", "warm"):
            found = _left(name, out) | {"event_log": logged.as_dict() if (logged := event_log.read(logs)) else None}
    return runs, found


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _left(name: str, out: Path) -> dict[str, Any]:
    """How many customers the result has; of snapshots, how long each took."""
    table = out / "customer_metrics" if name in _OF_A_LAKE else out
    found = {"customers": _query(table, "count(distinct customer_key)")[0][0]}
    if name == "snapshots":
        but_the_first = "where job = 'segment' order by started_at offset 1"
        took = _query(out / "runs", "epoch(ended_at - started_at)", but_the_first)
        found["each_seconds"] = [round(seconds, 2) for (seconds,) in took]
    return found


def _query(table: Path, what: str, rest: str = "") -> list[tuple]:
    files = [uri.removeprefix("file://") for uri in DeltaTable(str(table)).file_uris()]
    with duckdb.connect() as db:
        return db.execute(f"select {what} from read_parquet({files}) {rest}").fetchall()


def dealt(data: Data, sources: int) -> dict[str, str]:
    """The same raw files, dealt to so many sources of one size."""
    files = sorted((data.folder / "raw").rglob("*.parquet"))
    folders = {f"source_{i + 1}": data.folder / f"raw-{sources}" / f"{i + 1}" for i in range(sources)}
    for i, file in enumerate(files):
        into = list(folders.values())[i % sources]
        into.mkdir(parents=True, exist_ok=True)
        if not (link := into / f"{file.parent.name}-{file.name}").exists():
            link.hardlink_to(file)
    return {name: str(folder) for name, folder in folders.items()}


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """For what is started within."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _suffix(engine: str) -> str:
    return "" if engine == "spark" else f"-{engine}"

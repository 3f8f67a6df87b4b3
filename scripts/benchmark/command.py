"""`scripts/bench`: generate, run every side in a process of its own, check, store, and write README's table."""

import argparse
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark import check, cluster, growth, growth_page, one_more_day, people, prediction, report, sides
from benchmark.generate import generate
from benchmark.job import Data
from benchmark.measure import measured

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "scripts" / "bench_results"
# argument: where its results go with --no-store, and what it runs
_STUDIES: dict[str, tuple[str, Callable[..., None]]] = {
    "predict": ("predict", prediction.run),
    "identity": ("identity", people.run),
    "cluster": ("cluster", cluster.run),
    "one_more_day": ("days", one_more_day.run),
}


def main() -> None:
    """Run what the arguments ask for."""
    asked = _arguments()
    for asks, (folder, run) in _STUDIES.items():
        if getattr(asked, asks):
            run(asked, asked.cache / folder if asked.no_store else RESULTS, say)
            return
    if asked.growth is not None:
        _growth(asked)
        return
    if not asked.table_only:
        for events in asked.events:
            for job in asked.jobs:
                _bench(asked, job, events)
    print(report.tables(RESULTS))
    if not asked.no_store:
        report.into_readme(ROOT / "README.md", RESULTS)
        growth_page.write(RESULTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    add("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes; 10 GB of disk for 200 million")
    add("--jobs", nargs="+", default=["classic", "whole"], choices=list(report.TITLES))
    add("--sides", nargs="+", help="some of the sides alone; the first is what the others are checked against")
    add("--repeats", type=int, default=3)
    add("--once-above", type=float, default=float("inf"), help="who takes longer than so many seconds is run once")
    add("--no-floors", action="store_true", help="leave out reading alone and starting alone")
    add("--timeout", type=float, default=1800.0, help="seconds a run")
    add("--memory", type=float, default=0.8 * _memory_mb(), help="MB a run, all its processes together")
    add("--seed", type=int, default=20250101)
    add("--cache", type=Path, default=ROOT / ".bench", help="where generated data and results of runs lie")
    add("--no-store", action="store_true", help="print alone")
    add("--table-only", action="store_true", help="write README's table and the pages of growth from what is stored")
    add("--growth", nargs="*", choices=list(growth.DIMENSIONS), help="how cost grows; along all, where none is named")
    add("--growth-sizes", type=int, nargs="+", help="sizes of the one dimension that is named")
    add("--growth-scale", type=float, default=1.0, help="all events and customers of --growth times this")
    add("--one-more-day", action="store_true", help="a day of ingest, of segment and of both, a back-fill, at --events")
    add("--cluster", action="store_true", help="the classic job on a cluster of two executors of 2 GB, at --events")
    add("--predict", type=int, nargs="+", help="predict so many customers, here and with lifetimes; 1 GB a million")
    add("--identity", type=int, nargs="+", help="join so many links to people; 10 million take 8 GB of memory")
    add("--engine", default="spark", choices=list(growth.ENGINES), help="of --growth, --one-more-day and --identity")
    asked = parser.parse_args()
    if asked.growth_sizes and len(asked.growth or ()) != 1:
        parser.error("--growth-sizes: expected --growth with one dimension")
    return asked


def _growth(asked: argparse.Namespace) -> None:
    """Into the stored results and their page, or into the cache alone."""
    folder = asked.cache / "growth" if asked.no_store else RESULTS
    if not asked.table_only:
        if asked.no_store:
            shutil.rmtree(folder, ignore_errors=True)
        growth.run(asked, folder, say)
    growth_page.write(folder)
    print(growth_page.page(folder, asked.engine))


def _bench(asked: argparse.Namespace, job: str, events: int) -> None:
    say(f"{job}, {events:,} events: generating where they are missing")
    data = generate(asked.cache, events, asked.seed, raw=job == "whole")
    meta = json.loads((data.folder / "meta.json").read_text())
    before = report.surroundings(["scripts/bench", *sys.argv[1:]]) | {"load_before": os.getloadavg()}
    chosen = asked.sides or list(sides.SIDES[job])
    runs = _interleaved(asked, job, chosen, data, check_them=True)
    floors = {}
    for floor in ("scan", "start") if job == "classic" and not asked.no_floors else ():
        names = [side for side in sides.SIDES[floor] if any(side in one or one in side for one in chosen)]
        done = _interleaved(asked, floor, names, data, check_them=False)
        floors[floor] = {side: report.summary(found) for side, found in done.items()}
    result = {
        "job": job,
        "events_asked": events,
        "rows": meta["events_rows" if job == "classic" else "raw_rows"],
        "data": meta,
        "repeats": asked.repeats,
        **before,
        "load_after": os.getloadavg(),
        "memory_limit_mb": asked.memory,
        "timeout_seconds": asked.timeout,
        "sides": {side: report.summary(found) for side, found in runs.items()},
        "floors": floors,
        "runs": runs,
    }
    if not asked.no_store:
        say(f"stored in {report.store(RESULTS, result).relative_to(ROOT)}")


def _interleaved(
    asked: argparse.Namespace, job: str, chosen: list[str], data: Data, *, check_them: bool
) -> dict[str, list[dict[str, Any]]]:
    """Each side once, then each again in another order, since what runs before one tells on it.

    What failed for want of time or memory, or takes too long, is not tried again.
    """
    outs = data.folder / "out"
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in chosen}
    shutil.rmtree(outs, ignore_errors=True)
    outs.mkdir()
    reference = outs / "reference"
    for number in range(asked.repeats):
        shuffled = random.Random(f"{asked.seed}-{number}").sample(chosen, len(chosen))
        for side in shuffled if number else chosen:  # the first is what the others are checked against
            if any(run["status"] != "done" or run["wall_seconds"] > asked.once_above for run in runs[side]):
                continue
            out = outs / side.replace(" ", "_").replace(",", "")
            arguments = ["one", job, side, str(data.folder), str(out)]
            run = measured(arguments, out.with_suffix(".log"), asked.timeout, asked.memory).as_dict()
            if check_them and run["status"] == "done":
                run |= _checked(job, out, reference)
            runs[side].append(run)
            say(f"{job} {side}: " + ", ".join(f"{k} {v}" for k, v in run.items() if v != "" and k != "left"))
            for leftover in outs.glob(f"{out.name}*"):
                if leftover.suffix != ".log":
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    shutil.rmtree(reference, ignore_errors=True)
    return runs


def _checked(job: str, out: Path, reference: Path) -> dict[str, Any]:
    found = check.left(job, out)
    if not reference.exists():
        shutil.copytree(out, reference)
        return {"equal": True, "placed_otherwise": 0.0, "left": found.as_dict()}
    expected = check.left(job, reference)
    return {
        "equal": found == expected,
        "placed_otherwise": check.placed_otherwise(job, out, reference),
        "left": found.as_dict(),
    }


def say(text: str) -> None:
    """Progress, on the error stream."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _memory_mb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20

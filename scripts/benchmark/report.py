"""Results as JSON with what they were measured on, and as the table that README shows."""

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.sides import DELTA, NTILE, OURS, SIDES

BEGIN, END = "<!-- benchmark: written by scripts/bench -->\n", "<!-- end of benchmark -->"
TITLES = {"classic": "The classic job", "whole": "The whole job"}
_PACKAGES = ["rfm-spark", "pyspark", "delta-spark", "pysail", "duckdb", "polars", "pandas", "numpy", "pyarrow"]


def surroundings(command: list[str]) -> dict[str, Any]:
    """The machine, the versions and the command."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": _git("rev-parse", "--short", "HEAD")
        + (" and changes" if _git("status", "--short", "rfm_spark") else ""),
        "machine": {
            "processor": model,
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of one side's runs; what went wrong, where any did."""
    bad = [run for run in runs if run["status"] != "done"]
    if bad:
        return {"status": bad[0]["status"], "wall_seconds": bad[0]["wall_seconds"], "message": bad[0]["message"]}
    names = ("wall_seconds", "cpu_seconds", "peak_mb")
    found: dict[str, Any] = {"status": "done", "runs": len(runs)}
    found |= {name: round(median(run[name] for run in runs), 2) for name in names}
    found |= {key: runs[-1][key] for key in ("equal", "placed_otherwise") if key in runs[-1]}
    return found


def store(folder: Path, result: dict[str, Any]) -> Path:
    """One file a job and size; the newest stands."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['job']}-{result['events_asked']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def tables(folder: Path) -> str:
    """All stored results as Markdown."""
    paths = [path for job in TITLES for path in folder.glob(f"{job}-*.json")]  # growth has its own page
    results = sorted((json.loads(path.read_text()) for path in paths), key=lambda r: r["events_asked"])
    parts = []
    for job, title in TITLES.items():
        mine = [result for result in results if result["job"] == job]
        if mine:
            parts.append(_table(title, mine))
    return "\n".join(parts)


def into_readme(readme: Path, folder: Path) -> None:
    """Write the tables between README's two markers."""
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    readme.write_text(before + BEGIN + tables(folder) + END + rest.split(END)[1], encoding="utf-8")


def _table(title: str, results: list[dict[str, Any]]) -> str:
    heads = [f"{r['rows'] / 1e6:,.0f} million (runs: {r['repeats']})" for r in results]
    lines = [
        f"| {title}: wall s · CPU s · peak GB | {' | '.join(heads)} | result |",
        "|---|" + "---|" * len(heads) + "---|",
    ]
    for side in SIDES[results[0]["job"]]:
        name = f"**{side}**" if side == OURS else side
        cells = [_cell(r["sides"].get(side), r["repeats"]) for r in results]
        lines.append(f"| {name} | {' | '.join(cells)} | {_verdict(side, results)} |")
    for floor, told in (("scan", "reading the columns alone"), ("start", "starting alone")):
        for side in SIDES[floor]:
            cells = [_cell(r["floors"].get(floor, {}).get(side), r["repeats"]) for r in results]
            if any(cell != "–" for cell in cells):
                lines.append(f"| {side}, {told} | {' | '.join(cells)} | |")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any] | None, repeats: int) -> str:
    if found is None:
        return "–"
    if found["status"] != "done":
        return f"{found['status']} after {found['wall_seconds']:,.0f} s"
    wall, cpu, peak = found["wall_seconds"], found["cpu_seconds"], found["peak_mb"] / 1024
    digits = 1 if wall < 100 else 0
    fewer = f" (runs: {found['runs']})" if found.get("runs", repeats) < repeats else ""
    return f"{wall:,.{digits}f} · {cpu:,.{digits}f} · {peak:.1f}{fewer}"


def _verdict(side: str, results: list[dict[str, Any]]) -> str:
    kind = "Delta" if side in DELTA else "Parquet"
    found = [r["sides"][side] for r in results if r["sides"].get(side, {}).get("status") == "done"]
    if not found:
        return kind
    if side == NTILE:
        shares = sorted({f"{one['placed_otherwise']:.1%}" for one in found})
        return f"{kind}; {' – '.join(dict.fromkeys((shares[0], shares[-1])))} of the customers placed otherwise"
    return f"{kind}; {'equal' if all(one['equal'] for one in found) else 'NOT EQUAL'}"

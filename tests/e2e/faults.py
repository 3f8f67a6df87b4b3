"""A tiny project, runs that stop where a test wants them to, and what a lake holds."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

FIRST, SECOND, LATER = date(2020, 7, 1), date(2020, 10, 1), date(2020, 11, 1)
UNPUBLISHED = date(2020, 9, 1)
INGESTED = ("ingested_files", "events", "quarantine", "customers")
SNAPSHOTS = ("customer_metrics", "cut_points", "customer_segments", "segment_profiles")
TABLES = INGESTED + SNAPSHOTS  # in the order of writing
NOT_CONTENT = {"ingested_run_id", "run_id", "ingest_date", "ingested_at"}
SEGMENTS = {"prospects": "frequency = 0", "best": "r >= 4 and m >= 4", "rest": None}


class Killed(BaseException):
    """Stands for the end of the process: no handler of failures sees it."""


def write_project(folder: Path) -> Path:
    """Twenty customers with profiles, and two files of purchases, refunds and bad rows; returns the config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders").mkdir(exist_ok=True)
    write_orders(folder / "orders" / "spring.csv", 1, 6)
    write_orders(folder / "orders" / "summer.csv", 7, 9)
    towns = ["Leeds", "York", ""]
    profiles = "".join(f"c{n:02d},{towns[n % 3]}\n" for n in range(20))
    (folder / "crm.csv").write_text("id,town\n" + profiles, encoding="utf-8")
    segments = [
        {"name": name, **({"when": when} if when else {"otherwise": True}), "action": _ACTION}
        for name, when in SEGMENTS.items()
    ]
    config = {
        "project": "tiny",
        "question": "Who is who?",
        "timezone": "Europe/London",
        "currency": "GBP",
        "lake": {"path": str(folder / "lake")},
        "sources": [
            {
                "name": "shop", "format": "csv", "path": "orders/*.csv",
                "event_type": {"column": "kind", "values": {"sale": "purchase", "return": "refund"}},
                "columns": {"source_customer_id": "customer", "event_ts": "at", "order_id": "ref", "amount": "total"},
                "timestamp_format": "yyyy-MM-dd", "event_id": ["line"],
            },
            {
                "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv",
                "columns": {"source_customer_id": "id"}, "attributes": {"town": "town"},
            },
        ],
        "contract": {"max_quarantined_share": 0.2},
        "segmentations": [{"name": "value", "question": "Who is who?", "segments": segments}],
    }  # fmt: skip
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


_ACTION = {"decision": "Write", "channel": "email", "message": "hello"}


def write_orders(path: Path, first_month: int, last_month: int) -> None:
    """Orders of the months, each line with an id of its own, two of them bad."""
    lines = ["line,customer,ref,at,kind,total"]
    for month in range(first_month, last_month + 1):
        for n in range(20):
            if (n + month) % (2 + n % 3) == 0:
                lines.append(f"{month}-{n},c{n:02d},o{month}{n},2020-{month:02d}-{n + 1:02d},sale,{n * 7 + month}.25")
        lines.append(f"{month}-back,c02,o{month}2,2020-{month:02d}-28,return,1.10")
    lines.append(f"{last_month}-nobody,,o1,2020-{last_month:02d}-01,sale,1.00")
    lines.append(f"{last_month}-never,c01,o2,someday,sale,1.00")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Undisturbed:
    """A folder with the tiny project and its lakes `july` and `october`, and what readers see of each table in them."""

    folder: Path
    config: Path
    july: dict[str, list[str]]
    october: dict[str, list[str]]


_made: list[Undisturbed] = []


def undisturbed(spark, factory: pytest.TempPathFactory) -> Undisturbed:
    """A run in July and a snapshot of October after it, which nothing disturbs; made once for all tests."""
    if not _made:
        folder = factory.mktemp("tiny")
        config = write_project(folder)
        july = project(config, str(folder / "july"))
        july.run(spark, as_of=FIRST)
        shutil.copytree(folder / "july", folder / "october")
        october = project(config, str(folder / "october"))
        october.segment(spark, as_of=SECOND)
        _made.append(Undisturbed(folder, config, published(spark, july), published(spark, october)))
    return _made[0]


def project(config: Path, lake: str | None = None, before: dict[str, Callable[[], Any]] | None = None, **changes: Any):
    """The project, with calls made as a stage of the given name begins."""
    from rfm_spark import Project
    from rfm_spark.pipelines.run_record import Stage

    waiting = dict(before or {})

    @contextmanager
    def stage(name: str) -> Iterator[Stage]:
        if name in waiting:
            waiting.pop(name)()
        yield Stage()

    return Project.load(config, [f"{key}={value}" for key, value in changes.items()], lake, stage)


def kill_after(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """Let the process 'die' as soon as the table is committed."""
    from rfm_spark.lake import Lake

    committed = Lake._committed

    def die(self, name, *how, **ever):
        written = committed(self, name, *how, **ever)
        if name == table:
            raise Killed(table)
        return written

    monkeypatch.setattr(Lake, "_committed", die)


def run_after_looks(monkeypatch: pytest.MonkeyPatch, *others: Callable[[], object]) -> None:
    """Let others run, one after each look that a run takes at what is published before it writes its own row."""
    from rfm_spark.pipelines import run_record

    look, waiting = run_record.published, iter(others)

    def overtaken(lake):
        now = look(lake)
        if other := next(waiting, None):
            other()
        return now

    monkeypatch.setattr(run_record, "published", overtaken)


def content(folder: str, version: int) -> list[str]:
    """The rows of a table, sorted, without what may differ between two equal runs. Read without Spark: it is faster."""
    from deltalake import DeltaTable

    rows = DeltaTable(folder, version=version).to_pyarrow_table().to_pylist()
    return sorted(repr([pair for pair in row.items() if pair[0] not in NOT_CONTENT]) for row in rows)


def published(spark, tiny) -> dict[str, list[str]]:
    """What readers see of every table, and of the newest segments."""
    from rfm_spark.lake import Lake
    from rfm_spark.pipelines.published import published as now

    lake = Lake(spark, tiny.config.lake)
    seen = {table: content(f"{lake.place}/{table}", n) for table, n in now(lake).versions.items()}
    current = tiny.read(spark, "current_segments").collect() if "customer_segments" in seen else []
    return seen | {"current": sorted(map(repr, current))}


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Callable[[str], None]]:
    """A file system of its own in memory; gives a function that mounts it again with other options."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,{options}", "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount("rw"):
        pytest.skip("no right to mount a small disk here")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)

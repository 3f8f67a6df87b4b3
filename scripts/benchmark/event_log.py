"""What Spark's event log tells of one application: stages, shuffles, bytes moved and spilled, and its largest tasks.

The log is JSON lines, one event a line, uncompressed: a file an application, or a folder `eventlog_v2_*` of files
that follow each other. A task that failed has no metrics and is left out.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_CACHED = "rdd_"  # partitions of cached frames; other blocks are broadcasts


@dataclass(frozen=True)
class Task:
    """One task: how long it ran, what it read of shuffles, and the most memory that its operators held."""

    seconds: float = 0.0
    shuffle_read_bytes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class EventLog:
    """One application, its stages added up.

    `shuffles` are the stages that wrote shuffle data, and `largest_shuffle_bytes` is the most of one. `input_bytes` are
    of files and of cached frames; `cached_bytes` the most that all cached partitions came to, in memory and on disk.
    `task_memory_bytes` and `task_shuffle_read_bytes` are the most of any task, which need not be the longest.
    """

    stages: int
    tasks: int
    shuffles: int
    shuffle_written_bytes: int
    shuffle_read_bytes: int
    largest_shuffle_bytes: int
    spilled_bytes: int
    input_bytes: int
    cached_bytes: int
    task_seconds: float
    longest_task: Task
    task_memory_bytes: int
    task_shuffle_read_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read(folder: Path) -> EventLog | None:
    """What the logs below a folder tell together; None where there are none, as of an engine that writes none."""
    files = [file for file in folder.rglob("*") if file.is_file() and _is_log(file)]
    return parse(line for file in sorted(files) for line in _lines(file)) if files else None


def parse(lines: Iterator[str]) -> EventLog:
    """The events, one a line; a last line that the end of the process cut off is left out."""
    stages, most_cached = 0, 0
    ends: list[tuple[int, dict[str, Any]]] = []
    cached: dict[str, int] = {}
    for line in lines:
        event = _event(line)
        kind = event.get("Event")
        if kind == "SparkListenerStageCompleted":
            stages += 1
        elif kind == "SparkListenerTaskEnd" and event.get("Task Metrics"):
            ends.append((event["Stage ID"], event["Task Metrics"]))
        elif kind == "SparkListenerBlockUpdated":
            block = event["Block Updated Info"]
            if block["Block ID"].startswith(_CACHED):
                cached[block["Block ID"]] = block["Memory Size"] + block["Disk Size"]
                most_cached = max(most_cached, sum(cached.values()))
    written: Counter[int] = Counter()
    for stage, metrics in ends:
        written[stage] += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    tasks = [_task(metrics) for _, metrics in ends]
    return EventLog(
        stages=stages,
        tasks=len(tasks),
        shuffles=sum(size > 0 for size in written.values()),
        shuffle_written_bytes=written.total(),
        shuffle_read_bytes=sum(task.shuffle_read_bytes for task in tasks),
        largest_shuffle_bytes=max(written.values(), default=0),
        spilled_bytes=sum(metrics["Disk Bytes Spilled"] for _, metrics in ends),
        input_bytes=sum(metrics["Input Metrics"]["Bytes Read"] for _, metrics in ends),
        cached_bytes=most_cached,
        task_seconds=round(sum(task.seconds for task in tasks), 3),
        longest_task=max(tasks, key=lambda task: task.seconds, default=Task()),
        task_memory_bytes=max((task.memory_bytes for task in tasks), default=0),
        task_shuffle_read_bytes=max((task.shuffle_read_bytes for task in tasks), default=0),
    )


def _task(metrics: dict[str, Any]) -> Task:
    read = metrics["Shuffle Read Metrics"]
    return Task(
        metrics["Executor Run Time"] / 1000,
        read["Remote Bytes Read"] + read["Local Bytes Read"],
        metrics["Peak Execution Memory"],
    )


def _event(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return {}


def _is_log(file: Path) -> bool:
    """Not the checksums and the marks that lie beside the events."""
    return not file.name.startswith(".") and not file.name.startswith("appstatus_")


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        yield from lines

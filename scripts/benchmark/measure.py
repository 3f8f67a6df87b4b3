"""One run of one side in a process of its own: wall and CPU seconds and peak memory, of it and all that it starts."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_EVERY_SECONDS = 0.05
_SAMPLED_EVERY_SECONDS, _SHORT_SECONDS = 0.2, 1.0
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Measured:
    """What one run took; `status` is done, timeout, out of memory or failed."""

    status: str
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measured(arguments: list[str], log: Path, timeout_seconds: float, memory_mb: float) -> Measured:
    """Run `python -m benchmark …` and wait for it and for all that it has started.

    Processes that their parents leave behind, as a JVM may be, become children of this one and are waited for, so
    their CPU seconds count. Memory is sampled five times a second, more often in the first; above `memory_mb` the run
    is ended as out of memory.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began, sample_at, peak, ended = time.monotonic(), 0.0, 0.0, ""
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "benchmark", *arguments], stdout=out, stderr=out)
    cpu, code = 0.0, 0
    while True:
        children, still_there = _ended_children()
        for pid, status, usage in children:
            cpu += usage.ru_utime + usage.ru_stime
            code = os.waitstatus_to_exitcode(status) if pid == process.pid else code
        if not still_there:
            break
        if not ended and time.monotonic() >= sample_at:
            peak = max(peak, _memory_mb(list(descendants(os.getpid()))))
            of_age = time.monotonic() - began > _SHORT_SECONDS
            sample_at = time.monotonic() + (_SAMPLED_EVERY_SECONDS if of_age else _EVERY_SECONDS)
            late = time.monotonic() - began > timeout_seconds
            if late or peak > memory_mb:
                ended = "timeout" if late else "out of memory"
        if ended:  # again and again, until none is left that one of them has just started
            for pid in descendants(os.getpid()):
                _kill(pid)
        time.sleep(_EVERY_SECONDS)
    process.returncode = code  # it has been waited for
    wall, text = time.monotonic() - began, log.read_text(errors="replace")
    if not ended and code:
        ended = "out of memory" if code == -signal.SIGKILL or _no_memory(text) else "failed"
    return Measured(ended or "done", round(wall, 2), round(cpu, 2), round(peak, 0), _last_line(text) if ended else "")


def _ended_children() -> tuple[list[tuple[int, int, Any]], bool]:
    """Those that have ended since it was last asked, and whether there are others."""
    ended: list[tuple[int, int, Any]] = []
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended.append((pid, status, usage))


def descendants(of: int) -> Iterator[int]:
    """All living processes below this one."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text(errors="replace")
            except OSError:  # it has just ended
                continue
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    below = parents.get(of, [])
    while below:
        pid = below.pop()
        yield pid
        below += parents.get(pid, [])


def _memory_mb(tree: Sequence[int]) -> float:
    """The resident memory of processes.

    Of those that run one program, pages that they share are divided among them, or a fork would count twice. That is
    asked for there alone: the kernel walks through all pages for it, and what is measured waits for it meanwhile.
    """
    programs = {pid: _program(pid) for pid in tree}
    times = Counter(programs.values())
    return sum(_shared_mb(pid) if times[program] > 1 else _resident_mb(pid) for pid, program in programs.items())


def _program(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:  # it has just ended
        return ""


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB
    except OSError:
        return 0.0


def _shared_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _no_memory(text: str) -> bool:
    return any(word in text for word in ("OutOfMemoryError", "MemoryError", "OutOfMemoryException", "out of memory"))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "Exception" in line]
    return (telling or lines or [""])[-1][:300]

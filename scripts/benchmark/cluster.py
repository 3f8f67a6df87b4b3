"""The classic job on a standalone cluster of this machine, of two workers with one executor each, of one core and 2 GB.

What is measured begins with the master and ends with the last worker.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

from benchmark import check, ours, report
from benchmark.generate import generate
from benchmark.job import Data
from benchmark.measure import measured

EXECUTORS, EXECUTOR_GB, DRIVER_MEMORY = 2, 2, "1g"
EXECUTOR_MEMORY = f"{EXECUTOR_GB}g"
_HEADROOM_MB = 512  # of a worker, beyond its executor's heap
_REGISTERS_WITHIN = 90.0


def run(asked: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
    """Every size that is asked for; each is stored as soon as it is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for events in asked.events:
        say(f"cluster, {events:,} events: generating where they are missing")
        data = generate(asked.cache, events, asked.seed, raw=False)
        out = data.folder / "out" / "cluster"
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        about = {"events": events, "executors": EXECUTORS, "executor_memory": EXECUTOR_MEMORY}
        about |= {"driver_memory": DRIVER_MEMORY, "data": json.loads((data.folder / "meta.json").read_text())}
        about |= report.surroundings(["scripts/bench", *sys.argv[1:]]) | {"load_before": os.getloadavg()}
        log = out.with_suffix(".log")
        done = measured(["cluster", str(data.folder), str(out)], log, asked.timeout, asked.memory).as_dict()
        found = about | done | {"load_after": os.getloadavg(), "executors_lost": _lost(log)}
        if done["status"] == "done":
            found["left"] = check.left("classic", out).as_dict()
        (folder / f"cluster-{events}.json").write_text(json.dumps(found, indent=1) + "\n")
        told = (f"{name} {found[name]}" for name in (*done, "executors_lost") if found[name] != "")
        say(f"cluster, {events:,} events: " + ", ".join(told))


def work(folder: str, out: str) -> None:
    """The cluster and what is submitted to it, in a process of its own."""
    binaries = Path(pyspark.__file__).parent / "bin"
    with _cluster(binaries / "spark-class", Path(out).with_name("cluster-work")) as master:
        memory = ("--driver-memory", DRIVER_MEMORY, "--executor-memory", EXECUTOR_MEMORY, "--executor-cores", "1")
        options = ("--conf", "spark.executor.extraJavaOptions=-XX:-DontCompileHugeMethods")  # as README says
        command = [str(binaries / "spark-submit"), "--master", master, *memory, *options, __file__, folder, out]
        subprocess.run(command, check=True, env=os.environ | {"PYSPARK_PYTHON": sys.executable})


@contextmanager
def _cluster(spark_class: Path, folder: Path) -> Iterator[str]:
    """A master and its workers; gives the master's address."""
    folder.mkdir()
    master = f"spark://127.0.0.1:{_free_port()}"
    size = ("--cores", "1", "--memory", f"{1024 * EXECUTOR_GB + _HEADROOM_MB}m", "--work-dir", str(folder))
    roles: list[tuple[str, ...]] = [("master.Master", "--port", master.rpartition(":")[2])]
    roles += [("worker.Worker", *size, master)] * EXECUTORS
    started: list[subprocess.Popen[bytes]] = []
    log = folder / "master.log"
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    try:
        for number, (role, *arguments) in enumerate(roles):
            with (log if number == 0 else folder / f"worker-{number}.log").open("wb") as said:
                page = ("--host", "127.0.0.1", "--webui-port", str(_free_port()))
                command = [str(spark_class), f"org.apache.spark.deploy.{role}", *page, *arguments]
                started.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
        until = time.monotonic() + _REGISTERS_WITHIN
        while log.read_text(errors="replace").count("Registering worker") < EXECUTORS:
            if time.monotonic() > until:
                raise SystemExit(f"no {EXECUTORS} workers after {_REGISTERS_WITHIN:.0f} s: see {folder}")
            time.sleep(0.2)
        yield master
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _lost(log: Path) -> int:
    """How many executors the driver has told of as lost."""
    return log.read_text(errors="replace").count("Lost executor")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":  # what is submitted
    ours.classic(Data(Path(sys.argv[1])), Path(sys.argv[2]))

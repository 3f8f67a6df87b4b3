"""The packaged jobs on a real standalone cluster of two workers, submitted as scripts/package says."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "cdnow.yaml"
AS_OF, LATER = date(1998, 7, 1), date(1998, 8, 1)
TABLES = ("events", "quarantine", "customer_metrics", "cut_points", "customer_segments", "segment_profiles")
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for short jobs: less is compiled
SETTINGS = {
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
}
NOT_CONTENT = {"ingested_run_id", "run_id", "ingest_date"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """What scripts/package makes, with the dependencies unpacked as it says."""
    subprocess.run([ROOT / "scripts" / "package"], check=True, capture_output=True)
    made = ROOT / "dist"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "dependencies.zip", "dependencies"], cwd=made, check=True)
    return made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The master's address and the two workers."""
    import pyspark

    folder = tmp_path_factory.mktemp("cluster")
    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    port, page = free_port(), free_port()
    master = f"spark://127.0.0.1:{port}"

    @contextmanager
    def process(name: str, *arguments: str) -> Iterator[subprocess.Popen]:
        with (folder / f"{name}.log").open("w") as log:
            command = [spark_class, f"org.apache.spark.deploy.{arguments[0]}", "--host", "127.0.0.1", *arguments[1:]]
            started = subprocess.Popen(command, env=clean_environment(), stdout=log, stderr=log, start_new_session=True)
            try:
                yield started
            finally:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()

    size = ("--cores", "1", "--memory", "1g", "--work-dir", str(folder))
    with (
        process("master", "master.Master", "--port", str(port), "--webui-port", str(page)),
        process("worker-1", "worker.Worker", *size, "--webui-port", str(free_port()), master) as one,
        process("worker-2", "worker.Worker", *size, "--webui-port", str(free_port()), master) as two,
    ):
        wait_for(lambda: (folder / "master.log").read_text().count("Registering worker") == 2, "two workers")
        yield master, [one, two]


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    """One lake for the jobs of this file, in their order."""
    return str(tmp_path_factory.mktemp("lake") / "cdnow")


def test_run_is_exact_though_an_executor_is_killed(spark, dist, cluster, lake, tmp_path):
    from rfm_spark import Project

    master, workers = cluster
    killed = []

    def kill_an_executor(line: str) -> None:
        if line.startswith("events") and not killed:  # the rows as judged were cached there
            killed.extend(executors(workers[0])[:1])
            os.kill(killed[0], signal.SIGKILL)

    done = submit(dist, master, "run.py", AS_OF, lake, kill_an_executor)
    assert done.returncode == 0, done.stdout
    assert killed, done.stdout
    assert "champions" in done.stdout
    local = Project.load(CONFIG, lake=str(tmp_path / "local"))
    local.run(spark, as_of=AS_OF)
    on_cluster = Project.load(CONFIG, lake=lake)
    for table in TABLES:
        assert content(on_cluster.read(spark, table)) == content(local.read(spark, table)), table
    (row,) = on_cluster.read(spark, "runs").collect()
    assert (row["job"], row["status"], row["counts"]["orders.rows_read"]) == ("run", "complete", 6919)


def test_segment_and_the_code_of_a_fault(spark, dist, cluster, lake):
    from rfm_spark import Project

    done = submit(dist, cluster[0], "segment.py", LATER, lake)
    assert done.returncode == 0, done.stdout
    project = Project.load(CONFIG, lake=lake)
    days = project.read(spark, "customer_segments").groupBy("snapshot_date").count().collect()
    assert {row["snapshot_date"]: row["count"] for row in days} == {AS_OF: 2357, LATER: 2357}

    done = submit(dist, cluster[0], "segment.py", "someday", lake)
    assert done.returncode == 2
    assert "rfm_spark: exit 2 (invalid)" in done.stdout


def submit(
    dist: Path, master: str, job: str, as_of: object, lake: str, on_line=lambda line: None
) -> subprocess.CompletedProcess[str]:
    """spark-submit as scripts/package says, by a Python that has nothing of this project installed."""
    (package,) = (file.name for file in dist.glob("rfm_spark-*.zip"))
    jars = ",".join(f"jars/{file.name}" for file in (dist / "jars").iterdir())
    environment = clean_environment() | {
        "PYTHONPATH": str(dist / "dependencies"),
        "PYSPARK_PYTHON": sys._base_executable,
        "RFM_SPARK_DEBUG": "0",
    }
    command = [Path(sys.executable).with_name("spark-submit"), "--master", master, "--py-files", package]
    command += ["--jars", jars]
    command += [part for key, value in SETTINGS.items() for part in ("--conf", f"{key}={value}")]
    command += [f"jobs/{job}", CONFIG, "--as-of", str(as_of), "--lake", lake]
    # spark-submit sends what the driver's Python writes to its standard output, both streams
    started = subprocess.Popen(
        command, cwd=dist, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with started:
        lines = []
        for line in started.stdout:
            lines.append(line)
            on_line(line)
    return subprocess.CompletedProcess(command, started.returncode, "".join(lines))


def clean_environment() -> dict[str, str]:
    """The environment of someone who set nothing up."""
    unwanted = ("SPARK_", "PYSPARK_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)} | {
        "SPARK_LOCAL_IP": "127.0.0.1"
    }


def executors(worker: subprocess.Popen) -> list[int]:
    """The processes of a worker that run tasks."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == worker.pid and b"CoarseGrainedExecutorBackend" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended in the meantime
            continue
    return found


def content(frame) -> list[str]:
    names = [name for name in frame.columns if name not in NOT_CONTENT]
    return sorted(repr(tuple(row)) for row in frame.select(*(f"`{name}`" for name in names)).collect())


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(happened, what: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"no {what} after {seconds} s"
        time.sleep(0.2)

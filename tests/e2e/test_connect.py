"""The whole job through a real Spark Connect server gives what a classic session gives."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "cdnow.yaml"
AS_OF = date(1998, 7, 1)
TABLES = ("events", "quarantine", "customer_metrics", "cut_points", "customer_segments", "segment_profiles")
NOT_CONTENT = {"ingested_run_id", "run_id", "ingest_date"}


@pytest.fixture
def server(tmp_path):
    """The address of a Spark Connect server with Delta."""
    import pyspark

    home = Path(pyspark.__file__).parent
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
    }
    command = [home / "bin" / "spark-submit", "--master", "local[2]"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    with (tmp_path / "server.log").open("w") as log:
        started = subprocess.Popen(
            [*command, "spark-internal"],
            env=environment | {"SPARK_LOCAL_IP": "127.0.0.1"},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert started.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                assert time.monotonic() < until, "no Spark Connect server after two minutes"
                time.sleep(0.5)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def test_connect_gives_the_classic_result(spark, server, tmp_path):
    from rfm_spark import Project

    command = Path(sys.executable).with_name("rfm-spark")
    for job in ("run", "segment"):  # the second again, at the same date
        done = subprocess.run(
            [command, job, CONFIG, "--as-of", str(AS_OF), "--lake", tmp_path / "connect"],
            env=os.environ | {"SPARK_REMOTE": server, "RFM_SPARK_DEBUG": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "champions" in done.stdout
    classic = Project.load(CONFIG, lake=str(tmp_path / "classic"))
    classic.run(spark, as_of=AS_OF)
    connect = Project.load(CONFIG, lake=str(tmp_path / "connect"))
    for table in TABLES:
        assert content(connect.read(spark, table)) == content(classic.read(spark, table)), table
    assert sorted(row["job"] for row in connect.read(spark, "runs").collect()) == ["run", "segment"]


def content(frame) -> list[str]:
    names = [name for name in frame.columns if name not in NOT_CONTENT]
    return sorted(repr(tuple(row)) for row in frame.select(*(f"`{name}`" for name in names)).collect())

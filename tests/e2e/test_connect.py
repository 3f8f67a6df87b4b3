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
from e2e import people

pytestmark = [pytest.mark.slow, pytest.mark.spark_only]

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "cdnow.yaml"
AS_OF = date(1998, 7, 1)
TABLES = ("events", "quarantine", "customer_metrics", "cut_points", "customer_segments", "segment_profiles")
OF_PEOPLE = (*TABLES, "customers", "identities", "identity_links", "identity_changes", "segment_migrations")
NOT_CONTENT = {"ingested_run_id", "first_seen_run_id", "key_since", "run_id", "ingest_date"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a Spark Connect server with Delta."""
    import pyspark

    tmp_path = tmp_path_factory.mktemp("server")
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

    for job in ("run", "segment"):  # the second again, at the same date
        assert "champions" in command(server, job, CONFIG, AS_OF, tmp_path / "connect")
    classic = Project.load(CONFIG, lake=str(tmp_path / "classic"))
    classic.run(spark, as_of=AS_OF)
    connect = Project.load(CONFIG, lake=str(tmp_path / "connect"))
    for table in TABLES:
        assert content(connect.read(spark, table)) == content(classic.read(spark, table)), table
    assert sorted(row["job"] for row in connect.read(spark, "runs").collect()) == ["run", "segment"]


def test_people_are_joined_over_connect(spark, server, tmp_path):
    """The second run joins one more to Bob, and so another: their device has customers few enough then."""
    from rfm_spark import Project

    config = people.example(tmp_path)
    classic = Project.load(config, lake=str(tmp_path / "classic"))
    for day, more in ((date(2024, 6, 1), []), (date(2024, 6, 2), [("l6", "s4", "bob@example.com", None, "d9")])):
        if more:
            people.shop(tmp_path, "2.csv", more)
        command(server, "run", config, day, tmp_path / "connect")
        classic.run(spark, as_of=day)
    connect = Project.load(config, lake=str(tmp_path / "connect"))
    for table in OF_PEOPLE:
        assert content(connect.read(spark, table)) == content(classic.read(spark, table)), table
    assert [row["change"] for row in connect.read(spark, "identity_changes").collect()] == ["merge"] * 2


def command(server: str, job: str, config: Path, day: date, lake: Path) -> str:
    """What the command prints that connects to the server."""
    done = subprocess.run(
        [Path(sys.executable).with_name("rfm-spark"), job, config, "--as-of", str(day), "--lake", lake],
        env=os.environ | {"SPARK_REMOTE": server, "RFM_SPARK_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def content(frame) -> list[str]:
    names = [name for name in frame.columns if name not in NOT_CONTENT]
    return sorted(repr(tuple(row)) for row in frame.select(*(f"`{name}`" for name in names)).collect())

"""The session that tests and the command run on: what it can do, what it checks, and how it fails."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from pyspark.sql import Row

from rfm_spark import session
from rfm_spark.errors import EnvironmentFault

pytestmark = pytest.mark.spark_only


def build_elsewhere(environ: dict[str, str], code: str = "") -> subprocess.CompletedProcess[str]:
    """Builds a session in a process of its own, as the command does, and prints the fault if there is one."""
    script = f"""
from rfm_spark import session
from rfm_spark.errors import EnvironmentFault
try:
    spark = session.build(small=True, conf={{"spark.master": "local[1]"}})
{code or "    pass"}
except EnvironmentFault as fault:
    print("fault:", fault)
"""
    inherited = {name: value for name, value in os.environ.items() if name not in {"JAVA_HOME", "SPARK_HOME"}}
    return subprocess.run(
        [sys.executable, "-c", script],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_delta_table_is_written_and_read(spark, lake_path):
    spark.createDataFrame([("a", 1), ("b", 2)], "name string, value int").write.format("delta").save(lake_path)
    assert spark.read.format("delta").load(lake_path).orderBy("name").collect() == [
        Row(name="a", value=1),
        Row(name="b", value=2),
    ]


def test_a_row_that_does_not_cast_is_null_and_not_an_error(spark):
    row = spark.sql("select int('x') as number, 1 / 0 as ratio, to_date('31.02.2011', 'dd.MM.yyyy') as day").first()
    assert row == Row(number=None, ratio=None, day=None)


def test_settings_hold_inside_and_come_back_after(spark):
    spark.conf.set("spark.sql.session.timeZone", "Europe/Paris")
    spark.conf.set("spark.sql.ansi.enabled", "true")
    spark.conf.unset("spark.sql.caseSensitive")
    inside = {}

    def run_and_fail():
        with session.settings(spark):
            inside.update({key: spark.conf.get(key) for key in session.SEMANTICS})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_and_fail()
    assert inside == session.SEMANTICS
    assert spark.conf.get("spark.sql.session.timeZone") == "Europe/Paris"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert spark.conf.get("spark.sql.caseSensitive", None) is None


def test_what_the_test_above_changed_was_put_back(spark):
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


def test_settings_keep_the_snapshot_partitions_that_someone_chose(spark):
    spark.conf.set("spark.databricks.delta.snapshotPartitions", "3")
    with session.settings(spark):
        assert spark.conf.get("spark.databricks.delta.snapshotPartitions") == "3"


def test_the_active_session_is_taken_as_it_is(spark):
    assert session.build(small=True) is spark


def test_an_old_spark_is_refused_with_what_to_do():
    with pytest.raises(EnvironmentFault, match=r"Spark 3\.5\.1 found, 4\.0 or later expected"):
        session.adopt(SimpleNamespace(version="3.5.1"))


def test_a_session_without_delta_is_refused_with_what_to_do():
    def load(_path):
        raise RuntimeError("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta.")

    without_delta = SimpleNamespace(
        version="4.2.0", read=SimpleNamespace(format=lambda _name: SimpleNamespace(load=load))
    )
    with pytest.raises(EnvironmentFault, match=r"without Delta Lake found: .*--jars"):
        session.adopt(without_delta)


def test_a_setting_that_the_platform_refuses_is_named():
    class Conf:
        def get(self, key, *default):
            return {"spark.sql.session.timeZone": "Asia/Tokyo"}.get(key, session.SEMANTICS.get(key, "8"))

        def set(self, key, value):
            raise RuntimeError("CONFIG_NOT_AVAILABLE")

    fault = r"spark\.sql\.session\.timeZone is Asia/Tokyo, expected UTC"
    with pytest.raises(EnvironmentFault, match=fault), session.settings(SimpleNamespace(conf=Conf())):
        pass


def test_a_java_that_is_too_old_is_one_line(tmp_path):
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = build_elsewhere({"JAVA_HOME": str(tmp_path), "PATH": path}, code="    print('started', spark.version)")
    # Where set-up put a Java of its own into the environment, that one is used.
    assert done.stdout.startswith(("fault: Java 11.0.2 in", "started")), done.stderr
    assert done.stdout.count("\n") == 1


def test_a_jvm_that_does_not_start_is_one_line():
    done = build_elsewhere({"RFM_SPARK_DRIVER_MEMORY": "12parsecs"})
    assert done.stdout.startswith("fault: Spark did not start on Java"), done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_normal_run_writes_nothing_of_its_own_to_the_terminal():
    done = build_elsewhere({}, code="    print(spark.range(3).count())")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_connect_server_that_does_not_answer_is_one_line():
    done = build_elsewhere({"SPARK_REMOTE": "sc://127.0.0.1:1"})
    assert done.stdout.startswith("fault: Spark Connect does not answer"), done.stderr[-500:]
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
def test_a_submitted_job_keeps_what_was_submitted_and_gets_delta(tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "from rfm_spark import session\n"
        "spark = session.build(small=False)\n"
        f"spark.range(2).write.format('delta').save('{tmp_path}/table')\n"
        "print(spark.conf.get('spark.sql.shuffle.partitions'), spark.conf.get('spark.app.name'))\n"
    )
    submit = os.path.join(os.path.dirname(sys.executable), "spark-submit")
    options = ["--master", "local[1]", "--name", "mine", "--conf", "spark.sql.shuffle.partitions=7"]
    done = subprocess.run(
        [submit, *options, str(job)], capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["7", "mine"]

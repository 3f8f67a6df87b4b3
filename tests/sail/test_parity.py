"""Every table of every shipped project, cell for cell the same from Spark and from Sail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from e2e import shipped

NO_PROMISE = {"ingested_run_id", "run_id", "ingest_date", "ingested_at"}  # ids of runs, and the clock
QUICK = ("cdnow", "media")
PROJECTS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in shipped.AS_OF]
COMMAND = Path(sys.executable).with_name("rfm-spark")


@pytest.mark.parametrize("name", PROJECTS)
def test_every_table_is_equal(spark, tmp_path, tmp_path_factory, name):
    """Once with a new lake, and once more at the same date."""
    from rfm_spark.lake import Lake
    from rfm_spark.pipelines.published import published

    done = shipped.done(spark, name, tmp_path_factory)
    lake = Lake(spark, done.project.config.lake)
    theirs = {table: lake.place.path(table) for table in published(lake).versions if table != "runs"}
    assert theirs.keys() >= {"events", "quarantine", "customer_metrics", "cut_points", "customer_segments"}
    for _ in range(2):
        sail(done.config, tmp_path / "lake", name)
        assert {path.name for path in (tmp_path / "lake").iterdir()} == theirs.keys() | {"runs"}
        for table, path in theirs.items():
            expected, found = DeltaTable(path), DeltaTable(tmp_path / "lake" / table)
            assert found.schema().to_json() == expected.schema().to_json(), table
            assert found.metadata().partition_columns == expected.metadata().partition_columns, table
            assert found.metadata().configuration == expected.metadata().configuration, table
            assert content(found) == content(expected), table
    runs = DeltaTable(tmp_path / "lake" / "runs").to_pyarrow_table().to_pylist()
    assert {run["status"] for run in runs} == {"complete"}
    assert {run["engine"].split(".")[0] for run in runs} == {"sail 0"}


def test_what_only_spark_can_do_is_refused_by_name(tmp_path):
    config = tmp_path / "cdnow.yaml"
    shutil.copy(shipped.ROOT / "conf" / "cdnow.yaml", config)
    asked = ["lake={catalog: main, schema: shop}", "sources.orders.format=table", "sources.orders.table=shop.orders"]
    asked.append("sources.orders.path=null")
    overrides = [part for one in asked for part in ("--set", one)]
    said = command("run", config, "--as-of", "1998-07-01", *overrides)
    assert said.returncode == 2, said.stderr
    assert "sources.orders.format: table needs --engine spark, found sail" in said.stderr
    assert "lake.catalog: a catalog needs --engine spark, found sail; or give lake.path" in said.stderr


def sail(config: Path, lake: Path, name: str) -> None:
    said = command("run", config, "--as-of", str(shipped.AS_OF[name]), "--lake", lake)
    assert said.returncode == 0, said.stderr[-3000:]


def command(job: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The command on Sail, on a machine without Java."""
    return subprocess.run(
        [COMMAND, job, *map(str, arguments), "--engine", "sail"],
        env={k: v for k, v in os.environ.items() if k != "JAVA_HOME"} | {"PATH": str(COMMAND.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def content(table: DeltaTable) -> list[str]:
    rows = table.to_pyarrow_table().to_pylist()
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in NO_PROMISE)) for row in rows)

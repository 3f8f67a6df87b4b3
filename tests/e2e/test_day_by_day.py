"""Online Retail in its 305 trading days: whatever comes day by day ends as one delivery of it all does."""

import os
import shutil
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from e2e import bad_input as bad
from e2e import shipped

pytestmark = pytest.mark.on_sail

AS_OF = shipped.AS_OF["online_retail"]
NOT_CONTENT = {
    "events": ["source_file", "ingested_run_id"],
    "quarantine": ["quarantine_id", "source_file", "run_id", "ingest_date"],
    "customer_segments": ["previous_segment", "segment_since"],  # of the snapshots before, which one run does not have
}
TABLES = ("events", "quarantine", "customer_metrics", "cut_points", "customer_segments", "segment_profiles")
ALL_DAYS = pytest.mark.skipif("RFM_SPARK_TEST_DAYS" not in os.environ, reason="an hour; RFM_SPARK_TEST_DAYS=1 asks")


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> dict[date, Path]:
    """A file a trading day."""
    folder = tmp_path_factory.mktemp("days")
    rows = pq.read_table(shipped.ROOT / "conf" / "data" / "online_retail.parquet")
    of_day = pc.cast(pc.cast(rows["InvoiceDate"], "timestamp[s]"), "date32")
    found = {}
    for day in sorted(set(of_day.to_pylist())):
        found[day] = folder / f"{day}.parquet"
        pq.write_table(rows.filter(pc.equal(of_day, day)), found[day])
    assert len(found) == 305
    return found


def project(folder: Path) -> Any:
    """The shipped project over a folder of deliveries, with a lake of its own."""
    from rfm_spark import Project

    config = yaml.safe_load((shipped.ROOT / "conf" / "online_retail.yaml").read_text(encoding="utf-8"))
    config["sources"][0]["path"] = "in/*.parquet"
    config["lake"] = {"path": "lake"}
    config["contract"]["max_quarantined_share"] = 1.0  # guests are more than their share of the year on many a day
    (folder / "in").mkdir(parents=True)
    (folder / "project.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return Project.load(folder / "project.yaml")


def contents(spark, done: Any) -> dict[str, list[str]]:
    """What the last snapshot and the tables before it hold, but for who brought it and when."""
    found = {}
    for table in TABLES:
        frame = done.read(spark, table).drop(*NOT_CONTENT.get(table, []))
        if "snapshot_date" in frame.columns:
            frame = frame.filter(frame["snapshot_date"] == AS_OF)
        names = sorted(frame.columns)
        found[table] = sorted(str(row) for row in frame.select(*names).collect())
    return found


@pytest.mark.parametrize(("last", "deliveries"), [(9, 3), pytest.param(305, 305, marks=[ALL_DAYS, pytest.mark.slow])])
def test_day_by_day_ends_as_one_run(spark, days, tmp_path, last, deliveries):
    """The last days, each delivery run as of the day after it, so that snapshots are moved on or made anew between."""
    taken = sorted(days)[-last:]
    whole, done = project(tmp_path / "whole"), project(tmp_path / "parts")
    remaining, size = iter(taken), -(-len(taken) // deliveries)
    while some := list(islice(remaining, size)):
        for day in some:
            shutil.copy(days[day], tmp_path / "parts" / "in")
        run = done.run(spark, as_of=some[-1] + timedelta(days=1))
        assert run.counts["invoices.rows_read"] == sum(pq.read_metadata(days[day]).num_rows for day in some)
    assert run.as_of == AS_OF
    for day in taken:
        shutil.copy(days[day], tmp_path / "whole" / "in")
    whole.run(spark, as_of=AS_OF)
    found, at_once = contents(spark, done), contents(spark, whole)
    for table in TABLES:
        assert found[table] == at_once[table], table


def test_parquet_files_whose_types_differ_day_by_day_and_at_once(spark, tmp_path):
    """As pandas writes a day without rows, and one whose numbers are whole; an extra column keeps its type."""
    from rfm_spark import Project

    days = [
        {"amount": [3.5], "seen": ["x"]},
        {"amount": pa.nulls(0), "seen": pa.nulls(0)},
        {"amount": [4], "seen": ["y"]},
    ]
    columns = bad.COLUMNS | {"size": "amount", "seen": "seen"}
    file = bad.project_file(tmp_path, [bad.source_of("orders", "in", format="parquet", columns=columns)])
    (tmp_path / "in").mkdir()
    for i, day in enumerate(days, start=1):
        size = len(day["amount"])
        pq.write_table(
            pa.table(day | {"id": ["A"] * size, "date": [f"2011-01-0{i}"] * size}), tmp_path / f"in/{i}.parquet"
        )
        daily = Project.load(file)
        daily.ingest(spark, as_of=bad.AS_OF)
    once = Project.load(file, lake=str(tmp_path / "once"))
    once.ingest(spark, as_of=bad.AS_OF)
    found = [
        sorted(map(tuple, each.read(spark, "events").select("event_id", "amount", "size", "seen").collect()))
        for each in (daily, once)
    ]
    assert found[0] == found[1]
    assert sorted(row[1:] for row in found[0]) == [(Decimal("3.50"), 3.5, "x"), (Decimal("4.00"), 4.0, "y")]

"""Back-fill: several snapshots from one look at the events are those that one after the other would be."""

from datetime import date

import pytest
from e2e import faults
from e2e.commands import rfm_spark

pytestmark = pytest.mark.on_sail

FIRST, LAST = date(2020, 4, 30), date(2020, 7, 30)
MONTHS = [date(2020, 4, 30), date(2020, 5, 30), date(2020, 6, 30), date(2020, 7, 30)]
TABLES = (*faults.SNAPSHOTS, "segment_migrations")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tiny project, and nothing run."""
    path = tmp_path_factory.mktemp("backfill")
    faults.write_project(path)
    return path


def _rows(project, spark):
    return {
        table: sorted(str(sorted(row.asDict().items())) for row in project.read(spark, table).collect())
        for table in TABLES
    }


def test_all_at_once_is_one_after_the_other(spark, folder):
    """In every table; each snapshot by a run of its own, and the feed as if they had come one by one."""
    single, at_once = (faults.project(folder / "project.yaml", str(folder / name)) for name in ("single", "at_once"))
    for project in (single, at_once):
        project.ingest(spark, as_of=LAST)
    for day in MONTHS:
        single.segment(spark, as_of=day)
    runs = at_once.backfill(spark, FIRST, LAST)
    assert [run.as_of for run in runs] == MONTHS
    assert len({run.run_id for run in runs}) == 4
    assert _rows(at_once, spark) == _rows(single, spark)
    feeds = [project.read(spark, "segment_changes").drop("run_id").collect() for project in (single, at_once)]
    assert sorted(map(str, feeds[0])) == sorted(map(str, feeds[1]))


@pytest.mark.slow
def test_causes_are_those_of_looking_at_every_mover_again(spark, folder, monkeypatch):
    """Also where no event came late, which saves a look."""
    from rfm_spark.pipelines import evolution

    whole, saved = (faults.project(folder / "project.yaml", str(folder / name)) for name in ("whole", "saved"))
    for project in (whole, saved):
        project.ingest(spark, as_of=LAST)
    saved.backfill(spark, FIRST, LAST)
    monkeypatch.setattr(evolution, "_unseen", lambda *_: None)
    whole.backfill(spark, FIRST, LAST)
    assert _rows(saved, spark) == _rows(whole, spark)
    causes = {row["cause"] for row in saved.read(spark, "segment_migrations").collect()}
    assert len(causes - {"none", "new"}) > 1  # or nothing was shown


def test_the_command(spark, folder):
    config, lake = folder / "project.yaml", str(folder / "command")
    assert rfm_spark(spark, "ingest", config, "--as-of", LAST, "--lake", lake).code == 0
    asked = ("segment", config, "--lake", lake, "--as-of", FIRST)
    said = rfm_spark(spark, *asked, "--until", "2020-05-31", "--every", "month")
    assert said.code == 0
    assert said.lines[-1] == "Published 2 snapshots: 2020-04-30, 2020-05-30"
    assert rfm_spark(None, *asked, "--every", "month").code == 2
    said = rfm_spark(spark, *asked, "--until", "2020-05-31", "--every", "fortnight")
    assert said.code == 2
    assert "every fortnight; expected a later date, and every day, week, month, quarter, year" in said.log
    assert rfm_spark(spark, *asked, "--until", "2020-01-01").code == 2

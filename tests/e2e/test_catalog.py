"""A lake in a catalog: the same tables, and `current_segments` and `segment_history` views that any session of the
catalog reads."""

from datetime import date

import pytest
from e2e import faults
from e2e.faults import FIRST, LATER, SECOND

from rfm_spark.schemas import SEGMENT_HISTORY

HISTORY = "spark_catalog.tiny.segment_history"
IN_CATALOG = "lake={catalog: spark_catalog, schema: tiny}"
_EVERYBODY = "{name: everybody, otherwise: true, action: {decision: Write, channel: email, message: hello}}"


@pytest.mark.slow
@pytest.mark.spark_only
def test_what_is_published_is_seen_in_views(spark, tmp_path, monkeypatch):
    from rfm_spark import Project

    config = faults.write_project(tmp_path)
    tiny = Project.load(config, [IN_CATALOG])
    try:
        tiny.run(spark, as_of=FIRST)
        assert view(spark) == sorted(map(tuple, tiny.read(spark, "current_segments").collect()))
        assert history(spark) == stays(spark, tiny)
        with monkeypatch.context() as patched:
            faults.kill_after(patched, "segment_profiles")
            with pytest.raises(faults.Killed):
                tiny.segment(spark, as_of=SECOND)
        assert {row[0] for row in view(spark)} == {FIRST}
        assert {row[3:] for row in history(spark)} == {(FIRST, None, 1)}
        tiny.segment(spark, as_of=SECOND)
        assert {row[0] for row in view(spark)} == {SECOND}
        assert view(spark) == sorted(map(tuple, tiny.read(spark, "current_segments").collect()))
        assert history(spark) == stays(spark, tiny)
        assert {row[3:] for row in history(spark)} >= {(FIRST, SECOND, 1), (SECOND, None, 1), (FIRST, None, 2)}
        before = view(spark)
        policy = "maintenance={keep: {daily: 1, yearly: 0}, retention_hours: 0, allow_short_retention: true}"
        short = Project.load(config, [IN_CATALOG, policy])
        for _ in range(2):  # the second deletes the files of what the first has dropped
            short.maintain(spark, as_of=date(2030, 1, 1))
            assert view(spark) == before
            assert history(spark) == stays(spark, tiny)
        assert {row["snapshot_date"] for row in tiny.read(spark, "customer_metrics").collect()} == {SECOND}

        # a run that dies at the published date, and then others that end: each view is of what is published
        everybody = f"segmentations=[{{name: value, question: Who, segments: [{_EVERYBODY}]}}]"
        with monkeypatch.context() as patched:
            faults.kill_after(patched, "segment_profiles")
            with pytest.raises(faults.Killed):
                Project.load(config, [IN_CATALOG, everybody]).segment(spark, as_of=SECOND)
        tiny.segment(spark, as_of=FIRST)
        assert view(spark) == before
        scored = "criteria={r: null, x: {sql: frequency, better: high}}"
        other = Project.load(config, [IN_CATALOG, everybody.replace("name: value", "name: other"), scored])
        other.segment(spark, as_of=LATER)
        assert {row[:2] for row in view(spark)} == {(SECOND, "value"), (LATER, "other")}
        assert view(spark) == sorted(map(tuple, other.read(spark, "current_segments").collect()))
        assert history(spark) == stays(spark, other)
        types = [(field.name, field.dataType.simpleString()) for field in spark.table(HISTORY).schema]
        assert types == SEGMENT_HISTORY.types()
    finally:
        spark.sql("DROP SCHEMA IF EXISTS tiny CASCADE")


def history(spark) -> list[tuple]:
    """The rows of the other view."""
    return sorted(map(tuple, spark.table(HISTORY).collect()), key=str)


def stays(spark, tiny) -> list[tuple]:
    """What the project reads."""
    return sorted(map(tuple, tiny.read(spark, "segment_history").collect()), key=str)


def view(spark) -> list[tuple]:
    """The rows of the view, the snapshot first."""
    return sorted(map(tuple, spark.table("spark_catalog.tiny.current_segments").collect()))

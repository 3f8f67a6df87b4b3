"""Sources of every format, in globs and partitioned folders, with local times, give the same events.

One ingest of them all; and, for the slow tests, one more of the same, which must change nothing.
"""

from datetime import UTC, date
from types import SimpleNamespace

import pytest
from e2e import bad_input as bad

pytestmark = pytest.mark.spark_only

AS_OF = date(2025, 1, 1)
ROWS = [
    ("anna", "2024-01-05 10:00:00", "5.00"),
    ("anna", "2024-01-05 10:00:00", "5.00"),
    ("ben", "2024-02-06 11:00:00", "7.25"),
]
PLAIN = [(who, f"{at}+00:00", amount) for who, at, amount in ROWS]
# what London's and New York's clocks show, what the instant is, and whose business day it is in London
TIMES = [
    ("London", "2024-03-31 00:59", "2024-03-31 00:59", "2024-03-31"),  # the last minute of winter time
    ("London", "2024-03-31 01:30", "2024-03-31 01:30", "2024-03-31"),  # skipped: moved forward to 02:30
    ("London", "2024-06-30 23:59", "2024-06-30 22:59", "2024-06-30"),
    ("London", "2024-07-01 00:00", "2024-06-30 23:00", "2024-07-01"),
    ("London", "2024-10-27 01:30", "2024-10-27 00:30", "2024-10-27"),  # comes twice: the first
    ("New_York", "2024-03-10 02:30", "2024-03-10 07:30", "2024-03-10"),
    ("New_York", "2024-07-01 18:59", "2024-07-01 22:59", "2024-07-01"),
    ("New_York", "2024-07-01 19:00", "2024-07-01 23:00", "2024-07-02"),  # midnight in London
    ("New_York", "2024-12-31 18:59", "2024-12-31 23:59", "2024-12-31"),
]
FORMATS = ("json", "json_array", "parquet", "parquet_days", "delta", "table", "csv_glob", "csv_folders")


@pytest.fixture(scope="module")
def ingest(_session, tmp_path_factory):
    """Ingests every source, and gives the counts and the events."""
    from rfm_spark import Project

    folder = tmp_path_factory.mktemp("formats")
    _session.sql("CREATE DATABASE IF NOT EXISTS till")
    project = Project.load(bad.project_file(folder, write(_session, folder), timezone="Europe/London"))

    def run() -> SimpleNamespace:
        done = project.ingest(_session, as_of=AS_OF)
        return SimpleNamespace(counts=done.counts, events=project.read(_session, "events").collect())

    yield run
    _session.sql("DROP DATABASE till CASCADE")


@pytest.fixture(scope="module")
def first(ingest):
    return ingest()


@pytest.fixture(scope="module")
def second(ingest, first):
    return ingest()


def write(spark, folder) -> list[dict]:
    """Write the same rows in every format, and describe the sources."""
    rows = ROWS
    texts = spark.createDataFrame(rows, "id string, date string, amount string").coalesce(1)
    money = "cast(amount as decimal(10,2)) amount"
    frame = texts.selectExpr("id", "to_timestamp(concat(date, 'Z')) date", money)
    by_day = texts.selectExpr("id", money, "to_date(date) day", "right(date, 8) at")
    frame.write.parquet(f"{folder}/parquet")
    by_day.write.partitionBy("day").parquet(f"{folder}/parquet_days")
    frame.limit(0).write.format("delta").save(f"{folder}/delta")
    frame.write.format("delta").mode("append").save(f"{folder}/delta")
    frame.write.format("parquet").saveAsTable("till.orders")
    objects = [f'{{"id": "{who}", "date": "{at}", "amount": {amount}}}' for who, at, amount in rows]
    lines = [f"{who},{at},{amount}\n" for who, at, amount in rows]
    ours, theirs = (
        "".join(f"{at},{at}\n" for clock, at, *_ in TIMES if clock == zone) for zone in ("London", "New_York")
    )
    bad.write(
        folder,
        {
            "web/2024-01.jsonl": "\n".join(objects[:2]) + "\n",
            "web/2024-02.jsonl": "\n".join(objects[2:]) + "\n",
            "web/2023-12.jsonl": '{"id": "old", "date": "2023-12-01", "amount": 1}\n',
            "array.json": "[\n" + ",\n".join(objects) + "\n]",
            "glob/2024/a.csv": bad.HEAD + "".join(lines[:2]),
            "glob/2024/b.csv": bad.HEAD + "".join(lines[2:]),
            "glob/2023/a.csv": bad.HEAD + "old,2023-12-01,1\n",
            "folders/shop=Leeds/month=01/a.csv": bad.HEAD + "".join(lines[:2]),
            "folders/shop=York/month=02/a.csv": bad.HEAD + "".join(lines[2:]),
            "london.csv": "at,id\n" + ours,
            "new_york.csv": "at,id\n" + theirs,
        },
    )
    times = {"event_type": "contact", "columns": {"source_customer_id": "id", "event_ts": "at"}}
    days = bad.COLUMNS | {"event_ts": {"sql": "concat(day, ' ', at)"}}
    shops = {"columns": bad.COLUMNS | {"shop": "shop", "month": "month"}}
    return [
        bad.source_of("json", "web/2024-*.jsonl", format="json"),
        bad.source_of("json_array", "array.json", format="json", options={"multiLine": True}),
        bad.source_of("parquet", "parquet", format="parquet"),
        bad.source_of("parquet_days", "parquet_days", format="parquet", columns=days),
        bad.source_of("delta", "delta", format="delta"),
        bad.source_of("table", None, format="table", table="till.orders"),
        bad.source_of("csv_glob", "glob/2024/*.csv"),
        bad.source_of("csv_folders", "folders", **shops),
        bad.source_of("London", "london.csv", **times),
        bad.source_of("New_York", "new_york.csv", timezone="America/New_York", **times),
    ]


def parts(ingested: SimpleNamespace, source: str) -> list[int]:
    return [
        ingested.counts[f"{source}.{part}"] for part in ("rows_read", "accepted", "quarantined", "exact_duplicates")
    ]


@pytest.mark.parametrize("source", FORMATS)
def test_the_same_rows_in_every_format(first, source):
    """Equal rows are two purchases where nothing says what identifies a row."""
    rows = [row for row in first.events if row["source"] == source]
    found = [(row["customer_key"], str(row["event_ts"].astimezone(UTC)), str(row["amount"])) for row in rows]
    assert sorted(found) == sorted(PLAIN)
    assert parts(first, source) == [3, 3, 0, 0]


def test_folders_are_columns(first):
    rows = [row for row in first.events if row["source"] == "csv_folders"]
    assert sorted((row["customer_key"], row["shop"], row["month"]) for row in rows) == [
        ("anna", "Leeds", "01"),
        ("anna", "Leeds", "01"),
        ("ben", "York", "02"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("source", [*FORMATS, "London", "New_York"])
def test_reading_the_same_again_changes_nothing(first, second, source):
    read, accepted, *_ = parts(first, source)
    assert read == accepted
    # a table is read whole every time, a file once
    assert parts(second, source) == ([read, 0, 0, read] if source in ("delta", "table") else [0, 0, 0, 0])
    one, other = (sorted(row["event_id"] for row in each.events if row["source"] == source) for each in (first, second))
    assert one == other


def test_local_times_and_business_days(first):
    found = {
        (row["source"], row["customer_key"]): (
            row["event_ts"].astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
            str(row["event_date"]),
        )
        for row in first.events
        if row["source"] in ("London", "New_York")
    }
    assert found == {(zone, at): (instant, day) for zone, at, instant, day in TIMES}

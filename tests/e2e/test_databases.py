"""Sources in a real PostgreSQL: profiles read whole, events from a watermark on, and every fault told and harmless."""

import os
from datetime import date
from types import SimpleNamespace
from unittest import mock

import pytest
from e2e import bad_input as bad
from e2e.commands import rfm_spark
from postgres import PASSWORD, VARIABLE

AS_OF = date(2024, 7, 1)
pytestmark = pytest.mark.on_sail


@pytest.fixture
def shop(spark, postgres, tmp_path):
    """Orders with a time of their last change, people, and a project over them; the server is left as it was."""
    postgres.do(
        "DROP SCHEMA IF EXISTS shop CASCADE",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id bigint, customer text, sold_at timestamptz, total numeric(12,2), note varchar(9),"
        " changed_at timestamptz, unused text)",
        "CREATE TABLE shop.people (id text, city text, birthday date, secret text)",
        "INSERT INTO shop.people VALUES ('c1', 'Köln', '1990-02-03', 'x'), ('c2', 'Łódź', NULL, 'y')",
    )
    columns = {"source_customer_id": "customer", "event_ts": "sold_at", "amount": "total", "note": "note"}
    orders = {"name": "orders", **postgres.source, "table": "shop.orders", "event_type": "purchase", "event_id": "id"}
    orders |= {"columns": columns, "watermark": {"column": "changed_at"}, "partition": {"column": "id", "number": 3}}
    people = {"name": "people", "kind": "profile", **postgres.source, "table": "shop.people"}
    people |= {"columns": {"source_customer_id": "id"}, "attributes": {"city": "city", "birthday": "birthday"}}
    config = bad.project_file(tmp_path, [orders, people])

    def sell(*rows: tuple) -> None:
        """(id, customer, day sold, total, time changed)"""
        for n, who, day, total, changed in rows:
            changed_at = f"'{changed}+00'" if changed else "NULL"
            postgres.do(
                f"INSERT INTO shop.orders VALUES ({n}, '{who}', '{day} 12:00+00', {total}, 'n{n}', {changed_at}, '')"
            )

    def run(*overrides: str, code: int = 0):
        sets = [part for one in overrides for part in ("--set", one)]
        said = rfm_spark(spark, "ingest", config, "--as-of", AS_OF, *sets)
        assert said.code == code, said.log + said.out
        assert PASSWORD not in said.log + said.out
        return said

    def read(table: str) -> list:
        from rfm_spark import Project

        return Project.load(config).read(spark, table).collect()

    yield SimpleNamespace(sell=sell, run=run, read=read, do=postgres.do, config=config, url=postgres.url)
    postgres.do("DROP SCHEMA shop CASCADE")


def counts(shop) -> tuple[int, ...]:
    """Of the last complete ingest: rows read of orders, accepted, exact duplicates."""
    newest = max((row for row in shop.read("runs") if row.status == "complete"), key=lambda row: row.ended_at)
    return tuple(newest.counts[f"orders.{part}"] for part in ("rows_read", "accepted", "exact_duplicates"))


def test_what_is_new_since_the_last_complete_run(spark, shop):
    shop.sell((1, "c1", "2024-01-05", "10.10", "2024-01-05 12:00:00.000001"), (2, "c2", "2024-01-06", 5, "2024-01-06"))
    shop.sell((3, "c2", "2024-02-01", 7, None))  # no watermark: read every time
    shop.run()
    assert counts(shop) == (3, 3, 0)
    assert {row.customer_key: (row.city, row.birthday) for row in shop.read("customers")} == {
        "c1": ("Köln", date(1990, 2, 3)),
        "c2": ("Łódź", None),
    }
    shop.run()
    assert counts(shop) == (2, 0, 2)  # the last one, and that without
    shop.sell((4, "c3", "2024-03-01", "0.99", "2024-03-01"), (5, "c3", "2024-03-02", 3, "2024-01-05 18:00"))
    shop.run()  # the other is late: committed after its time had been read
    assert counts(shop) == (3, 1, 2)
    shop.run("sources.orders.watermark.overlap_hours=1440")
    assert counts(shop) == (5, 1, 4)
    assert sorted((row.event_id, str(row.amount), row.note) for row in shop.read("events")) == [
        ("1", "10.10", "n1"), ("2", "5.00", "n2"), ("3", "7.00", "n3"), ("4", "0.99", "n4"), ("5", "3.00", "n5"),
    ]  # fmt: skip
    tables = sorted(shop.read("ingested_tables"), key=lambda row: row.ingested_at)
    assert [(row.since, row.watermark) for row in tables] == [
        (None, "2024-01-06 00:00:00.000000"),
        ("2024-01-06 00:00:00.000000", "2024-01-06 00:00:00.000000"),
        ("2024-01-06 00:00:00.000000", "2024-03-01 00:00:00.000000"),
        ("2024-03-01 00:00:00.000000", "2024-03-01 00:00:00.000000"),
    ]
    shop.run("contract.max_amount=1000")  # judged otherwise: all is read again
    assert counts(shop) == (5, 0, 5)


def test_a_run_that_dies_is_read_again(spark, shop):
    from rfm_spark.pipelines import ingest

    shop.sell((1, "c1", "2024-01-05", 10, "2024-01-05"))
    shop.run()
    shop.sell((2, "c1", "2024-01-06", 20, "2024-01-06"))
    with mock.patch.object(ingest.quarantine, "write", side_effect=RuntimeError("killed")):
        shop.run(code=1)
    assert len(shop.read("events")) == 1
    shop.run()
    assert counts(shop) == (2, 0, 2)  # its event is in the table, and now published
    assert sorted(row.event_id for row in shop.read("events")) == ["1", "2"]


def test_rows_dated_ahead_hide_none_that_come_later(shop):
    shop.sell((1, "c1", "2024-01-05", 10, "2199-01-01"))
    shop.run()
    shop.sell((2, "c1", "2024-01-06", 20, "2198-01-01"))
    shop.run()
    assert counts(shop) == (2, 1, 1)


def test_only_the_columns_in_use_leave_the_database(shop):
    """A column that cannot be computed is not asked for, and a right that lacks is told."""
    shop.sell((1, "c1", "2024-01-05", 10, "2024-01-05"))
    broken = "1 / (length(id) - length(id)) AS broken"
    shop.do(f"CREATE VIEW shop.known AS SELECT id, city, birthday, {broken} FROM shop.people")
    shop.run("sources.people.table=shop.known")
    assert len(shop.read("customers")) == 2
    failed = shop.run("sources.people.table=shop.known", "sources.people.attributes.broken=broken", code=5)
    assert "sources.people" in failed.log
    assert "division by zero" in failed.log
    shop.do("DROP ROLE IF EXISTS clerk", f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")
    try:
        shop.do("GRANT USAGE ON SCHEMA shop TO clerk")
        refused = shop.run("sources.people.user=clerk", code=5)
        assert "sources.people.table: permission denied for table people; grant this user the right" in refused.log
    finally:
        shop.do("DROP OWNED BY clerk", "DROP ROLE clerk")


def test_a_changing_table_is_read_once(spark, shop):
    """Rows come while a run is under way: it goes on with those that it found."""
    from rfm_spark.pipelines import conservation

    shop.sell((1, "c1", "2024-01-05", 10, "2024-01-05"))
    count_read = conservation.count_read

    def and_then_more(*arguments):
        count_read(*arguments)
        shop.sell((2, "c1", "2024-01-06", 20, None))
        shop.do("INSERT INTO shop.people VALUES ('c3', 'Ulm', NULL, '')")

    with mock.patch.object(conservation, "count_read", and_then_more):
        shop.run()
    assert counts(shop) == (1, 1, 0)
    shop.run()
    assert counts(shop) == (2, 1, 1)


WRONG = [
    ("sources.orders.table=shop.order", 2, "sources.orders.table: no table shop.order at jdbc:postgresql://127.0.0.1"),
    ("sources.people.attributes.city=town", 2, "source people: no column town; found id, city, birthday, secret"),
    ("sources.orders.watermark.column=changed", 2, "sources.orders.watermark.column: no column changed in shop.orders"),
    ("sources.orders.watermark.column=note", 2, "watermark.column: note is string, expected a whole number, a date"),
    ("sources.orders.watermark.overlap=5", 2, "sources.orders.watermark.overlap: changed_at is a time, expected"),
    ("sources.orders.partition.column=note", 2, "sources.orders.partition.column: note is string, expected"),
    ("sources.orders.url=jdbc:postgresql://127.0.0.1:1/shop", 5, "sources.orders.url: no database answers at"),
    ("sources.people.password={env: WRONG}", 5, "sources.people.password: jdbc:postgresql://127.0.0.1"),
    ("sources.people.password={file: /nonexistent}", 5, "the file /nonexistent cannot be read"),
    (f"sources.people.password={PASSWORD}", 2, "found (removed), expected: {env: NAME} or {file: PATH}"),
    ("sources.people.options={password: x}", 2, "found password among the options, expected password beside them"),
]


def test_every_fault_is_told_and_leaves_what_was_published(shop):
    shop.sell((1, "c1", "2024-01-05", 10, "2024-01-05"))
    shop.run()
    before = [shop.read(table) for table in ("events", "customers", "ingested_tables")]
    with mock.patch.dict(os.environ, {"WRONG": "no-" + PASSWORD}):
        for override, code, told in WRONG:
            assert told in shop.run(override, code=code).log, override
    shop.do("ALTER TABLE shop.orders ALTER note TYPE int USING 5")
    assert "sources.orders.columns.note: found int, and events has it as string" in shop.run(code=2).log
    shop.do("ALTER TABLE shop.orders ALTER changed_at TYPE text")
    assert "sources.orders.watermark.column: changed_at is string" in shop.run(code=2).log
    shop.do("ALTER TABLE shop.orders DROP changed_at")
    assert "no column changed_at in shop.orders" in shop.run(code=2).log
    shop.do("DROP TABLE shop.orders")
    assert "sources.orders.table: no table shop.orders" in shop.run(code=2).log
    assert [shop.read(table) for table in ("events", "customers", "ingested_tables")] == before


def test_no_secret_is_shown_or_kept(spark, shop, tmp_path):
    shop.sell((1, "c1", "2024-01-05", 10, "2024-01-05"))
    shop.run()
    shop.run("sources.orders.table=shop.nothing", code=2)
    good, bad_one = sorted(shop.read("runs"), key=lambda row: row.ended_at)
    assert good.inputs == {"orders": f"shop.orders at {shop.url}", "people": f"shop.people at {shop.url}"}
    assert VARIABLE in good.config
    assert "no table shop.nothing" in bad_one.message
    assert f"env: {VARIABLE}" in rfm_spark(None, "check", shop.config, "--defaults").out
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if PASSWORD.encode() in file.read_bytes()]

"""A real PostgreSQL, read in ranges and written to in one transaction; what goes wrong is told, and leaves nothing."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from unittest import mock

import pytest
from postgres import PASSWORD, USER, VARIABLE

from rfm_spark.config.databases import Secret
from rfm_spark.databases import Database, Ranges, replace_rows, rows, table_schema
from rfm_spark.errors import ConfigError, ConflictError, EnvironmentFault, InputError, RfmSparkError

COLUMNS = "campaign string, id bigint, amount decimal(18,2), day date, at timestamp, local timestamp_ntz, good boolean"
AT = datetime(2024, 3, 31, 1, 30, 0, 123456)
ROW = (Decimal("12.50"), date(2024, 3, 31), AT.replace(tzinfo=UTC), AT, True)


@pytest.fixture
def database(postgres):
    """A table of the server, by its name."""
    made: list[str] = []

    def of(table: str, **other: object) -> Database:
        made.append(table)
        return Database(**{
            "url": postgres.url, "table": table, "path": "sources.crm", "user": USER, "password": Secret(env=VARIABLE),
        } | other)  # fmt: skip

    yield of
    postgres.do("SELECT 1", *(f"DROP TABLE IF EXISTS {name}" for name in made if name in ("sent", "kept", "many")))


def frame(spark, campaign: str, numbers: range):
    return spark.createDataFrame([(campaign, n, *ROW) for n in numbers], COLUMNS)


def ids(postgres, table: str) -> list[tuple]:
    return postgres.do(f"SELECT campaign, id FROM {table} ORDER BY 1, 2")


def test_written_in_place_of_its_slice_and_again_the_same(spark, postgres, database):
    table = database("sent")
    for _ in range(2):
        assert replace_rows(frame(spark, "a", range(5)), table, ["campaign", "id"], {"campaign": "a"}) == 5
    assert replace_rows(frame(spark, "b", range(2)), table, ["campaign", "id"], {"campaign": "b"}) == 2
    assert replace_rows(frame(spark, "a", range(1)), table, ["campaign", "id"], {"campaign": "a"}) == 1
    assert ids(postgres, "sent") == [("a", 0), ("b", 0), ("b", 1)]
    assert postgres.do("SELECT amount, day, at, local, good FROM sent LIMIT 1") == [ROW]
    assert replace_rows(frame(spark, "c", range(1)), table, ["campaign", "id"]) == 1
    assert ids(postgres, "sent") == [("c", 0)]
    assert postgres.do("SELECT tablename FROM pg_tables WHERE tablename LIKE '%sent%'") == [("sent",)]


def test_a_write_that_fails_leaves_the_table_as_it_was(spark, postgres, database):
    table = database("kept")
    replace_rows(frame(spark, "a", range(3)), table, ["campaign", "id"], {"campaign": "a"})
    wrong = [
        (frame(spark, "b", range(3)), InputError, "not of campaign"),
        (frame(spark, "a", range(9)).withColumnRenamed("good", "fine"), InputError, 'lacks "fine"'),
        (frame(spark, "a", range(9)).selectExpr("campaign", "id", "'x' AS day"), InputError, '"day" is of type date'),
        (frame(spark, "a", range(9)).selectExpr("campaign", "array(id) AS id"), InputError, "nested"),
    ]
    for new, kind, told in wrong:
        with pytest.raises(kind, match=told):
            replace_rows(new, table, ["campaign", "id"], {"campaign": "a"})
    with pytest.raises(ConfigError, match="expected a table of a PostgreSQL"):
        replace_rows(frame(spark, "a", range(9)), database("(select 1) as x"), ["id"])
    with table.connect() as other:
        other.execute("SELECT pg_advisory_lock(hashtext('rfm_spark kept'))")
        with pytest.raises(ConflictError, match="another process is writing"):
            replace_rows(frame(spark, "a", range(9)), table, ["campaign", "id"], {"campaign": "a"})
    assert ids(postgres, "kept") == [("a", 0), ("a", 1), ("a", 2)]
    assert postgres.do("SELECT tablename FROM pg_tables WHERE tablename LIKE '%kept%'") == [("kept",)]


def test_ranges_leave_no_row_out(spark, postgres, database):
    postgres.do(
        "CREATE TABLE many AS SELECT g AS id, g * 0.01::numeric(9,2) AS amount FROM generate_series(-50, 949) g"
    )
    postgres.do("INSERT INTO many VALUES (NULL, 1), (5000, 1)")
    table = database("many")
    schema = table_schema(spark, table)
    assert schema["id"].dataType.simpleString() == "int"
    read = rows(spark, table, schema.fields, "id IS NULL OR id <> 0", Ranges("id", 4, "0", "900"))
    assert sorted(str(row.id) for row in read.collect()) == sorted(
        [*(str(n) for n in range(-50, 950) if n), "5000", "None"]
    )


@pytest.mark.parametrize(
    ("other", "kind", "told"),
    [
        ({"table": "nope"}, InputError, "sources.crm.table: no table nope at jdbc:postgresql://127.0.0.1"),
        ({"table": "nope.nope"}, InputError, "sources.crm.table: no table nope.nope"),
        ({"table": "(select nope from pg_class) as x"}, ConfigError, 'query: column "nope" does not exist'),
        ({"table": "(select from where) as x"}, ConfigError, "query: syntax error"),
        ({"url": "jdbc:postgresql://127.0.0.1:1/shop"}, EnvironmentFault, "sources.crm.url: no database answers"),
        ({"url": "{url}x"}, InputError, "sources.crm.url: there is no such database"),
        ({"user": "nobody"}, EnvironmentFault, "sources.crm.password: .* refuses this user or password"),
        ({"password": None}, EnvironmentFault, "sources.crm.password: .* comes from nowhere"),
        ({"password": Secret(env="WRONG")}, EnvironmentFault, "comes from the environment variable WRONG"),
        ({"password": Secret(env="UNSET")}, EnvironmentFault, "the environment variable UNSET is not set"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(spark, postgres, database, other, kind, told):
    given = {"table": "pg_class"} | {k: v.format(url=postgres.url) if k == "url" else v for k, v in other.items()}
    with mock.patch.dict(os.environ, {"WRONG": "not-this-" + PASSWORD}), pytest.raises(kind, match=told) as raised:
        table_schema(spark, database(**given))
    assert isinstance(raised.value, RfmSparkError)
    assert PASSWORD not in str(raised.value)

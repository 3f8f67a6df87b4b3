"""Bad input: every row ends in one place with its reasons; what cannot be read is said before anything is written."""

import gzip
import json
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace

import pytest
from e2e import bad_input as bad

from rfm_spark.errors import ConfigError, GateError, InputError

# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(_session, tmp_path_factory):
    """Three ingests: all deliveries; two of them with more files; what was replaced once more."""
    from rfm_spark import Project

    folder = tmp_path_factory.mktemp("deliveries")

    def ingest(sources: list[dict]) -> SimpleNamespace:
        project = Project.load(bad.project_file(folder, sources))
        run = project.ingest(_session, as_of=bad.AS_OF)
        tables = {name: project.read(_session, name).collect() for name in ("events", "quarantine")}
        return SimpleNamespace(counts=run.counts, **tables)

    ids = bad.source_of("ids", "ids/*.csv", event_id=["a", "b"])
    changed = bad.source_of("changed", "changed/*.csv", event_id="row", on_change="replace")
    bad.write(folder, bad.EARLIER)
    first = ingest([*bad.deliver(folder, bad.DELIVERIES), doubles(_session, folder), ids, changed])
    bad.write(folder, bad.LATER)
    return SimpleNamespace(first=first, second=ingest([ids, changed]), third=ingest([changed]))


@pytest.mark.parametrize("delivery", bad.DELIVERIES, ids=lambda delivery: delivery.name)
def test_every_row_ends_in_one_place(world, delivery):
    """Events, reasons and counts are as the delivery says, and every row read is in one of them."""
    ingested, counts, name = world.first, world.first.counts, delivery.name
    rows = [row for row in ingested.events if row["source"] == name]
    extras = [n for n in delivery.source.get("columns", {}) if n in ("note", "month", "seen")]
    found = [
        (row["source_customer_id"], shown(row), text(row["amount"]), *(text(row[n]) for n in extras)) for row in rows
    ]
    expected = [(who, at if ":" in at else f"{at} 00:00:00", *rest) for who, at, *rest in delivery.events]

    assert sorted(found) == sorted(expected)
    records = [row for row in ingested.quarantine if row["source"] == name]
    assert bad.reasons_of(records) == delivery.reasons
    parts = [counts[f"{name}.{part}"] for part in ("accepted", "quarantined", "exact_duplicates")]
    assert parts == [len(expected), delivery.bad_rows, delivery.duplicates]
    assert counts[f"{name}.rows_read"] == sum(parts)
    assert len(records) == delivery.bad_rows


def test_quarantined_records_hold_all_that_came(world):
    """Also of rows that an unclosed quote swallowed, and of cells beyond the header."""
    records = "".join(row["record"] for row in world.first.quarantine)
    for value in ("many,2011-01-02,6.00,7.00", "F6,2011-01-02,8.00,x", "D4,2011-01-02,8.00", "now", "1e400", "gift"):
        assert value in records


def test_doubles_that_are_no_amounts(world):
    found = sorted(
        (row["source_customer_id"], text(row["amount"])) for row in world.first.events if row["source"] == "doubles"
    )
    assert found == [("half", "1.01"), ("zero", "0.00")]
    records = [row for row in world.first.quarantine if row["source"] == "doubles"]
    assert bad.reasons_of(records) == {"not_a_number:amount": 2, "amount_out_of_range": 1, "missing_amount": 1}


def test_rows_that_contradict_each_other(world):
    """Within a delivery all of them are quarantined, in a later one the later; what was read before stays."""
    assert events_of(world.first, "ids") == {
        "x|y": "1.00",
        "x\\||y": "2.00",
        "x|\\|y": "3.00",
        "\\N|y": "4.00",
        "x|\\N": "5.00",
    }
    assert events_of(world.second, "ids") == events_of(world.first, "ids") | {"r|s": "9.00"}
    records = [row for row in world.second.quarantine if row["source"] == "ids"]
    assert bad.reasons_of(records) == {"no_event_id": 1, "duplicate_conflict": 3}
    assert sorted(json.loads(row["record"])["amount"] for row in records) == ["6", "7", "8", "9.99"]
    assert parts_of(world.second, "ids") == [6, 1, 4, 1]  # of the second file alone


def test_other_content_that_replaces(world):
    """The later content wins; then there is nothing new to read."""
    assert [events_of(each, "changed") for each in vars(world).values()] == [
        {"1": "5.00"},
        {"1": "6.00"},
        {"1": "6.00"},
    ]
    assert parts_of(world.second, "changed") == [1, 1, 0, 0]
    assert parts_of(world.third, "changed") == [0, 0, 0, 0]
    for name in ("events", "quarantine"):
        assert len(getattr(world.third, name)) == len(getattr(world.second, name))


def events_of(ingested: SimpleNamespace, source: str) -> dict[str, str | None]:
    return {row["event_id"]: text(row["amount"]) for row in ingested.events if row["source"] == source}


def parts_of(ingested: SimpleNamespace, source: str) -> list[int]:
    names = ("rows_read", "accepted", "quarantined", "exact_duplicates")
    return [ingested.counts[f"{source}.{name}"] for name in names]


def test_identity_of_a_row_without_a_declared_one(spark):
    """Neither the order of the columns nor an empty one more changes it; where a value stands does."""
    from rfm_spark import sources
    from rfm_spark.config.source import Source

    source = Source.model_validate(bad.source_of("orders", "f.csv"))
    rows = ["'A' id, '1' date, '2' amount", "'2' amount, 'A' id, '1' date, cast(null as string) more"]
    rows += ["'A' id, '2' date, '1' amount", "'A' id, '1' date, cast(null as string) amount, '2' more"]
    found = [
        sources.canonical(spark.sql(f"select {row}, 'f.csv' _file"), source).select("_event_base").head()[0]
        for row in rows
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_identities_of_several_columns_are_told_apart(spark):
    """Whatever stands in a text; a number or a time needs no escape."""
    from rfm_spark import sources
    from rfm_spark.config.source import Source

    source = Source.model_validate(bad.source_of("orders", "f.csv") | {"event_id": ["id", "line", "amount"]})
    rows = {
        "'a', 1, 'b'": "a|1|b",
        "'a|1', 1, 'b'": r"a\|1|1|b",
        "'a', 1, '1|b'": r"a|1|1\|b",
        r"'a\\', 1, 'b'": r"a\\|1|b",
        "null, 1, 'b'": r"\N|1|b",
        r"'\\N', 1, 'b'": r"\\N|1|b",
        "'a', null, null": r"a|\N|\N",
        "cast(null as string), cast(null as int), cast(null as string)": None,
    }
    for row, expected in rows.items():
        raw = spark.sql(f"select {row}").toDF("id", "line", "amount").selectExpr("*", "'1' date", "'f.csv' _file")
        assert sources.canonical(raw, source).select("_event_base").head()[0] == expected


def doubles(spark, folder: Path) -> dict:
    """A Parquet source with amounts that are floating point numbers."""
    values = {
        "nan": "'NaN'",
        "endless": "'-Infinity'",
        "huge": "'1e300'",
        "half": "'1.005'",
        "zero": "'-0.0'",
        "none": "null",
    }
    rows = " union all ".join(
        f"select '{name}' id, timestamp'2011-01-02' date, cast({value} as double) amount"
        for name, value in values.items()
    )
    spark.sql(rows).coalesce(1).write.parquet(str(folder / "doubles"))
    return bad.source_of("doubles", "doubles", format="parquet")


def shown(row) -> str:
    """The time of an event in UTC; the session returns it in the machine's zone."""
    return row["event_ts"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def text(value) -> str | None:
    return None if value is None else str(value)


# --- what cannot be read ---------------------------------------------------------------------------------------------

PACKED = gzip.compress(bad.GOOD.encode())
UNREADABLE = {
    "missing path": ({}, {"path": "nowhere.csv"}, "nothing found at .*nowhere.csv; check path"),
    "glob without a match": ({}, {"path": "in/*.tsv"}, r"nothing found at .*in/\*.tsv; check path"),
    "empty file": ({"in/f.csv": ""}, {}, "found an empty file at .*expected csv with at least its column names"),
    "blank file": ({"in/f.csv": "\n\n"}, {}, "found an empty file"),
    "wrong delimiter": (
        {"in/f.csv": bad.GOOD.replace(",", ";")},
        {},
        "no column id; found id;date;amount; .*separated by ';': set options.sep",
    ),
    "column gone": (
        {"in/f.csv": "id,date,amuont\n"},
        {},
        "no column amount; found id, date, amuont; did you mean amuont",
    ),
    "no header": (
        {"in/f.csv": f"{bad.SECRET},2011-01-02,5\n"},
        {},
        "no column id; the first line of .*looks like data.*header: false",
    ),
    "names twice": ({"in/f.csv": "id,date,amount,ID\n"}, {}, "column ID, id stands twice in the header.*rename it"),
    "values twice": ({"in/f.csv": f"{bad.SECRET},7,7\n"}, {}, "a value stands twice in the header"),
    "open quote in header": (
        {"in/f.csv": f'"id,date,amount\n{bad.SECRET},2011-01-02,5\n'},
        {},
        "a quote in the first line of .* is not closed",
    ),
    "latin-1 header": (
        {"in/f.csv": "id,date,betr\xe4ge\n".encode("latin-1")},
        {"columns": bad.COLUMNS | {"amount": "beträge"}},
        "do not decode as UTF-8: set options.encoding",
    ),
    "folder and header": (
        {"in/date=2011-01-02/f.csv": bad.GOOD},
        {"path": "in"},
        "column date stands in the header and in the folders' names",
    ),
    "csv.gz that is text": (
        {"in/f.csv.gz": bad.GOOD},
        {"path": "in/f.csv.gz"},
        "cannot read .*f.csv.gz as csv: it is cut off, damaged",
    ),
    "csv.gz that is cut off": (
        {"in/f.csv.gz": PACKED[:20]},
        {"path": "in"},
        "cannot read .*f.csv.gz as csv: it is cut off",
    ),
    "csv.bz2 that is text": (
        {"in/f.csv.bz2": bad.GOOD},
        {"path": "in"},
        "(cannot read .*f.csv.bz2 as csv: it is cut off|found an empty file)",  # Spark finds no block in it
    ),
    "json.gz that is text": (
        {"in/f.json.gz": '{"id":1}\n'},
        {"format": "json", "path": "in"},
        "cannot read .*f.json.gz as json: it is cut off, damaged",
    ),
    "json without an object": ({"in/f.json": "[1]\n"}, {"format": "json", "path": "in"}, "found no JSON object at"),
    "json lines as one document": (
        {"in/f.json": '{"id":1}\n{"id":2}\n'},
        {"format": "json", "path": "in", "options": {"multiLine": True}},
        "one JSON object a line.*take that option out",
    ),
    "json lines as one document, in other capitals": (
        {"in/f.json": '{"id":1}\n{"id":2}\n'},
        {"format": "json", "path": "in", "options": {"multiline": "True"}},
        "one JSON object a line.*take that option out",
    ),
    "parquet that is text": ({"in/f.parquet": bad.GOOD}, {"format": "parquet", "path": "in"}, "cannot read .*damaged"),
    "parquet that is empty": (
        {"in/f.parquet": ""},
        {"format": "parquet", "path": "in"},
        "cannot read .*damaged|no readable file",
    ),
    "delta that is a file": ({"f.csv": bad.GOOD}, {"format": "delta", "path": "f.csv"}, "found no Delta table at"),
    "delta without a table": (
        {"in/f.csv": bad.GOOD},
        {"format": "delta", "path": "in"},
        "found no Delta table at .*format: parquet",
    ),
    "table that is missing": (
        {},
        {"format": "table", "table": "shop.sales", "path": None},
        "no table shop.sales in the catalog",
    ),
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.spark_only if c.startswith("table") else ()) for c in UNREADABLE]
)
def test_what_cannot_be_read_is_an_input_error(spark, tmp_path, case):
    files, given, message = UNREADABLE[case]
    bad.write(tmp_path, files)
    bad.fails(
        spark,
        tmp_path,
        [bad.source_of("orders", **{"path": "in/f.csv", **given})],
        InputError,
        "source orders: .*" + message,
    )


@pytest.mark.spark_only
def test_parquet_file_that_breaks_off_in_its_rows(spark, tmp_path):
    """Its footer is good, so it is found out only when rows are read."""
    folder = tmp_path / "in"
    spark.range(20_000).selectExpr("uuid() id", "'2011-01-02' date", "id amount").coalesce(1).write.parquet(str(folder))
    (file,) = folder.glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[1_000:200_000] = b"\x5a" * 199_000
    file.write_bytes(content)
    (folder / f".{file.name}.crc").unlink(missing_ok=True)
    message = f"source orders: cannot read .*{file.name} as parquet: it is cut off, damaged"
    bad.fails(spark, tmp_path, [bad.source_of("orders", "in", format="parquet")], InputError, message)


# --- SQL -------------------------------------------------------------------------------------------------------------


def amount(sql: str) -> dict:
    return {"columns": bad.COLUMNS | {"amount": {"sql": sql}}}


SQL = {
    "column": (
        amount("amuont * 2"),
        {},
        r"sources.orders.columns.amount.sql.*amuont.*columns of orders: id, date, amount",
    ),
    "function": (amount("rond(amount, 2)"), {}, r"sources.orders.columns.amount.sql.*rond"),
    "syntax": (amount("amount +"), {}, r"columns.amount.sql.*does not parse"),
    "type of argument": (amount("date_add(id, map(1, 2))"), {}, r"sources.orders.columns.amount.sql"),
    "event type": (
        {"event_type": {"sql": "if(knid = 'x', 'purchase', 'refund')"}},
        {},
        r"sources.orders.event_type.sql.*knid",
    ),
    "rule": (
        {},
        {"contract": {"rules": [{"name": "cheap", "sql": "prize < 5"}]}},
        r"contract.rules\[0\].sql: rule cheap .*source orders.*prize",
    ),
    "rule that is no condition": (
        {},
        {"contract": {"rules": [{"name": "cheap", "sql": "coalesce(id, date)"}]}},
        r"contract.rules\[0\].sql: rule cheap gives string, expected a condition",
    ),
    "criterion with a bad function": (
        {},
        {"criteria": {"f": None, "x": {"sql": "sqrrt(frequency)", "better": "high"}}},
        r"criteria.x.sql.*sqrrt",
    ),
    "criterion that is no number": (
        {},
        {"criteria": {"f": None, "x": {"sql": "date_format(first_order_date, 'MMM')", "better": "high"}}},
        r"criteria.x.sql.*found a string, expected a number",
    ),
    "segment": (
        {},
        {
            "segmentations": [
                {
                    "name": "v",
                    "question": "?",
                    "segments": [
                        {"name": "a", "when": "lentgh(segment_name(f)) > 3", "action": bad.ACTION},
                        {"name": "b", "otherwise": True, "action": bad.ACTION},
                    ],
                }
            ]
        },
        r"segmentations.*segments\[0\].when",
    ),
}


@pytest.mark.parametrize("case", SQL)
def test_sql_with_a_typo_is_named_before_anything_is_written(spark, tmp_path, case):
    given, sections, message = SQL[case]
    bad.write(tmp_path, {"in/f.csv": bad.GOOD})
    bad.fails(spark, tmp_path, [bad.source_of("orders", "in/f.csv", **given)], ConfigError, message, **sections)


def test_rule_over_a_column_that_one_source_lacks(spark, tmp_path):
    """All faults at once, each with the rule and the source."""
    bad.write(tmp_path, {"a.csv": "id,date,amount,price\n", "b.csv": bad.HEAD})
    sources = [bad.source_of("first", "a.csv"), bad.source_of("second", "b.csv")]
    contract = {"rules": [{"name": "cheap", "sql": "price < 5"}, {"name": "paid", "sql": "price > 0"}]}
    error = bad.fails(spark, tmp_path, sources, ConfigError, "rule cheap does not fit source second", contract=contract)
    assert [fault.path for fault in error.faults] == ["contract.rules[0].sql", "contract.rules[1].sql"]
    assert "name its sources" in str(error)


@pytest.mark.spark_only
def test_sql_that_fails_on_a_row(spark, tmp_path):
    """What Spark finds out only when it runs is a fault of the project too, and shows no value."""
    bad.write(tmp_path, {"in/f.csv": bad.HEAD + f"{bad.SECRET},2011-01-02,5\n"})
    source = bad.source_of("orders", "in/f.csv", **amount("regexp_extract(amount, concat('(', id), 0)"))
    bad.fails(spark, tmp_path, [source], ConfigError, "INVALID_PARAMETER_VALUE.PATTERN; expected null")


# --- the gate --------------------------------------------------------------------------------------------------------


def test_gate_publishes_nothing(spark, tmp_path):
    """Not on the first run; and a later one leaves what was published as it was."""
    from rfm_spark import Project

    gate = {"contract": {"max_quarantined_share": 0.1}}
    project = Project.load(bad.project_file(tmp_path, [bad.source_of("orders", "f.csv")], **gate))
    bad.write(tmp_path, {"f.csv": bad.GOOD + f"{bad.SECRET},yesterday,5\n"})
    with pytest.raises(GateError, match=r"source orders: 1 of 2 rows \(50.0%\).*unparseable_time 1.*10.0%") as caught:
        project.run(spark, as_of=bad.AS_OF)
    assert (caught.value.exit_code, bad.SECRET in str(caught.value)) == (3, False)
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["runs"]

    # the same file mended, in the same session: what the failed run had read is not read again
    bad.write(tmp_path, {"f.csv": bad.GOOD})
    project.ingest(spark, as_of=bad.AS_OF)
    bad.write(tmp_path, {"f.csv": bad.HEAD + "B2,2011-01-02,5\nC3,yesterday,5\n"})
    with pytest.raises(GateError):
        project.run(spark, as_of=bad.AS_OF)
    assert [row["source_customer_id"] for row in project.read(spark, "events").collect()] == ["A1"]
    statuses = [row["status"] for row in project.read(spark, "runs").orderBy("started_at").collect()]
    assert statuses == ["gate_failed", "complete", "gate_failed"]

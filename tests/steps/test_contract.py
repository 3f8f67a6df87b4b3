"""Contract: reasons, money and times of single rows, on small frames."""

from datetime import date
from decimal import Decimal

import pytest

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import ConfigError
from rfm_spark.local import local_frame

ACTION = {"decision": "Write", "channel": "email", "message": "hello"}
SOURCE = {
    "name": "orders",
    "format": "parquet",
    "path": "orders",
    "event_type": {"sql": "kind"},
    "columns": {"source_customer_id": "id", "event_ts": "at", "amount": "paid", "duration_seconds": "took"},
    "event_id": "row",
}
COLUMNS = [("row", "string"), ("id", "string"), ("at", "string"), ("paid", "string"), ("took", "string")]
ROW = ("1", "A1", "2011-01-02", "5", None, "purchase")


def config_of(source: dict, **sections) -> ProjectConfig:
    segments = [{"name": "everyone", "otherwise": True, "action": ACTION}]
    usual = {
        "project": "shop",
        "question": "Who?",
        "timezone": "UTC",
        "currency": "EUR",
        "lake": {"path": "lake"},
        "segmentations": [{"name": "value", "question": "Who?", "segments": segments}],
    }
    return ProjectConfig.model_validate(usual | sections | {"sources": [source]})


@pytest.fixture
def judge(spark):
    """Judge rows (row, id, at, paid, took, kind); values of a type other than text are given by `types`."""
    from pyspark.sql import functions as F

    from rfm_spark import session, sources
    from rfm_spark.steps import contract

    def judge(rows, rates=None, types=None, columns=None, source=None, **sections):
        config = config_of(SOURCE | (source or {}), **sections)
        names = [(name, (types or {}).get(name, type_)) for name, type_ in [*COLUMNS, ("kind", "string")]]
        with session.settings(spark):
            raw = local_frame(spark, rows, names).withColumn("_file", F.lit("f"))
            if columns:
                raw = raw.withColumns({name: F.expr(sql) for name, sql in columns.items()})
            mapped = sources.canonical(raw, Source.model_validate(SOURCE | (source or {})))
            if rates is not None:
                rates = local_frame(
                    spark,
                    rates,
                    [("currency", "string"), ("valid_from", "date"), ("valid_to", "date"), ("rate", "decimal(28,10)")],
                )
            judged = contract.judge_events(mapped, config.sources[0], config, rates)
            judged = judged.withColumn("event_ts", F.date_format("event_ts", "yyyy-MM-dd HH:mm"))
            return {row["event_base"]: row for row in judged.collect()}

    return judge


def with_(**given) -> tuple:
    names = [name for name, _ in COLUMNS] + ["kind"]
    return tuple((dict(zip(names, ROW, strict=True)) | given).values())


REASONS = [
    ({}, []),
    ({"id": " \t"}, ["no_customer"]),
    ({"kind": "gift"}, ["unknown_event_type"]),
    ({"kind": None, "id": None}, ["no_customer", "unknown_event_type"]),
    ({"kind": " Purchase "}, []),
    ({"at": None}, ["missing_time"]),
    ({"at": "2011-02-29"}, ["unparseable_time"]),
    ({"at": "1989-12-31"}, ["time_out_of_range"]),
    ({"paid": "  "}, ["missing_amount"]),
    ({"paid": "5,00"}, ["not_a_number:amount"]),
    ({"paid": "-0.01"}, ["negative_amount"]),
    ({"paid": "-0.004"}, []),
    ({"paid": "1e16"}, ["amount_out_of_range"]),
    ({"paid": "1e12"}, []),
    ({"paid": "1000000000000.01"}, ["amount_out_of_range"]),
    ({"paid": "-1000000000000.01", "kind": "refund"}, ["amount_out_of_range"]),
    ({"paid": "-5", "kind": "refund"}, []),
    ({"paid": "many", "kind": "contact"}, []),
    ({"took": "-1", "kind": "engagement"}, ["negative_duration"]),
    ({"took": None, "kind": "engagement"}, ["missing_duration"]),
    ({"took": "86401", "kind": "engagement"}, ["absurd_duration"]),
    ({"took": "1e40", "kind": "contact"}, ["absurd_duration"]),
    ({"took": "x", "paid": None, "at": "x"}, ["missing_amount", "not_a_number:duration_seconds", "unparseable_time"]),
]


def test_every_reason_and_all_of_a_row(judge):
    rows = [with_(row=str(i), **given) for i, (given, _) in enumerate(REASONS)]
    judged = judge(rows)
    assert {i: judged[str(i)]["reasons"] for i in range(len(rows))} == {i: why for i, (_, why) in enumerate(REASONS)}


def test_a_source_column_that_is_named_as_a_canonical_one(spark):
    """What is wrong with either is a reason."""
    from pyspark.sql import functions as F

    from rfm_spark.steps.contract import reasons

    rows = [(of_source, of_canonical) for of_source in (True, False) for of_canonical in (True, False, None)]
    frame = local_frame(spark, rows, [("_fault:not_a_number:amount", "boolean"), ("bad", "boolean")])
    held = reasons.that_hold(frame, {"not_a_number:amount": F.col("bad")})
    found = [row[0] for row in frame.select(held).collect()]
    assert found == [["not_a_number:amount"] if any(row) else [] for row in rows]


def test_a_row_without_its_declared_identity(judge):
    (row,) = judge([with_(row=" ")]).values()
    assert row["reasons"] == ["no_event_id"]
    assert row["event_base"].startswith("none-")


def test_an_id_that_is_not_a_number_is_none(judge):
    rows = [with_(row=str(id_), id=id_) for id_ in (7.0, float("nan"), None)]
    judged = judge(rows, types={"id": "double"})
    assert {row: judged[row]["source_customer_id"] for row in judged} == {"7.0": "7.0", "nan": None, "None": None}
    assert judged["nan"]["reasons"] == judged["None"]["reasons"] == ["no_customer"]


MONEY = [("0.004", "0.00"), ("0.005", "0.01"), ("2.675", "2.68"), ("1e2", "100.00"), ("-7.005", "7.01")]


def test_money_rounds_half_up_to_the_cent(judge):
    """As text and as a double, of which the decimal digits count; a refund's sign is in its type."""
    rows = [with_(row=text, paid=text, kind="refund") for text, _ in MONEY]
    for types in ({}, {"paid": "double"}):
        given = [(*row[:3], float(row[3]) if types else row[3], *row[4:]) for row in rows]
        judged = judge(given, types=types)
        assert {text: judged[text]["amount"] for text, _ in MONEY} == {text: Decimal(cent) for text, cent in MONEY}


def test_money_of_another_currency(judge):
    """At the newest rate on or before the business date; without one the row is held back, not guessed."""
    rows = [with_(row="old", at="2011-01-01"), with_(row="new"), with_(row="early", at="2010-01-01")]
    changed = date(2011, 1, 2)
    rates = [("USD", date(2010, 6, 1), changed, Decimal("0.5")), ("USD", changed, date(9999, 12, 31), Decimal("0.333"))]
    judged = judge(rows, rates=rates, source={"currency": "USD"})
    assert {name: row["amount"] for name, row in judged.items()} == {
        "old": Decimal("2.50"),
        "new": Decimal("1.67"),
        "early": None,
    }
    assert [judged["early"]["reasons"], judged["new"]["original_amount"]] == [["no_rate"], Decimal("5.00")]


NEW_YORK = [
    ("2011-03-13 01:59", "2011-03-13 06:59"),  # the last minute of winter time
    ("2011-03-13 02:30", "2011-03-13 07:30"),  # skipped: moved forward by the gap
    ("2011-11-06 01:30", "2011-11-06 05:30"),  # comes twice: the first
    ("2011-11-06T01:30:00-05:00", "2011-11-06 06:30"),
    ("2011-01-02 10:00:00 Europe/Paris", "2011-01-02 09:00"),
    ("2011-01-02", "2011-01-02 05:00"),
]


def test_times_are_read_in_the_zone_of_their_source(judge):
    rows = [with_(row=at, at=at) for at, _ in NEW_YORK]
    judged = judge(rows, source={"timezone": "America/New_York"}, timezone="Asia/Tokyo")
    assert {at: judged[at]["event_ts"] for at, _ in NEW_YORK} == dict(NEW_YORK)
    # the business date is the project's
    assert judged["2011-11-06T01:30:00-05:00"]["event_date"].isoformat() == "2011-11-06"
    assert judged["2011-03-13 01:59"]["event_date"].isoformat() == "2011-03-13"
    late = judge([with_(at="2011-01-02 10:00")], source={"timezone": "America/New_York"}, timezone="Asia/Tokyo")
    assert late["1"]["event_date"].isoformat() == "2011-01-03"


def test_each_format_has_a_zone_of_its_own_or_none(judge):
    formats = ["yyyy-MM-dd HH:mmXXX", "yyyy-MM-dd HH:mm", "yyyyMMdd"]
    rows = [with_(row=at, at=at) for at in ("2011-01-02 10:00+01:00", "2011-01-02 10:00", "20110102", "2011-01-02")]
    judged = judge(rows, source={"timezone": "America/New_York", "timestamp_format": formats})
    assert [row["event_ts"] for row in judged.values()] == [
        "2011-01-02 09:00",
        "2011-01-02 15:00",
        "2011-01-02 05:00",
        None,
    ]


TYPES = {
    "timestamp'2011-01-02 10:00:00Z'": "2011-01-02 10:00",  # an instant
    "timestamp_ntz'2011-01-02 10:00:00'": "2011-01-02 15:00",  # a local time
    "date'2011-01-02'": "2011-01-02 05:00",
    "20110102": None,  # a number without a format
}


@pytest.mark.parametrize("sql", TYPES)
def test_times_that_are_not_text(judge, sql):
    judged = judge([ROW], columns={"at": sql}, source={"timezone": "America/New_York"})
    assert judged["1"]["event_ts"] == TYPES[sql]


def test_rules_of_the_user(judge):
    """Over source's and canonical columns; null does not meet a rule."""
    rules = [{"name": "dear", "sql": "amount > 4"}, {"name": "short", "sql": "length(took) < 3"}]
    rows = [with_(took="10"), with_(row="2", paid="3", took="10"), with_(row="3")]
    judged = judge(rows, contract={"rules": rules})
    assert {name: row["reasons"] for name, row in judged.items()} == {"1": [], "2": ["dear"], "3": ["short"]}


def test_rules_that_do_not_resolve_are_told_together(judge):
    rules = [
        {"name": "dear", "sql": "amout > 4"},
        {"name": "good", "sql": "amount > 4"},
        {"name": "odd", "sql": "took"},
    ]
    with pytest.raises(ConfigError) as caught:
        judge([ROW], contract={"rules": rules})
    assert [fault.path for fault in caught.value.faults] == ["contract.rules[0].sql", "contract.rules[2].sql"]
    assert "rule dear does not fit source orders" in str(caught.value)
    assert "SQLSTATE" not in str(caught.value)


RATES = [("USD", "2011-01-01", "0.8"), ("USD", "2011-01-02", "80"), (None, "2011-01-03", "90")]
RATES_SOURCE = {
    "name": "fx",
    "kind": "rates",
    "format": "parquet",
    "path": "fx",
    "columns": {"currency": "cur", "date": "day", "rate": "value"},
}


def judged_rates(spark, rules):
    from pyspark.sql import functions as F

    from rfm_spark import session, sources
    from rfm_spark.steps import contract

    config = config_of(RATES_SOURCE, contract={"rules": rules})
    names = [("cur", "string"), ("day", "string"), ("value", "string")]
    with session.settings(spark):
        raw = local_frame(spark, RATES, names).withColumn("_file", F.lit("f"))
        judged = contract.judge_rates(sources.canonical(raw, config.sources[0]), config.sources[0], config)
        return [row["reasons"] for row in judged.orderBy("date").collect()]


def test_rules_of_the_user_for_rates(spark):
    """They name their sources; without any they are for events."""
    small = {"name": "small", "sql": "rate < 10 and length(value) < 3", "sources": ["fx"]}
    assert judged_rates(spark, [small]) == [["small"], ["small"], ["no_currency", "small"]]
    near = {"name": "near", "sql": "rate < 10 and date < date'2012-01-01'", "sources": ["fx"]}
    of_events = {"name": "dear", "sql": "amount > 4"}
    assert judged_rates(spark, [near, of_events]) == [[], ["near"], ["near", "no_currency"]]
    with pytest.raises(ConfigError, match=r"contract.rules\[0\].sql: rule near does not fit source fx"):
        judged_rates(spark, [near | {"sql": "ratio < 10"}])


def test_same_content_same_hash(judge):
    """Blanks around values, capitals of a type and notations of a number are not content; null is not zero."""
    rows = [with_(row=str(i), **given) for i, given in enumerate(
        ({}, {"id": " A1 "}, {"paid": "5.00"}, {"kind": "PURCHASE"}, {"at": "2011-01-02 00:00:00"},
         {"took": "0"}, {"paid": "5.01"})
    )]  # fmt: skip
    hashes = [row["content_hash"] for _, row in sorted(judge(rows).items())]
    assert len(set(hashes[:5])) == 1
    assert len(set(hashes)) == 3

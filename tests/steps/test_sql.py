"""Values as text, decimals and JSON: the same on every engine, as Spark has them."""

from decimal import Decimal

import pytest

FRACTIONS = {
    1.5: "1.5",
    -0.0: "-0.0",
    17850.0: "17850.0",
    9999999.0: "9999999.0",
    1e7: "1.0E7",
    -12345678.9: "-1.23456789E7",
    1e16: "1.0E16",
    1e300: "1.0E300",
    0.001: "0.001",
    0.00012345: "1.2345E-4",
    -2.5e-7: "-2.5E-7",
    float("inf"): "Infinity",
    float("-inf"): "-Infinity",
}
DECIMALS = {"1e3": "1000.00", "1.5E-1": "0.15", " 7": "7.00", "1.005": "1.01", "x": None, "1e400": None}


@pytest.fixture
def of(spark):
    """A column of values of a type; the project's settings hold."""
    from rfm_spark import session

    with session.settings(spark):
        yield lambda values, type_: spark.createDataFrame([(value,) for value in values], f"x {type_}")


def test_fractions_as_text(of):
    from pyspark.sql import functions as F

    from rfm_spark.sql import as_text

    frame = of([*FRACTIONS, float("nan"), None], "double")
    found = [row[0] for row in frame.select(as_text(frame, F.col("x"), frame.schema["x"].dataType)).collect()]
    assert found == [*FRACTIONS.values(), "NaN", None]


def test_texts_and_fractions_as_decimals(of):
    from pyspark.sql import functions as F

    from rfm_spark.sql import try_decimal

    def decimals(frame):
        column = try_decimal(frame, F.col("x"), frame.schema["x"].dataType, "decimal(18,2)")
        return [row[0] for row in frame.select(column).collect()]

    assert decimals(of(DECIMALS, "string")) == [None if d is None else Decimal(d) for d in DECIMALS.values()]
    assert decimals(of([1.005, 2.675, 1e7, 1e20], "double")) == [Decimal(d) for d in ("1.01", "2.68", "1e7")] + [None]


def test_a_row_as_json(spark, of):
    from rfm_spark.sql import row_json

    values = "1.50BD m, 1e7D d, 'a\"\\\\b\\n' t, cast(null as int) n, true b, date'2011-01-02' day"
    frame = of([1], "int").selectExpr(f"named_struct('s', struct({values})) r").select("r.s")
    names = ["m", "d", "t", "n", "b", "day"]
    whole, some = frame.select(*(row_json(frame, "s", names, nulls=nulls) for nulls in (True, False))).first()
    shown = '{"m":1.50,"d":1.0E7,"t":"a\\"\\\\b\\n",%s"b":true,"day":"2011-01-02"}'
    assert (whole, some) == (shown % '"n":null,', shown % "")


def test_json_of_a_row_is_read_as_it_was(spark, of):
    from rfm_spark.sql import read_json, row_json

    at = "timestamp'2011-01-02 03:04:05.678901'"
    values = f"{at} at, date'2011-01-02' day, 1.50BD m, cast(null as timestamp) never, 't' t"
    frame = of([1], "int").selectExpr(f"named_struct('s', struct({values})) r").select("r.s")
    schema = frame.schema["s"].dataType
    texts = frame.select("s", row_json(frame, "s", schema.names, nulls=False).alias("json"))
    read = read_json(texts, "json", schema)
    assert read.drop("s").schema.simpleString() == schema.simpleString()
    assert tuple(read.drop("s").first()) == tuple(frame.select("s.*").first())
    nested = texts.selectExpr("""'{"each":[{"at":"2011-01-02T03:04:05.000Z"}]}' as json""")
    within = read_json(nested, "json", spark.createDataFrame([], "each array<struct<at:timestamp>>").schema)
    assert within.selectExpr("cast(each[0].at as string)").first()[0].startswith("2011-01-02 ")


def test_a_union_knows_a_name_in_any_capitals(spark):
    from rfm_spark.sql import union

    frames = [spark.sql("select 1 id, 'a' name"), spark.sql("select 'b' NAME, 2L more"), spark.sql("select 3 ID")]
    found = union(frames)
    assert [(field.name, field.dataType.simpleString()) for field in found.schema] == [
        ("id", "int"),
        ("name", "string"),
        ("more", "bigint"),
    ]
    assert sorted(map(tuple, found.collect()), key=str) == [(1, "a", None), (3, None, None), (None, "b", 2)]


def test_what_does_not_resolve_is_told_without_the_engine_s_own_plan(spark):
    from rfm_spark.config.expressions import SqlFault
    from rfm_spark.sql import type_of

    with pytest.raises(SqlFault) as fault:
        type_of(spark.sql("SELECT 1.5D AS x"), "sqrt(x, x)")
    assert str(fault.value)
    assert "{" not in str(fault.value)


def test_a_column_that_is_not_there_is_told_with_a_near_name(spark):
    from rfm_spark.config.expressions import SqlFault
    from rfm_spark.sql import type_of

    with pytest.raises(SqlFault) as fault:
        type_of(spark.sql("SELECT 1 AS Amount, 2 AS n"), "amuont * N + elsewhere")
    assert str(fault.value) == "no column amuont; did you mean Amount?; no column elsewhere"

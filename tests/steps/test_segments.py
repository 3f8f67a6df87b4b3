"""Segments: the first rule that holds, who was where before, and how many moved."""

from collections import Counter
from datetime import date

import pytest

from rfm_spark.config.scoring import Action, Segment, Segmentation
from rfm_spark.errors import ConfigError
from rfm_spark.local import local_frame

ACTION = Action(decision="Write", channel="email", message="hello")
JAN, FEB, MAR = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def segmentation(**rules: str | None) -> Segmentation:
    """Rules in order; None is `otherwise`."""
    segments = [
        Segment(name=name, when=when, action=ACTION) if when else Segment(name=name, otherwise=True, action=ACTION)
        for name, when in rules.items()
    ]
    return Segmentation(name="value", question="Who?", segments=segments)


@pytest.fixture
def scored(spark):
    rows = [("a", 3, 1, "UK", 9), ("b", 3, 3, None, 0), ("c", 1, 1, "FR", 0), ("d", 1, 3, "UK", None)]
    columns = [("customer_key", "string"), ("r", "int"), ("f", "int"), ("country", "string"), ("frequency", "bigint")]
    return local_frame(spark, rows, columns)


def test_the_first_rule_that_holds_wins(scored):
    from rfm_spark.steps import segments

    rules = {"best": "r = 3 and f = 3", "recent": "r = 3", "british": "country = 'UK' and frequency > 0"}
    found = {
        row["customer_key"]: (row["segment"], row["rule"])
        for row in segments.assign(scored, segmentation(**rules)).collect()
    }
    assert found == {
        "a": ("recent", "r = 3"),
        "b": ("best", "r = 3 and f = 3"),
        "c": (None, None),  # nothing holds
        "d": (None, None),  # what is null does not hold
    }
    rest = segments.assign(scored, segmentation(best=rules["best"], rest=None)).collect()
    assert Counter((row["segment"], row["rule"]) for row in rest) == {
        ("best", rules["best"]): 1,
        ("rest", "otherwise"): 3,
    }


def test_a_rule_that_is_a_text_or_a_number_holds_where_that_is_true(spark):
    from rfm_spark.steps import segments

    texts = {"a": "true", "b": "FALSE", "c": "1", "d": "0", "e": "yes", "f": "perhaps", "g": "", "h": None}
    rows = [(key, text, number) for number, (key, text) in enumerate(texts.items())]
    frame = local_frame(spark, rows, [("customer_key", "string"), ("vip", "string"), ("visits", "int")])
    for rules, named in (
        ({"vip": "vip", "rest": None}, "ace"),
        ({"vip": "coalesce(vip, 'no')", "rest": None}, "ace"),
        ({"vip": "visits", "rest": None}, "bcdefgh"),
    ):
        found = segments.assign(frame, segmentation(**rules)).collect()
        assert "".join(sorted(row["customer_key"] for row in found if row["segment"] == "vip")) == named, rules


SPARK_ALONE = [pytest.param(sql, marks=pytest.mark.spark_only) for sql in ("country > 3 and", "struct(r)")]


@pytest.mark.parametrize("when", ["nowhere = 1", *SPARK_ALONE])
def test_a_rule_that_does_not_resolve(scored, when):
    from rfm_spark.steps import segments

    with pytest.raises(ConfigError, match=r"segmentations.value.segments\[1\].when: "):
        segments.assign(scored, segmentation(best="r = 3", broken=when, rest=None))


def test_every_segmentation_has_the_same_columns(scored):
    from pyspark.sql import functions as F

    from rfm_spark.steps import segments

    assigned = segments.assign(scored.withColumn("snapshot_date", F.lit(FEB)), segmentation(rest=None))
    narrow = segments.narrow(assigned, "value", F.lit("31"), ["f", "r"], ["r", "f", "m"])
    row = next(row for row in narrow.collect() if row["customer_key"] == "a")
    assert row.asDict() == {
        "snapshot_date": FEB, "segmentation": "value", "customer_key": "a", "segment": "rest", "rfm_score": "31",
        "rule": "otherwise", "r_score": 3, "f_score": 1, "m_score": None,
    }  # fmt: skip


PLACED = [("segmentation", "string"), ("customer_key", "string"), ("segment", "string")]


def test_who_was_where_before(spark):
    from rfm_spark.steps import segments

    now = [
        (MAR, "value", "stays", "A"), (MAR, "value", "moves", "B"), (MAR, "value", "comes", "A"),
        (MAR, "value", "stays out", None), (MAR, "value", "falls out", None), (MAR, "other", "stays", "B"),
    ]  # fmt: skip
    before = [
        ("value", "stays", "A", JAN), ("value", "moves", "A", JAN), ("value", "goes", "A", JAN),
        ("value", "stays out", None, FEB), ("value", "falls out", "A", JAN), ("other", "stays", "A", FEB),
    ]  # fmt: skip
    placed = local_frame(spark, now, [("snapshot_date", "date"), *PLACED])
    first = segments.with_previous(placed, None).collect()
    assert {(row["previous_segment"], row["segment_since"]) for row in first} == {(None, MAR)}

    previous = local_frame(spark, before, [*PLACED, ("segment_since", "date")])
    compared = segments.with_previous(placed, previous)
    found = {
        (row["segmentation"], row["customer_key"]): (row["previous_segment"], row["segment_since"])
        for row in compared.collect()
    }
    assert found == {
        ("value", "stays"): ("A", JAN),
        ("value", "moves"): ("A", MAR),
        ("value", "comes"): (None, MAR),
        ("value", "stays out"): (None, FEB),
        ("value", "falls out"): ("A", MAR),
        ("other", "stays"): ("A", MAR),
    }
    moves = {
        (row["segmentation"], row["from"], row["to"]): row["customers"] for row in segments.moves(compared).collect()
    }
    assert moves == {
        ("value", "A", "A"): 1, ("value", "A", "B"): 1, ("value", "(new)", "A"): 1, ("value", "(new)", None): 1,
        ("value", "A", None): 1, ("other", "A", "B"): 1,
    }  # fmt: skip
    assert sum(moves.values()) == len(now)

"""Migrations: who moved, the first thing that alone made them, and that all add up."""

import random
from decimal import Decimal

import pytest

from rfm_spark.local import local_frame

PLACED = [
    ("segmentation", "string"), ("customer_key", "string"), ("segment", "string"), ("previous_segment", "string"),
]  # fmt: skip
CAUSES = ["late_data", "cut_points", "rules", "time_passing", "behaviour"]


@pytest.fixture
def migrations(spark):
    from rfm_spark.steps import migrations

    return migrations


def _ends(frame):
    return {(row["customer_key"], row["from_segment"], row["to_segment"]) for row in frame.collect()}


def test_who_moved_came_and_is_in_none(spark, migrations):
    """Who was in no segment is no newcomer, and who still is in none has not moved."""
    before = [("s", "stays", "a", None), ("s", "moves", "a", None), ("s", "was none", None, None)]
    before += [("s", "is none", None, None), ("s", "leaves rules", "a", None), ("s", "gone", "a", None)]
    now = [("s", "stays", "a", "a"), ("s", "moves", "b", "a"), ("s", "was none", "a", None)]
    now += [("s", "is none", None, None), ("s", "leaves rules", None, "a"), ("s", "new", "b", None)]
    now += [("s", "new in none", None, None)]
    frames = local_frame(spark, before, PLACED), local_frame(spark, now, PLACED)
    came = {
        ("moves", "a", "b"), ("was none", "(none)", "a"), ("leaves rules", "a", "(none)"), ("new", "(new)", "b"),
        ("new in none", "(new)", "(none)"),
    }  # fmt: skip
    assert _ends(migrations.changes(frames[1], frames[0])) == came
    assert _ends(migrations.departed(*frames)) == {("gone", "a", "(gone)")}
    assert _ends(migrations.differences(*frames)) == came | {("gone", "a", "(gone)")}


def test_the_cause_is_the_first_that_alone_changes_the_segment(spark, migrations):
    """Against the definition in plain Python, over random placings; together only where nothing does alone."""
    seed = 20111209
    pick = random.Random(seed)
    variants = [*CAUSES, *(migrations.in_turn(cause) for cause in CAUSES)]
    rows = []
    for n in range(300):
        rows.append(("s", str(n), "a", "b", *(pick.choice(["a", "a", "b", None]) for _ in variants)))
    names = ["segmentation", "customer_key", "from_segment", "to_segment", *variants]
    frame = local_frame(spark, rows, [(name, "string") for name in names])
    found = {row["customer_key"]: row["cause"] for row in migrations.with_causes(frame).collect()}
    expected = {}
    for row in rows:
        placed = dict(zip(variants, row[4:], strict=True))
        alone = [cause for cause in CAUSES if placed[cause] not in (None, "a")]
        together = [cause for cause in CAUSES if placed[migrations.in_turn(cause)] not in (None, "a")]
        expected[row[1]] = [*alone, *together, "behaviour"][0]
    assert found == expected, f"seed {seed}"
    assert set(found.values()) == set(CAUSES)


def test_new_returned_and_departed(spark, migrations):
    columns = [(name, "string") for name in ("segmentation", "customer_key", "from_segment", "to_segment")]
    rows = [("s", "n", "(new)", "a"), ("s", "r", "(new)", "a"), ("s", "d", "a", "(gone)"), ("t", "r", "(new)", "a")]
    frame = local_frame(spark, rows, columns)
    known = local_frame(spark, [("s", "r"), ("s", "r"), ("s", "d")], columns[:2])
    told = {(r["segmentation"], r["customer_key"], r["cause"]) for r in
            migrations.with_comings_and_goings(frame, known).collect()}  # fmt: skip
    assert told == {("s", "n", "new"), ("s", "r", "returned"), ("s", "d", "departed"), ("t", "r", "new")}
    alone = migrations.with_comings_and_goings(frame, None).collect()
    assert [row["cause"] for row in alone if row["customer_key"] == "r"] == ["new", "new"]


def test_who_stays_is_who_has_not_come(migrations):
    """So the rows but the departed sum to the population, customers and money."""
    changed = [
        {"segmentation": "s", "from_segment": "a", "to_segment": "b", "cause": "rules", "customers": 2,
         "monetary": Decimal("5.00")},
        {"segmentation": "s", "from_segment": "b", "to_segment": "(gone)", "cause": "departed", "customers": 9,
         "monetary": Decimal("7.00")},
    ]  # fmt: skip
    profiles = [
        {"segmentation": "s", "segment": name, "customers": customers, "monetary": Decimal(monetary)}
        for name, customers, monetary in [("a", 3, "30.00"), ("b", 2, "5.00"), ("(none)", 1, "0.00"), ("c", 0, "0.00")]
    ]
    assert migrations.with_stayers(changed, profiles) == [
        ("s", "(none)", "(none)", "none", 1, Decimal("0.00")),
        ("s", "a", "a", "none", 3, Decimal("30.00")),
        ("s", "a", "b", "rules", 2, Decimal("5.00")),
        ("s", "b", "(gone)", "departed", 9, Decimal("7.00")),
    ]

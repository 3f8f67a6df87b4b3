"""Stays in segments, against a walk through each customer's snapshots in plain Python."""

import random
from datetime import date, timedelta

import pytest

from rfm_spark.steps.segment_history import stays

SCHEMA = "segmentation string, snapshot_date date, customer_key string, segment string, segment_since date"
START = date(2020, 1, 31)


def day(n: int) -> date:
    return START + timedelta(days=30 * n)


def walked(rows) -> list[tuple]:
    """One customer and snapshot after the other."""
    expected = []
    for name in {row[0] for row in rows}:
        days = sorted({row[1] for row in rows if row[0] == name})
        for customer in {row[2] for row in rows if row[0] == name}:
            at = {row[1]: row[3] for row in rows if (row[0], row[2]) == (name, customer)}
            now, since, seen = None, None, 0
            for each in [*days, None]:
                segment = at.get(each)
                if segment != now or each is None:
                    if now is not None:
                        expected.append((name, customer, now, since, each, seen))
                    now, since, seen = segment, each, 0
                seen += 1
    return sorted(expected, key=repr)


def found(frame) -> list[tuple]:
    return sorted(map(tuple, frame.collect()), key=repr)


def test_stays_end_with_a_move_a_gap_or_nothing(spark):
    rows = [("value", day(n), "moves", segment) for n, segment in enumerate(["a", "a", "b", "a"])]
    rows += [("value", day(n), "vanishes", "a") for n in (0, 2)]
    rows += [("value", day(n), "in none", segment) for n, segment in enumerate([None, "a", None, None])]
    rows += [("other", day(n), "moves", "a") for n in (0, 3)]  # the snapshots between did not ask this question
    assert found(stays(spark.createDataFrame([(*row, START) for row in rows], SCHEMA))) == sorted(
        [
            ("value", "moves", "a", day(0), day(2), 2),
            ("value", "moves", "b", day(2), day(3), 1),
            ("value", "moves", "a", day(3), None, 1),
            ("value", "vanishes", "a", day(0), day(1), 1),
            ("value", "vanishes", "a", day(2), day(3), 1),
            ("value", "in none", "a", day(1), day(2), 1),
            ("other", "moves", "a", day(0), None, 2),
        ],
        key=repr,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_as_walked_through(spark, seed):
    """Random histories, in random order; what segment_since says does not matter."""
    chance = random.Random(seed)
    rows = []
    for n in range(8):
        for customer in range(12):
            present, stays_put = chance.random(), chance.random()
            segment = "a"
            for snapshot in range(chance.randint(1, 15)):
                if chance.random() > stays_put:
                    segment = chance.choice(["a", "b", None])
                if chance.random() < present:
                    rows.append((f"s{n}", day(snapshot), f"c{customer}", segment, chance.choice([day(0), None])))
    chance.shuffle(rows)
    expected = walked(rows)
    assert found(stays(spark.createDataFrame(rows, SCHEMA).repartition(3))) == expected, f"seed {seed}"
    assert len(expected) > 100

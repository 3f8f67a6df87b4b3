"""Events: who is new, who is a duplicate, who contradicts, and which refund has no order."""

from collections import Counter
from datetime import date

import pytest

from rfm_spark.local import local_frame

COLUMNS = [
    ("event_id", "string"), ("content_hash", "bigint"), ("reasons", "array<string>"), ("on_change", "string"),
    ("source_file", "string"),
]  # fmt: skip
CONFLICT = ("duplicate_conflict",)


@pytest.fixture
def settle(spark):
    """Settle rows (event_id, content, reasons, on_change, file); `lake` is {event_id: (content, earlier)};
    with `delivered`, {file: when}, one delivery after the other."""
    from pyspark.sql import functions as F

    from rfm_spark.steps import events

    def settle(rows, lake=None, delivered=None):
        frame = local_frame(spark, rows, COLUMNS).withColumns(
            {"source": F.lit("s"), "event_base": F.col("event_id"), "declared_id": F.lit(True)}
        )
        existing = None
        if lake is not None:
            stored = [("s", event, content, earlier, "f0") for event, (content, earlier) in lake.items()]
            names = [("source", "string"), ("event_id", "string"), ("content_hash", "bigint")]
            names += [("earlier_content", "array<bigint>"), ("source_file", "string")]
            existing = local_frame(spark, stored, names)
        if delivered is None:
            return events.settle(frame, existing)
        when = F.create_map(*(F.lit(part) for pair in delivered.items() for part in pair))
        dated = frame.withColumn("delivered", when[F.col("source_file")].cast("bigint"))
        return events.settle_in_turns(dated, existing, lambda kept: kept)

    return settle


def outcomes(frame) -> dict[str, Counter]:
    found: dict[str, Counter] = {}
    for row in frame.collect():
        found.setdefault(row["event_id"], Counter())[row["outcome"], tuple(row["reasons"])] += 1
    return found


def test_within_one_delivery(settle):
    rows = [
        ("new", 1, [], "quarantine", "f1"),
        *[("twice", 1, [], "quarantine", file) for file in ("f1", "f2", "f2")],
        ("differ", 1, [], "quarantine", "f1"),
        ("differ", 2, [], "replace", "f2"),  # which of the two is newer, nobody knows
        ("bad", 1, ["no_customer"], "quarantine", "f1"),
        ("bad too", 1, ["no_customer"], "quarantine", "f1"),
        ("bad too", 2, [], "quarantine", "f1"),
    ]
    assert outcomes(settle(rows)) == {
        "new": {("accepted", ()): 1},
        "twice": {("accepted", ()): 1, ("exact_duplicate", ()): 2},
        "differ": {("quarantined", CONFLICT): 2},
        "bad": {("quarantined", ("no_customer",)): 1},
        "bad too": {("quarantined", (*CONFLICT, "no_customer")): 1, ("quarantined", CONFLICT): 1},
    }


def test_against_the_lake(settle):
    lake = {"same": (1, None), "changed": (1, None), "replaced": (2, [1]), "back": (3, [1, 2]), "bad": (1, None)}
    rows = [
        ("new", 1, [], "quarantine", "f"),
        ("same", 1, [], "quarantine", "f"),
        ("changed", 2, [], "quarantine", "f"),
        ("replaced", 3, [], "replace", "f"),
        ("back", 1, [], "replace", "f"),  # an old file again: what was replaced stays so
        ("bad", 1, ["no_customer"], "quarantine", "f"),  # judged today, whatever the lake holds
    ]
    settled = settle(rows, lake)
    assert outcomes(settled) == {
        "new": {("accepted", ()): 1},
        "same": {("exact_duplicate", ()): 1},
        "changed": {("quarantined", CONFLICT): 1},
        "replaced": {("replaced", ()): 1},
        "back": {("exact_duplicate", ()): 1},
        "bad": {("quarantined", ("no_customer",)): 1},
    }
    earlier = {row["event_id"]: row["earlier_content"] for row in settled.collect() if row["earlier_content"]}
    assert earlier == {"replaced": [1, 2]}


def test_refunds_find_their_order(spark):
    """An order of the same customer, of this delivery or of the lake; a refund that is no news needs none."""
    from rfm_spark.steps import events

    names = [("customer_key", "string"), ("order_id", "string")]
    columns = [("id", "string"), ("event_type", "string"), *names, ("outcome", "string"), ("reasons", "array<string>")]
    rows = [
        ("p1", "purchase", "a", "o1", "accepted", []),
        ("p2", "purchase", "a", "o2", "quarantined", ["no_time"]),
        ("p3", "purchase", "b", "o3", "replaced", []),
        ("r1", "refund", "a", "o1", "accepted", []),
        ("r2", "refund", "a", "o2", "accepted", []),
        ("r3", "refund", "b", "o3", "accepted", []),
        ("r4", "refund", "b", "o1", "accepted", []),
        ("r5", "refund", "c", "o9", "accepted", []),
        ("r6", "refund", "c", None, "accepted", []),
        ("r7", "refund", "c", "gone", "exact_duplicate", []),
        ("r8", "refund", "c", "gone", "quarantined", ["no_time"]),
        ("c1", "contact", "c", None, "accepted", []),
        ("n1", None, "c", None, "quarantined", ["unknown_event_type"]),
    ]
    lake = local_frame(spark, [("c", "o9"), ("c", "o9")], names)
    found = events.match_refunds(local_frame(spark, rows, columns), lake, ["customer_key", "order_id"]).collect()
    changed = {row["id"]: (row["outcome"], tuple(row["reasons"])) for row in found}
    alone = ("quarantined", ("refund_without_order",))
    unmatched = {"r2": alone, "r4": alone, "r6": alone, "r8": ("quarantined", ("no_time", "refund_without_order"))}
    assert len(found) == len(rows)
    assert changed == {row[0]: (row[4], tuple(row[5])) for row in rows} | unmatched


def test_a_row_without_an_id_is_its_content_and_its_occurrence_in_its_file(spark):
    from pyspark.sql import functions as F

    from rfm_spark.steps import events

    columns = [("event_base", "string"), ("source_file", "string"), ("declared_id", "boolean"), ("every", "boolean")]
    rows = [("h", "f1", False, False), ("h", "f1", False, True), ("h", "f2", False, True), ("d", "f1", True, True)]
    frame = local_frame(spark, rows, columns).withColumns(
        {
            "source": F.lit("s"),
            "content_hash": F.lit(1),
            "order_is_event": F.col("every"),
            "order_id": F.lit("given"),
            "event_date": F.lit(date(2024, 2, 29)),
        }
    )
    found = events.identify(frame).collect()
    assert Counter(row["event_id"] for row in found) == {"h-1": 2, "h-2": 1, "d": 1}
    assert all(row["order_id"] == (row["event_id"] if row["every"] else "given") for row in found)
    assert {row["event_month"] for row in found} == {date(2024, 2, 1)}


def test_one_delivery_after_the_other(settle):
    """Whatever the names of the files: f2 came first, f1 next, f0 comes now."""
    rows = [
        ("once", 1, [], "quarantine", "f0"),
        ("twice", 1, [], "quarantine", "f1"),
        ("twice", 1, [], "quarantine", "f2"),
        ("stays", 1, [], "quarantine", "f2"),
        ("stays", 2, [], "quarantine", "f1"),
        ("stays", 1, [], "quarantine", "f0"),
        ("moves", 1, [], "replace", "f2"),
        ("moves", 2, [], "replace", "f1"),
        ("moves", 3, [], "replace", "f0"),
        ("moves", 1, [], "replace", "f0"),  # was replaced since
        ("at once", 1, [], "replace", "f2"),
        ("at once", 2, [], "replace", "f2"),  # which of the two is newer, nobody knows
        ("at once", 3, [], "replace", "f0"),
        ("was bad", 1, ["no_customer"], "quarantine", "f2"),
        ("was bad", 2, [], "quarantine", "f0"),
        ("known", 1, [], "replace", "f2"),
        ("known", 2, [], "replace", "f0"),
    ]
    settled = settle(rows, {"known": (1, None)}, {"f2": 5, "f1": 7})
    assert outcomes(settled) == {
        "once": {("accepted", ()): 1},
        "twice": {("accepted", ()): 1, ("exact_duplicate", ()): 1},
        "stays": {("accepted", ()): 1, ("quarantined", CONFLICT): 1, ("exact_duplicate", ()): 1},
        "moves": {("exact_duplicate", ()): 3, ("replaced", ()): 1},
        "at once": {("quarantined", CONFLICT): 2, ("accepted", ()): 1},
        "was bad": {("quarantined", ("no_customer",)): 1, ("accepted", ()): 1},
        "known": {("exact_duplicate", ()): 1, ("replaced", ()): 1},
    }
    kept = {row["event_id"]: row for row in settled.collect() if row["outcome"] in ("accepted", "replaced")}
    assert {name: (row["source_file"], row["content_hash"]) for name, row in kept.items()} == {
        "once": ("f0", 1), "twice": ("f2", 1), "stays": ("f2", 1), "moves": ("f0", 3), "at once": ("f0", 3),
        "was bad": ("f0", 2), "known": ("f0", 2),
    }  # fmt: skip
    assert kept["moves"]["earlier_content"] == [1, 2]
    doubled = {(row["event_id"], row["source_file"]) for row in settled.collect() if row["by_other"]}
    assert doubled == {
        ("twice", "f1"), ("stays", "f0"), ("moves", "f2"), ("moves", "f1"), ("moves", "f0"),
        ("known", "f2"),  # the event is of f0 in the lake
    }  # fmt: skip

"""Profiles: means and lower medians by definition, empty segments there, customers in none counted."""

import json
from datetime import date
from decimal import Decimal

import pytest

from rfm_spark.config.scoring import Action, Segment, Segmentation
from rfm_spark.local import local_frame

SNAPSHOT = date(2024, 1, 1)
ACTION = Action(decision="Danke schön", channel="email", message="hello")
SEGMENTS = [Segment(name=name, when="r = 1", action=ACTION) for name in ("good", "poor", "empty")]
SEGMENTATIONS = [Segmentation(name=name, question="Who?", segments=SEGMENTS) for name in ("value", "other", "nobody")]
COLUMNS = [
    ("segmentation", "string"), ("segment", "string"), ("recency_days", "int"), ("monetary", "decimal(18,2)"),
    ("ratio", "double"),
]  # fmt: skip
LARGE = Decimal("9999999999999999.99")
ROWS = [
    ("value", "good", 10, Decimal("0.10"), None),
    ("value", "good", 30, Decimal("0.20"), 1.5),
    ("value", "good", 20, Decimal("0.30"), 0.5),
    ("value", "good", None, Decimal("1.40"), None),
    ("value", "poor", 7, Decimal("2.00"), None),
    ("value", None, 1, Decimal("4.00"), 3.0),  # no rule held
    ("other", "good", 1, LARGE, None),
    ("other", "good", 2, LARGE, None),
]
NAMES = ("snapshot", "segmentation", "segment", "customers", "share", "monetary", "monetary_share", "action")
METRICS = ("recency_days", "monetary", "ratio")


@pytest.mark.parametrize("gathered", [True, False])
def test_profiles(spark, monkeypatch, gathered):
    """As a small snapshot and as a large one is done."""
    from rfm_spark import order_statistics
    from rfm_spark.steps import profiles

    if not gathered:
        monkeypatch.setattr(order_statistics, "EXACT_UP_TO", 0)
    done = profiles.profile(local_frame(spark, ROWS, COLUMNS).repartition(3), SEGMENTATIONS, SNAPSHOT, len(ROWS))
    assert {name: n for name, (n, _) in done.unassigned.items()} == {"value": 1}
    names = [*NAMES, *(f"mean_{name}" for name in METRICS), *(f"median_{name}" for name in METRICS)]
    rows = {(row[1], row[2]): dict(zip(names, row, strict=True)) for row in done.rows}
    assert list(rows) == [(s.name, segment.name) for s in SEGMENTATIONS for segment in s.segments]

    good = rows["value", "good"]
    assert (good["snapshot"], good["customers"], good["monetary"]) == (SNAPSHOT, 4, Decimal("2.00"))
    assert (good["share"], good["monetary_share"]) == (4 / 6, 0.25)  # of all, those in no segment too
    assert (good["mean_recency_days"], good["median_recency_days"]) == (20.0, 20.0)
    assert (good["mean_monetary"], good["median_monetary"]) == (0.5, 0.2)  # the lower of the two in the middle
    assert (good["mean_ratio"], good["median_ratio"]) == (1.0, 0.5)
    assert json.loads(good["action"])["decision"] == "Danke schön"
    poor = rows["value", "poor"]
    assert (poor["customers"], poor["median_recency_days"], poor["mean_ratio"], poor["median_ratio"]) == (
        1,
        7.0,
        None,
        None,
    )
    for key in (("value", "empty"), ("nobody", "good")):
        empty = rows[key]
        assert (empty["customers"], empty["share"], empty["monetary"]) == (0, 0.0, Decimal("0.00"))
        assert (empty["mean_monetary"], empty["median_monetary"]) == (None, None)
    assert rows["value", "empty"]["monetary_share"] == 0.0
    assert rows["nobody", "good"]["monetary_share"] is None
    assert rows["other", "good"]["monetary"] == 2 * LARGE  # wider than one customer's


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([0.1234567, 0.2], (0.123457 + 0.2) / 2),  # millionths
        ([-0.1, 0.3], 0.1),
        ([1e15 + 0.5, 1.0], (1e15 + 1.5) / 2),  # whose millionths are beyond a double's digits
        ([float("nan"), 4.0], 4.0),
        ([float("inf"), -1e19, 4.0], 4.0),
        ([-0.0000005, 4.0], 2.0),  # halves up
    ],
)
def test_means_of_fractions_are_those_of_their_millionths(spark, values, mean):
    from rfm_spark.steps import profiles

    rows = [("value", "good", 1, Decimal("1.00"), value) for value in values]
    done = profiles.profile(local_frame(spark, rows, COLUMNS), SEGMENTATIONS[:1], SNAPSHOT, len(rows))
    assert done.rows[0][8 + METRICS.index("ratio")] == mean


def test_an_assigned_frame_is_narrowed_to_what_is_profiled(spark):
    """A criterion's name stands for its score there; its value has a column of its own."""
    from rfm_spark.steps import profiles

    columns = [("customer_key", "string"), ("segment", "string"), ("monetary", "decimal(18,2)"), ("x", "int")]
    assigned = local_frame(spark, [("a", "good", Decimal("1.00"), 3, 0.7)], [*columns, ("x_value", "double")])
    (row,) = profiles.narrow(assigned, "value", {"monetary": "monetary", "x": "x_value"}).collect()
    assert row.asDict() == {"segmentation": "value", "segment": "good", "monetary": Decimal("1.00"), "x": 0.7}

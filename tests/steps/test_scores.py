"""Scores and cut-points: equal values, equal scores; scale, order and partitions change nothing."""

import random

import pytest

from rfm_spark.cuts import CriterionCut

SEED = 20111210


@pytest.fixture(scope="module")
def values() -> list[tuple[str, int, float]]:
    """A thousand customers with many ties, and a few nulls."""
    drawn = random.Random(SEED)
    print(f"seed {SEED}")
    return [
        (f"c{i}", drawn.choice([1, 1, 1, 1, 2, 2, 3, 5, 8, 13]), None if i % 97 == 0 else drawn.gammavariate(0.7, 90.0))
        for i in range(1000)
    ]


def cut_and_score(frame, bins: int, method: str = "approx_quantile", group_by: str | None = None):
    from rfm_spark.steps import cut_points, scores

    asked = [
        CriterionCut("f", "frequency", "high", bins=bins, method=method, group_by=group_by),
        CriterionCut("m", "monetary", "high", bins=bins, method=method, group_by=group_by),
        CriterionCut("x", "frequency", "low", bins=bins, method=method, group_by=group_by),
    ]
    fitted = cut_points.fit(frame, asked)
    scored = scores.score_all(frame, cut_points.by_criterion(asked, fitted))
    return fitted, {row["customer_key"]: row.asDict() for row in scored.collect()}


def frame_of(spark, rows, partitions: int = 2):
    columns = "customer_key string, frequency bigint, monetary double"
    return spark.createDataFrame(rows, columns).repartition(partitions)


def exact_cuts(numbers, bins: int) -> list[float]:
    """The value of rank ceil(i·N/bins), from the definition."""
    ordered = sorted(number for number in numbers if number is not None)
    return [ordered[-(-i * len(ordered) // bins) - 1] for i in range(1, bins)]


def test_cuts_and_scores_by_definition(spark, values):
    bins = 5
    fitted, scored = cut_and_score(frame_of(spark, values), bins)
    cuts = {one.cut.criterion: list(one.values) for one in fitted}
    for name, index in (("f", 1), ("m", 2)):
        assert cuts[name] == [float(cut) for cut in exact_cuts([row[index] for row in values], bins)]
    for key, frequency, monetary in values:
        below = sum(cut < frequency for cut in cuts["f"])
        assert (scored[key]["f"], scored[key]["x"]) == (1 + below, bins - below)
        assert scored[key]["m"] == (1 if monetary is None else 1 + sum(cut < monetary for cut in cuts["m"]))


def test_scale_and_partitions_change_nothing(spark, values):
    _, plain = cut_and_score(frame_of(spark, values), 4)
    scaled = [(key, f * 1000, m and m / 1024) for key, f, m in reversed(values)]
    _, other = cut_and_score(frame_of(spark, scaled, partitions=7), 4)
    assert {k: (r["f"], r["m"], r["x"]) for k, r in plain.items()} == {
        k: (r["f"], r["m"], r["x"]) for k, r in other.items()
    }


def test_brackets_give_the_same_value_as_the_exact_summary(spark, values, monkeypatch):
    """What is done for hundreds of millions, done here for a thousand."""
    from rfm_spark import order_statistics

    exact, _ = cut_and_score(frame_of(spark, values), 7)
    monkeypatch.setattr(order_statistics, "EXACT_UP_TO", 0)
    bracketed, _ = cut_and_score(frame_of(spark, values, partitions=5), 7)
    assert [one.values for one in bracketed] == [one.values for one in exact]
    interpolated, _ = cut_and_score(frame_of(spark, values), 7, "interpolated")
    assert [one.cut.criterion for one in interpolated] == ["f", "m", "x"]


def test_each_group_has_its_own_cuts(spark, values, monkeypatch):
    from pyspark.sql import functions as F

    from rfm_spark import order_statistics

    frame = frame_of(spark, values).withColumn(
        "country", F.when(F.col("frequency") < 3, "A").when(F.col("frequency") < 9, "B")
    )
    fitted, _ = cut_and_score(frame, 3, group_by="country")
    by_group = {(one.group, one.cut.criterion): list(one.values) for one in fitted}
    expected = {"A": lambda f: f < 3, "B": lambda f: 3 <= f < 9, "(none)": lambda f: f >= 9}
    for group, here in expected.items():
        assert by_group[group, "m"] == exact_cuts([m for _, f, m in values if here(f)], 3)
    monkeypatch.setattr(order_statistics, "EXACT_UP_TO", 0)
    again, scored = cut_and_score(frame, 3, group_by="country")
    assert {(one.group, one.cut.criterion): list(one.values) for one in again} == by_group
    assert {row["m"] for row in scored.values()} == {1, 2, 3}


def test_without_anybody_to_fit_on_everybody_scores_one(spark):
    from rfm_spark.steps import cut_points, scores

    nobody = frame_of(spark, [("c1", 3, 2.0)]).limit(0)
    asked = [CriterionCut("f", "frequency", "high"), CriterionCut("x", "frequency", "low", group_by="customer_key")]
    fitted = cut_points.fit(nobody, asked)
    assert all(one.values == () for one in fitted)
    scored = scores.score_all(frame_of(spark, [("c1", 3, 2.0)]), cut_points.by_criterion(asked, fitted)).head()
    assert (scored["f"], scored["x"]) == (1, 1)

"""What the plans do: events cross the network once, and nothing sorts all customers in one task."""

import io
from contextlib import redirect_stdout
from datetime import date

import pytest

from rfm_spark.cuts import Cuts, Cutting


def plan_of(frame) -> str:
    """The physical plan as text, by the public `explain`, which Connect has too."""
    text = io.StringIO()
    with redirect_stdout(text):
        frame.explain(mode="simple")
    return text.getvalue()


def events_frame(spark):
    columns = (
        "customer_key string, event_type string, event_date date, event_month date, order_id string, "
        "amount decimal(18,2), duration_seconds bigint"
    )
    return spark.createDataFrame([], columns)


@pytest.mark.spark_only
def test_events_are_shuffled_once_from_events_to_segments(spark):
    from rfm_spark.config.scoring import Action, Segment, Segmentation
    from rfm_spark.steps import activity, metrics, scores, segments

    act = Action(decision="d", channel="c", message="m")
    segmentation = Segmentation(
        name="value",
        question="?",
        segments=[
            Segment(name="good", when="r > 2 and frequency > 1", action=act),
            Segment(name="rest", otherwise=True, action=act),
        ],
    )
    done = activity.activity(events_frame(spark), "net_on_order_date", date(2024, 1, 1))
    measured = metrics.metrics(done, None, [date(2023, 1, 1), date(2023, 7, 1), date(2024, 1, 1)])
    cuts = {"r": Cuts("recency_days", "low", 5, None, {"all": [1.0, 2.0, 3.0, 4.0]})}
    plan = plan_of(segments.assign(scores.score_all(measured, cuts), segmentation))
    assert plan.count("Exchange ") == 1, plan
    assert "hashpartitioning(customer_key" in plan
    assert "Window" not in plan
    assert "Expand" not in plan  # no distinct expansion: orders are deduplicated before they are counted


@pytest.mark.spark_only
def test_rows_of_an_ingest_are_shuffled_once_into_an_empty_lake(spark):
    from pyspark.sql import functions as F

    from rfm_spark.steps import events

    rows = events_frame(spark).select(
        "*",
        F.lit("s").alias("source"),
        F.col("customer_key").alias("event_base"),
        F.lit(1).cast("bigint").alias("content_hash"),
        F.lit("f").alias("source_file"),
        F.array().cast("array<string>").alias("reasons"),
        F.lit(False).alias("order_is_event"),
        F.lit(False).alias("declared_id"),
        F.lit("quarantine").alias("on_change"),
    )
    plan = plan_of(events.settle(events.identify(rows), None))
    assert plan.count("Exchange ") == 1, plan
    assert "SinglePartition" not in plan


def test_no_window_of_the_package_is_unpartitioned():
    """The textbook ntile over one window moves every customer to one task; a word search keeps it out."""
    from pathlib import Path

    import rfm_spark

    for file in Path(rfm_spark.__file__).parent.rglob("*.py"):
        text = file.read_text()
        for banned in ("Window.orderBy", "W.orderBy", ".ntile(", ".rdd", "._jvm", "._jsc", ".sparkContext"):
            assert banned not in text, f"{file.name}: {banned}"


def test_the_defaults_of_a_cut_are_those_of_the_config():
    from rfm_spark.config.scoring import Scoring

    assert Scoring().of("f") == Cutting()


@pytest.mark.spark_only
@pytest.mark.parametrize("restated", ["", ", amount decimal(18,2), event_date date"])
def test_a_small_delivery_does_not_shuffle_the_history(spark, restated):
    """The events in the lake are read, a few columns of them, and sent nowhere."""
    from pyspark.sql import functions as F

    from rfm_spark.steps import events

    columns = "source string, event_id string, event_base string, content_hash bigint, source_file string"
    columns += restated
    more = {"reasons": F.array().cast("array<string>"), "declared_id": F.lit(True), "on_change": F.lit("replace")}
    rows = spark.createDataFrame([], columns).withColumns(more)
    stored = f"{columns}, earlier_content array<bigint>, duration_seconds bigint"
    existing = spark.createDataFrame([], stored)

    def exchanges(*, few: bool) -> list[str]:
        plan = plan_of(events.settle(rows, existing, few=few))
        return [line for line in plan.splitlines() if "Exchange hashpartitioning" in line]

    assert [line for line in exchanges(few=True) if "event_base" not in line] == []
    assert [line for line in exchanges(few=False) if "event_base" not in line] != []

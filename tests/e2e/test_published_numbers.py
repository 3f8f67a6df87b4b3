"""Published numbers, met by whole runs: the R package rfm, the CDNOW sample, UCI Online Retail."""

import csv
import gzip
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from oracle import published
from oracle.compare import differences

from rfm_spark.cuts import CriterionCut
from rfm_spark.steps import cut_points, scores

ORDERS_COUNTS = ("rows_read", "accepted", "quarantined", "exact_duplicates")


@dataclass(frozen=True)
class Published:
    """What one run left behind, as plain rows."""

    counts: dict[str, int]
    metrics: dict[str, dict[str, Any]]
    segments: dict[str, dict[str, Any]]
    cuts: dict[str, list[float]]
    reasons: Counter


@pytest.fixture
def run(spark, tmp_path, lake_path):
    """Run a project at a date and read its tables."""
    from pyspark.sql import functions as F

    from rfm_spark import Project

    def run_at(config: dict[str, Any], as_of: date) -> Published:
        path = tmp_path / "project.yaml"
        path.write_text(yaml.safe_dump(config | {"lake": {"path": lake_path}}, sort_keys=False), encoding="utf-8")
        project = Project.load(path)
        project.run(spark, as_of=as_of)

        def rows(name: str) -> list[dict[str, Any]]:
            return [row.asDict() for row in project.read(spark, name).where(F.col("snapshot_date") == as_of).collect()]

        cuts: dict[str, list[float]] = {}
        for row in sorted(rows("cut_points"), key=lambda row: (row["criterion"], row["position"])):
            cuts.setdefault(row["criterion"], []).append(row["value"])
        reasons = project.read(spark, "quarantine").select(F.explode("reasons").alias("reason"))
        counts = [row["counts"] or {} for row in project.read(spark, "runs").collect()]
        return Published(
            next(row for row in counts if "orders.rows_read" in row),
            {row["customer_key"]: row for row in rows("customer_metrics")},
            {row["customer_key"]: row for row in rows("customer_segments")},
            cuts,
            Counter({row["reason"]: row["count"] for row in reasons.groupBy("reason").count().collect()}),
        )

    return run_at


# --- the R package rfm ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["approx_quantile", pytest.param("interpolated", marks=pytest.mark.on_sail)])
def test_r_orders(run, method):
    """Cut-points, five named customers, customers per score, ten segments; then R's own scores but for three rows."""
    done = run(published.r_orders_config("", method), published.R_ORDERS_AS_OF)

    assert [done.counts[f"orders.{part}"] for part in ORDERS_COUNTS] == [4906, 4906, 0, 0]
    assert len(done.metrics) == 995
    assert sum(row["monetary"] for row in done.metrics.values()) == 464_158

    for criterion, expected in published.R_ORDERS_CUTS[method].items():
        # A sample quantile is a value that occurs: exact. An interpolated one is calculated.
        assert done.cuts[criterion] == (expected if method == "approx_quantile" else pytest.approx(expected, rel=1e-12))
    for criterion, expected in published.R_ORDERS_CUSTOMERS_PER_SCORE.items():
        assert Counter(row[f"{criterion}_score"] for row in done.segments.values()) == expected
    for customer, expected in published.R_ORDERS_ROWS.items():
        metrics = done.metrics[customer]
        row = (metrics["recency_days"], metrics["frequency"], metrics["monetary"], done.segments[customer]["rfm_score"])
        assert row == expected
    assert Counter(row["segment"] for row in done.segments.values()) == published.R_ORDERS_SEGMENTS

    theirs = {row["customer_id"]: row for row in read_rows("rfm_data_orders_expected.csv")}
    assert published.score_differences(theirs, done.segments) == published.R_ORDERS_DIFFERENCES
    measured = {
        customer: {
            "recency_days": int(row["recency_days"]),
            "frequency": int(row["transaction_count"]),
            "monetary": Decimal(row["amount"]),
        }
        for customer, row in theirs.items()
    }
    assert_none(differences(measured, done.metrics))


@pytest.mark.parametrize("method", ["approx_quantile", "interpolated"])
def test_r_customers_scored_by_the_steps_alone(spark, method):
    """39,999 customers that come already aggregated: R's scores, every one."""
    rows = read_rows("rfm_data_customer_expected.csv.gz")
    assert len(rows) == 39_999
    metrics = spark.createDataFrame(
        [(row["customer_id"], int(float(row["recency_days"])), int(float(row["transaction_count"])),
          float(row["amount"])) for row in rows],
        "customer_key string, recency_days int, frequency bigint, monetary double",
    )  # fmt: skip
    expected = {
        row["customer_id"]: {
            f"{criterion}_score": int(float(row[column])) for criterion, column in published.R_SCORE_COLUMNS.items()
        }
        for row in rows
    }
    criteria = {"r": ("recency_days", "low"), "f": ("frequency", "high"), "m": ("monetary", "high")}
    asked = [CriterionCut(name, metric, better, method=method) for name, (metric, better) in criteria.items()]
    fitted = cut_points.fit(metrics, asked)
    assert {one.cut.criterion: list(one.values) for one in fitted} == published.R_CUSTOMER_CUTS
    found_rows = scores.score_all(metrics, cut_points.by_criterion(asked, fitted)).select("customer_key", *criteria)
    scored = found_rows.collect()
    found = {row["customer_key"]: {f"{name}_score": row[name] for name in criteria} for row in scored}
    assert_none(differences(expected, found))


# --- CDNOW ------------------------------------------------------------------------------


@pytest.mark.slow_on_spark
def test_cdnow_purchase_days(run):
    """Genuine repeats are kept, a customer's purchases of one day are one order, and ties keep one score.

    The calibration span; the whole one is that of the shipped project, in test_shipped_projects.
    """
    expected = published.CDNOW["calibration"]
    done = run(published.cdnow_config(""), expected["as_of"])

    rows = published.CDNOW_ROWS
    assert [done.counts[f"orders.{part}"] for part in ORDERS_COUNTS] == [rows, rows, 0, 0]
    assert len(done.metrics) == len(done.segments) == published.CDNOW_CUSTOMERS
    assert done.cuts["f"] == expected["cuts"]
    assert Counter(row["f_score"] for row in done.segments.values()) == expected["customers_per_score"]
    assert sum(row["frequency"] for row in done.metrics.values()) == expected["purchase_days"]


# --- Online Retail ----------------------------------------------------------------------


@pytest.mark.slow_on_spark
def test_online_retail(run):
    """Every row in one place, guests quarantined as such, and 4,338 customers' orders and money to the cent."""
    done = run(published.online_retail_config(""), published.ONLINE_RETAIL_AS_OF)

    assert {name: done.counts[name] for name in published.ONLINE_RETAIL_COUNTS} == published.ONLINE_RETAIL_COUNTS
    assert done.counts["orders.rows_read"] == sum(done.counts[f"orders.{part}"] for part in ORDERS_COUNTS[1:])
    assert done.reasons["no_customer"] == published.ONLINE_RETAIL_NO_CUSTOMER

    expected = {
        row["CustomerID"]: {
            "recency_days": int(row["recency_days"]),
            "frequency": int(row["transaction_count"]),
            "monetary": Decimal(row["amount"]),
        }
        for row in read_rows("online_retail_rfm_expected.csv.gz")
    }
    assert_none(differences(expected, done.metrics))
    assert len(done.metrics) == published.ONLINE_RETAIL_CUSTOMERS
    assert sum(row["frequency"] for row in done.metrics.values()) == published.ONLINE_RETAIL_ORDERS
    assert sum(row["monetary"] for row in done.metrics.values()) == published.ONLINE_RETAIL_MONEY


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of a file in tests/data."""
    path: Path = published.TEST_DATA / name
    with (gzip.open if name.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def assert_none(lines: list[str]) -> None:
    """Fail with the differing rows."""
    assert not lines, "\n" + "\n".join(lines)

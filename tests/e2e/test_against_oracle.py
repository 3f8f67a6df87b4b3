"""The pipeline against the oracle: thousands of generated customers, every table compared row by row.

The three refund policies with both kinds of quantile, a month's end and the leap day as as_of, and a period of the
whole span. A failure shows the rows that differ; repeat it with the RFM_SPARK_TEST_SEED it prints.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from oracle import generate, oracle
from oracle.compare import differences, multiset_differences
from oracle.reading import Ingested

SOURCES = ("shop", "web", "touches", "crm")
COUNTED = ("rows_read", "accepted", "quarantined", "exact_duplicates")
_ON_SAIL = (pytest.mark.slow, pytest.mark.on_sail)  # as the first ones on Spark, but for an argument
_LATER = pytest.param("net_on_refund_date", marks=pytest.mark.slow_on_spark)
POLICIES = ("net_on_order_date", _LATER, pytest.param("ignore", marks=_ON_SAIL))
WHOLE_SPAN = {"all": True, "sub_periods": 4}


@dataclass(frozen=True)
class Lake:
    """One ingested lake: where its project files go, its ingestion as expected."""

    folder: Path
    path: str
    policy: str
    expected: Ingested

    def config(self, **choices: Any) -> Path:
        """A project file on this lake."""
        return generate.write_config(self.folder, self.path, policy=self.policy, **choices)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated files."""
    path = tmp_path_factory.mktemp("generated")
    generate.write(path, generate.seed_from_environment())
    return path


@pytest.fixture(scope="module")
def _lakes() -> dict[str, Lake]:
    """The lakes so far: refunds are judged at ingestion, so each policy has its own."""
    return {}


@pytest.fixture
def lake_of(spark, folder, _lakes, tmp_path_factory) -> Callable[[str], Lake]:
    """The lake of a refund policy, ingested when first asked for."""
    from rfm_spark import Project

    def get(policy: str) -> Lake:
        if policy not in _lakes:
            path = str(tmp_path_factory.mktemp(policy) / "lake")
            config = generate.write_config(folder, path, policy=policy)
            Project.load(config).ingest(spark, as_of=generate.AS_OF)
            _lakes[policy] = Lake(folder, path, policy, oracle.load(config)[1])
        return _lakes[policy]

    return get


# --- ingestion --------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_counts_per_source(spark, lake_of, policy):
    lake = lake_of(policy)
    actual = newest_counts(table(spark, lake, "runs"))
    names = [f"{source}.{part}" for source in SOURCES for part in COUNTED]
    assert {name: actual.get(name) for name in names} == {name: lake.expected.counts[name] for name in names}
    for source in SOURCES:
        assert actual[f"{source}.rows_read"] == sum(actual[f"{source}.{part}"] for part in COUNTED[1:])


@pytest.mark.parametrize("policy", POLICIES)
def test_events(spark, lake_of, policy):
    from pyspark.sql import functions as F

    lake = lake_of(policy)
    columns = ["source", "customer_key", "event_type", "event_date", "amount", "duration_seconds"]
    rows = project(lake).read(spark, "events").select(*columns, F.unix_micros("event_ts").alias("instant")).collect()
    actual = Counter((*(row[name] for name in columns), row.instant // 1_000_000) for row in rows)
    expected = Counter(
        (event.source, event.customer, event.kind, event.day, event.amount, event.duration, event.instant.timestamp())
        for event in lake.expected.events
    )
    assert_none(multiset_differences(expected, actual))


@pytest.mark.parametrize("policy", POLICIES)
def test_quarantined_rows_and_all_their_reasons(spark, lake_of, policy):
    lake = lake_of(policy)
    actual = Counter(
        (row["source"], tuple(sorted(row["reasons"])), raw_values(json.loads(row["record"]), row["source"]))
        for row in table(spark, lake, "quarantine")
    )
    expected = Counter(
        (row.source, tuple(sorted(row.reasons)), raw_values(row.raw, row.source)) for row in lake.expected.quarantined
    )
    assert_none(multiset_differences(expected, actual))


@pytest.mark.parametrize("policy", POLICIES[:1])
def test_profiles(spark, lake_of, policy):
    lake = lake_of(policy)
    actual = keyed(table(spark, lake, "customers"), "customer_key")
    expected = lake.expected.profiles
    assert_none(differences(expected, {key: row for key, row in actual.items() if key in expected}))


# --- snapshots --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "method"),
    [
        ("net_on_order_date", "approx_quantile"),
        pytest.param("net_on_order_date", "interpolated", marks=_ON_SAIL),
        pytest.param("net_on_refund_date", "approx_quantile", marks=pytest.mark.slow_on_spark),
        pytest.param("ignore", "interpolated", marks=_ON_SAIL),
    ],
)
def test_snapshot(spark, lake_of, policy, method):
    """Metrics, cut-points, scores and segments at a month's end."""
    lake = lake_of(policy)
    compare_snapshot(spark, lake, lake.config(method=method), generate.AS_OF)


@pytest.mark.parametrize(
    ("policy", "as_of", "period"),
    [
        pytest.param("net_on_order_date", generate.LEAP_AS_OF, None, marks=pytest.mark.slow_on_spark),
        pytest.param("net_on_refund_date", generate.LEAP_AS_OF, WHOLE_SPAN, marks=_ON_SAIL),
        pytest.param("net_on_order_date", generate.AS_OF, WHOLE_SPAN, marks=_ON_SAIL),
    ],
)
def test_snapshot_of_another_day_or_period(spark, lake_of, policy, as_of, period):
    lake = lake_of(policy)
    compare_snapshot(spark, lake, lake.config(reference_period=period), as_of)


def compare_snapshot(spark, lake: Lake, config_path: Path, as_of: date) -> None:
    """Run the snapshot, then compare each of its tables with the oracle's; all differences in one failure."""
    from rfm_spark import Project

    run = Project.load(config_path)
    run.segment(spark, as_of=as_of)
    expected = oracle.snapshot(oracle.load_config(config_path), lake.expected, as_of)

    def rows(name: str) -> list[dict]:
        return [row.asDict() for row in run.read(spark, name).where(f"snapshot_date = '{as_of}'").collect()]

    found = {
        "customer_metrics": differences(expected.metrics, keyed(rows("customer_metrics"), "customer_key")),
        "cut_points": differences(
            expected_cut_points(expected), keyed(rows("cut_points"), "segmentation", "criterion", "position")
        ),
        "customer_segments": differences(
            expected.segments, keyed(rows("customer_segments"), "segmentation", "customer_key")
        ),
    }
    assert_none([f"{name} {line}" for name, lines in found.items() for line in lines])


def expected_cut_points(expected: oracle.Snapshot) -> dict[tuple, dict[str, Any]]:
    """One row a cut-point, as the table has them."""
    return {
        (segmentation, criterion, position): {
            "value": cut,
            "customers": fit.customers,
            "distinct_values": fit.distinct_values,
            "attainable_scores": fit.attainable_scores,
        }
        for (segmentation, criterion), fit in expected.cut_points.items()
        for position, cut in enumerate(fit.cuts, start=1)
    }


# --- reading what was published ---------------------------------------------------------


def project(lake: Lake):
    """The project of a lake."""
    from rfm_spark import Project

    return Project.load(lake.config())


def table(spark, lake: Lake, name: str) -> list[dict]:
    """All rows of a table."""
    return [row.asDict(recursive=True) for row in project(lake).read(spark, name).collect()]


def newest_counts(runs: list[dict]) -> dict[str, int]:
    """The counts of the newest run that read the sources."""
    ingests = [run for run in runs if "shop.rows_read" in (run["counts"] or {})]
    assert ingests, f"no run counts shop.rows_read; found {[sorted(run['counts'] or {}) for run in runs]}"
    return max(ingests, key=lambda run: run["started_at"])["counts"]


def raw_values(record: dict[str, Any], source: str) -> tuple:
    """The source's own columns of a raw row, empty as null, in one order."""
    return tuple((name, record.get(name) or None) for name in generate.COLUMNS[source])


def keyed(rows: Iterable[dict], *key: str) -> dict[Any, dict]:
    """Rows by key, which must be unique."""
    rows = list(rows)
    result = {tuple(row[name] for name in key) if len(key) > 1 else row[key[0]]: row for row in rows}
    assert len(result) == len(rows), f"{len(rows) - len(result)} rows repeat a key of {key}"
    return result


def assert_none(lines: list[str]) -> None:
    """Fail with the differing rows."""
    assert not lines, "\n" + "\n".join(lines)

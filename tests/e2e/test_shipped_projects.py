"""Each project in conf/ as it is shipped: no row lost, one segment a customer; and the same tables on Sail."""

import csv
import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable
from e2e import shipped
from e2e.commands import rfm_spark
from oracle import published
from sail.on_sail import command

DATA = shipped.ROOT / "conf" / "data"
# rows read, accepted, quarantined, exact duplicates
CONSERVED = {
    "cdnow": {"orders": (6919, 6919, 0, 0)},
    "media": {"views": (5238, 5233, 4, 1)},
    "complete_journey": {
        "baskets": (75_000, 75_000, 0, 0),
        "coupons": (2102, 2102, 0, 0),
        "demographics": (801, 801, 0, 0),
    },
    "online_retail": {"invoices": (541_909, 401_564, 135_120, 5225)},
}
COUNTED = ("rows_read", "accepted", "quarantined", "exact_duplicates")
QUICK = ("cdnow", "media")
NO_PROMISE = {"ingested_run_id", "run_id", "ingest_date", "ingested_at"}  # ids of runs, and the clock
PROJECTS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in shipped.AS_OF]


@pytest.fixture
def done(spark, tmp_path_factory):
    return lambda name: shipped.done(spark, name, tmp_path_factory)


def test_every_shipped_project_is_here():
    there = {path.stem for path in (shipped.ROOT / "conf").glob("*.yaml")}
    others = {"four_sources", "fake_1000", "febrl_3", "complete_journey_campaigns"}  # which have tests of their own
    assert there - others == set(shipped.AS_OF) == set(CONSERVED)


@pytest.mark.parametrize("name", PROJECTS)
def test_every_row_ends_in_one_place(done, name):
    each = done(name)
    (run,) = each.rows("runs")
    assert run["status"] == "complete"
    expected = {
        f"{source}.{part}": n
        for source, counts in CONSERVED[name].items()
        for part, n in zip(COUNTED, counts, strict=True)
    }
    assert {key: run["counts"].get(key) for key in expected} == expected
    for source, (read, accepted, quarantined, duplicates) in CONSERVED[name].items():
        assert read == accepted + quarantined + duplicates
        if each.project.config.source(source).kind == "events":
            assert each.project.read(each.spark, "events").filter(f"source = '{source}'").count() == accepted
        assert each.project.read(each.spark, "quarantine").filter(f"source = '{source}'").count() == quarantined


@pytest.mark.parametrize("name", PROJECTS)
def test_every_customer_has_one_segment(done, name):
    each = done(name)
    metrics = {row["customer_key"]: row for row in each.rows("customer_metrics")}
    placed = each.rows("current_segments")
    for segmentation in each.project.config.segmentations:
        mine = [row for row in placed if row["segmentation"] == segmentation.name]
        assert Counter(row["customer_key"] for row in mine) == dict.fromkeys(metrics, 1)
        profiles = {
            row["segment"]: row for row in each.rows("segment_profiles") if row["segmentation"] == segmentation.name
        }
        assert list(profiles) == [segment.name for segment in segmentation.segments]
        people = Counter(row["segment"] for row in mine)
        assert {segment: row["customers"] for segment, row in profiles.items() if row["customers"]} == people
        assert sum(row["monetary"] for row in profiles.values()) == sum(row["monetary"] for row in metrics.values())


@pytest.mark.parametrize("name", PROJECTS)
def test_segments_that_nobody_is_in_are_told(done, name):
    each = done(name)
    said = rfm_spark(each.spark, "show", each.config, "--as-of", shipped.AS_OF[name])
    assert said.code == 0
    told = [line.split("Nobody is in: ")[1].split(".")[0] for line in said.lines if "Nobody" in line]
    empty = [
        [
            row["segment"]
            for row in each.rows("segment_profiles")
            if row["segmentation"] == s.name and not row["customers"]
        ]
        for s in each.project.config.segmentations
    ]
    assert told == [", ".join(names) for names in empty if names]


# --- CDNOW: README's block "From Python", executed as it stands there ----------------------------------------


def test_cdnow_meets_the_published_numbers(done):
    each, expected = done("cdnow"), published.CDNOW["whole span"]
    metrics, placed = each.rows("customer_metrics"), each.rows("current_segments")
    assert len(metrics) == len(placed) == published.CDNOW_CUSTOMERS
    cuts = sorted((row["position"], row["value"]) for row in each.rows("cut_points") if row["criterion"] == "f")
    assert [value for _, value in cuts] == expected["cuts"]
    assert Counter(row["f_score"] for row in placed) == expected["customers_per_score"]
    assert sum(row["frequency"] for row in metrics) == expected["purchase_days"]
    assert sum(row["monetary"] for row in metrics) == published.CDNOW_MONEY
    assert sum(row["monetary"] == 0 for row in metrics) == published.CDNOW_SPEND_NOTHING


def test_the_block_of_readme_scores_a_frame_of_ones_own(done):
    """Frequencies 1 to 10 in five bins: the cut-points are 2, 4, 6, 8."""
    scored = {row["customer_key"]: row["f"] for row in done("cdnow").left["scored"].collect()}
    assert scored == {f"customer {n}": (n + 1) // 2 for n in range(1, 11)}


# --- the others ---------------------------------------------------------------------------------------------


def test_media_readers_by_plain_reckoning(done):
    """Views, seconds and days since the last contact of each reader, from the file itself; times are those of Paris."""
    each = done("media")
    views = [json.loads(line) for line in (DATA / "media_views.jsonl").read_text(encoding="utf-8").splitlines()]
    good = [v for v in views if v["reader"] and v["at"] != "yesterday" and 0 <= (v["seconds"] or 0) <= 21_600]
    clean = {v["view_id"]: v for v in good}
    readers: dict[str, list[dict]] = {}
    for view in clean.values():
        if view["at"] < "2024-07-01":
            readers.setdefault(view["reader"], []).append(view)
    expected = {}
    for reader, seen in readers.items():
        counted = [v for v in seen if v["at"] >= "2024-01-01" and v["kind"] != "newsletter"]
        last = max(date.fromisoformat(v["at"][:10]) for v in seen)
        expected[reader] = (
            len(counted),
            sum(v["seconds"] or 0 for v in counted),
            (shipped.AS_OF["media"] - last).days,
        )
    metrics = each.rows("customer_metrics")
    found = {m["customer_key"]: (m["engagements"], m["duration_seconds"], m["contact_recency_days"]) for m in metrics}
    assert found == expected
    assert all(m["frequency"] == m["monetary"] == 0 and m["recency_days"] is None for m in metrics)


@pytest.mark.slow
def test_complete_journey_knows_every_household(done):
    """Whoever bought, redeemed or is described; the last basket, of 03:47 UTC on New Year, is New York's of 2017."""
    import pyarrow.parquet as parquet

    each = done("complete_journey")
    households = set(parquet.read_table(DATA / "complete_journey_transactions.parquet")["household_id"].to_pylist())
    for name in ("redemptions", "demographics"):
        with (DATA / f"complete_journey_{name}.csv").open(encoding="utf-8", newline="") as file:
            households |= {row["household_id"] for row in csv.DictReader(file)}
    metrics = each.rows("customer_metrics")
    assert {row["customer_key"] for row in metrics} == households
    assert sum(row["frequency"] for row in metrics) == 47_243  # all baskets of the file


@pytest.mark.slow
def test_online_retail_is_what_readme_shows(done):
    each = done("online_retail")
    profiles = {row["segment"]: row for row in each.rows("segment_profiles")}
    shown = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in (shipped.ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("│ ") and line.strip("│").split("│")[0].strip() in profiles
    ]
    assert {name for name, *_ in shown} == set(profiles)
    for name, customers, share, money, money_share, *_, decision, channel in shown:
        row = profiles[name]
        assert (customers, share) == (f"{row['customers']:,}", f"{row['share']:.1%}")
        assert (money, money_share) == (f"{row['monetary']:,.2f}", f"{row['monetary_share']:.1%}")
        action = json.loads(row["action"])
        assert (decision, channel) == (action["decision"], action["channel"])


@pytest.mark.parametrize("name", PROJECTS)
def test_every_table_is_the_same_on_sail(spark, done, tmp_path, name):
    """Cell for cell, once with a new lake and once more at the same date."""
    from rfm_spark.lake import Lake
    from rfm_spark.pipelines.published import published

    each = done(name)
    lake = Lake(spark, each.project.config.lake)
    theirs = {table: lake.place.path(table) for table in published(lake).versions if table != "runs"}
    assert theirs.keys() >= {"events", "quarantine", "customer_metrics", "cut_points", "customer_segments"}
    for _ in range(2):
        sail(each.config, tmp_path / "lake", name)
        assert {path.name for path in (tmp_path / "lake").iterdir()} == theirs.keys() | {"runs"}
        for table, path in theirs.items():
            expected, found = DeltaTable(path), DeltaTable(tmp_path / "lake" / table)
            assert found.schema().to_json() == expected.schema().to_json(), table
            assert found.metadata().partition_columns == expected.metadata().partition_columns, table
            assert found.metadata().configuration == expected.metadata().configuration, table
            assert content(found) == content(expected), table
    runs = DeltaTable(tmp_path / "lake" / "runs").to_pyarrow_table().to_pylist()
    assert {run["status"] for run in runs} == {"complete"}
    assert {run["engine"].split(".")[0] for run in runs} == {"sail 0"}


def sail(config: Path, lake: Path, name: str) -> None:
    said = command("run", config, "--as-of", str(shipped.AS_OF[name]), "--lake", lake)
    assert said.returncode == 0, said.stderr[-3000:]


def content(table: DeltaTable) -> list[str]:
    rows = table.to_pyarrow_table().to_pylist()
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in NO_PROMISE)) for row in rows)

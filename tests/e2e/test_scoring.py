"""How criteria are cut, through the pipeline: in groups, in many bins, fixed, interpolated, frozen; reckoned by hand.

Three snapshots of one lake: fitted in July; October under July's cut-points by `--cut-points-from`; and January, where
one segmentation is frozen by its config and the other is fitted anew.
"""

from datetime import date
from types import SimpleNamespace

import pytest
import yaml
from e2e import bad_input as bad
from e2e.commands import rfm_spark

pytestmark = [pytest.mark.slow, pytest.mark.on_sail]

JULY, OCTOBER, JANUARY = date(2024, 7, 1), date(2024, 10, 1), date(2025, 1, 1)
COUNTRIES = {"u": "UK", "f": "FR", "g": "DE"}
# In July: days since the last order and money of ten customers, who have one order but for u4, with two, and f4, with
# four. In August u1 spends another 500, at the end of September the German buys, who until then only has a profile.
ORDERS = [
    *(("u1", "2024-06-01", 10), ("u2", "2024-06-11", 20), ("u3", "2024-06-21", 30)),
    *(("u4", "2024-06-20", 25), ("u4", "2024-06-30", 15)),
    *(("f1", "2024-05-02", 100), ("f2", "2024-05-12", 200), ("f3", "2024-05-22", 300)),
    *(("f4", f"2024-06-{day}", 100) for day in ("08", "09", "10", "11")),
    *(("n1", "2024-06-29", 5), ("n2", "2024-06-28", 6)),  # of no known country
    *(("u1", "2024-08-01", 500), ("g1", "2024-09-30", 50)),
]
BY_COUNTRY = {
    ("r", "UK"): [10.0],  # of 1, 10, 20, 30 days
    ("r", "FR"): [40.0],  # of 20, 40, 50, 60
    ("r", "(none)"): [2.0],  # of 2, 3
    ("m", "UK"): [20.0],
    ("m", "FR"): [200.0],
    ("m", "(none)"): [5.0],
}
# Rank ceil(10·i/12), i = 1..11, of 1 2 3 10 20 20 30 40 50 60 days: ranks 1 2 3 4 5 5 6 7 8 9 10.
TWELVE = [1.0, 2.0, 3.0, 10.0, 20.0, 20.0, 20.0, 30.0, 40.0, 50.0, 60.0]
# R's type 7 of 5 6 10 20 30 40 100 200 300 400: a quarter, a half and three quarters of the way from first to last.
QUARTERS = [12.5, 35.0, 175.0]
FROZEN = {"method": "frozen", "snapshot": JULY, "bins": 2}


@pytest.fixture(scope="module")
def done(_session, tmp_path_factory):
    from rfm_spark import Project

    folder = tmp_path_factory.mktemp("scoring")
    people = sorted({customer for customer, *_ in ORDERS if customer[0] in COUNTRIES})
    bad.write(
        folder,
        {
            "orders.csv": "id,date,amount\n" + "".join(f"{who},{day},{money}\n" for who, day, money in ORDERS),
            "crm.csv": "id,country\n" + "".join(f"{who},{COUNTRIES[who[0]]}\n" for who in people),
        },
    )
    fitted = write(folder / "fitted.yaml", {"bins": 2, "group_by": "country"})
    project = Project.load(fitted)
    project.run(_session, as_of=JULY)
    october = rfm_spark(_session, "segment", fitted, "--as-of", OCTOBER, "--cut-points-from", JULY)
    return SimpleNamespace(config=fitted, october=october, **tables(project, _session))


@pytest.fixture(scope="module")
def january(_session, done):
    from rfm_spark import Project

    config = write(done.config.parent / "frozen.yaml", FROZEN | {"group_by": "country"})
    project = Project.load(config)
    project.segment(_session, as_of=JANUARY)
    return SimpleNamespace(**tables(project, _session))


def tables(project, spark) -> dict[str, list]:
    return {name: project.read(spark, name).collect() for name in ("cut_points", "customer_segments")}


def write(path, grouped: dict):
    crm = {
        "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv",
        "attributes": {"country": "country", "at_home": {"sql": "country = 'UK'"}},
        "columns": {"source_customer_id": "id"},
    }  # fmt: skip
    own = {"r": {"bins": 12}, "f": {"cuts": [1, 3]}, "m": {"method": "interpolated"}}
    config = {
        "project": "scoring",
        "question": "Who has which score?",
        "timezone": "UTC",
        "currency": "EUR",
        "lake": {"path": "lake"},
        "sources": [bad.source_of("orders", "orders.csv"), crm],
        "segmentations": [
            {"name": "by_country", "criteria": ["r", "m"], "scoring": grouped, **RULES},
            {"name": "mixed", "scoring": {"bins": 4, "criteria": own}, **RULES},
            {"name": "at_home", "criteria": ["r", "m"], "scoring": {"bins": 2, "group_by": "at_home"}, **RULES},
        ],
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


RULES = {
    "question": "Who?",
    "segments": [
        {"name": "top", "when": "r >= 2 and m >= 2", "action": bad.ACTION},
        {"name": "rest", "otherwise": True, "action": bad.ACTION},
    ],
}


def cuts(done, snapshot: date, segmentation: str) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in sorted(done.cut_points, key=lambda row: row["position"]):
        if (row["snapshot_date"], row["segmentation"]) == (snapshot, segmentation):
            found.setdefault((row["criterion"], row["group"]), []).append(row["value"])
    return found


def scores(done, snapshot: date, segmentation: str) -> dict[str, str]:
    rows = [
        row for row in done.customer_segments if (row["snapshot_date"], row["segmentation"]) == (snapshot, segmentation)
    ]
    return {row["customer_key"]: row["rfm_score"] for row in rows}


def stored(done, snapshot: date, segmentation: str, name: str) -> dict[str, set]:
    rows = [row for row in done.cut_points if (row["snapshot_date"], row["segmentation"]) == (snapshot, segmentation)]
    values = [(row["criterion"], tuple(row[name]) if isinstance(row[name], list) else row[name]) for row in rows]
    return {criterion: {value for other, value in values if other == criterion} for criterion, _ in values}


# --- fitted -------------------------------------------------------------------------------------------------------


def test_cut_points_of_each_group(done):
    assert cuts(done, JULY, "by_country") == BY_COUNTRY


def test_scores_within_a_group(done):
    """Forty days are recent in France, twenty are not in Britain; 40 is much there, 100 little here."""
    assert scores(done, JULY, "by_country") == {
        "u1": "11", "u2": "11", "u3": "22", "u4": "22", "f1": "11", "f2": "11", "f3": "22", "f4": "22", "n1": "21",
        "n2": "12", "g1": "11",
    }  # fmt: skip


def test_explain_tells_the_cut_points_of_a_group_that_is_no_text(done, spark):
    found = cuts(done, JULY, "at_home")
    assert {group for _, group in found} == {"true", "false", "(none)"}
    said = rfm_spark(spark, "explain", done.config, "--as-of", JULY, "--customer", "u3")
    assert [row[3] for row in said.rows if row[:2] == ("m", "monetary")] == ["20", "20", "12.5; 35; 175"]


def test_each_criterion_has_its_own_bins_and_method(done):
    assert cuts(done, JULY, "mixed") == {("r", "all"): TWELVE, ("f", "all"): [1.0, 3.0], ("m", "all"): QUARTERS}
    methods = {"r": {"approx_quantile"}, "f": {"fixed"}, "m": {"interpolated"}}
    assert stored(done, JULY, "mixed", "method") == methods
    # twenty days twice among ten customers: three cut-points fall on them
    attainable = {"r": {(2, 3, 4, 5, 8, 9, 10, 11, 12)}, "f": {(1, 2, 3)}, "m": {(1, 2, 3, 4)}}
    assert stored(done, JULY, "mixed", "attainable_scores") == attainable
    assert stored(done, JULY, "mixed", "customers") == {"r": {10}, "f": {10}, "m": {10}}


def test_scores_above_nine_are_joined_with_a_dash(done):
    assert scores(done, JULY, "mixed") == {
        "u1": "5-1-1", "u2": "8-1-2", "u3": "9-1-2", "u4": "12-2-3", "f1": "2-1-3", "f2": "3-1-4", "f3": "4-1-4",
        "f4": "8-3-4", "n1": "11-1-1", "n2": "10-1-1", "g1": "1-1-1",
    }  # fmt: skip


# --- frozen -------------------------------------------------------------------------------------------------------


def test_the_command_freezes_all_that_was_fitted(done):
    """July's cut-points three months later, when every July order is old."""
    assert done.october.code == 0
    for segmentation in ("by_country", "mixed"):
        assert cuts(done, OCTOBER, segmentation) == cuts(done, JULY, segmentation)
    methods = {"r": {"frozen"}, "f": {"fixed"}, "m": {"frozen"}}
    assert stored(done, OCTOBER, "mixed", "method") == methods
    found = scores(done, OCTOBER, "mixed")
    assert (found["g1"], found["u1"], found["f4"]) == ("12-1-3", "1-2-4", "1-3-4")


def test_a_group_that_the_frozen_snapshot_did_not_know_scores_one(done):
    found = scores(done, OCTOBER, "by_country")
    assert (found["g1"], found["u1"], found["u3"]) == ("11", "12", "12")


def test_one_segmentation_frozen_by_its_config(january):
    """The other is fitted on the eleven of January, of whom u1 has 510 by now."""
    assert cuts(january, JANUARY, "by_country") == BY_COUNTRY
    assert stored(january, JANUARY, "by_country", "method") == {"r": {"frozen"}, "m": {"frozen"}}
    # 5 6 20 30 40 50 100 200 300 400 510
    assert cuts(january, JANUARY, "mixed")["m", "all"] == [25.0, 50.0, 250.0]
    assert scores(january, JANUARY, "mixed")["u1"].endswith("-4")


def test_a_snapshot_to_freeze_that_is_not_there(done, spark):
    """Told before anything is measured."""
    said = rfm_spark(spark, "segment", done.config, "--as-of", OCTOBER, "--cut-points-from", "2020-01-01")
    assert said.code == 2
    assert "no cut-points of r at 2020-01-01; published snapshots: 2024-07-01, 2024-10-01" in said.log
    assert "rows" not in said.log


def test_a_snapshot_to_freeze_is_looked_up_where_all_cut_points_are_given(done, spark):
    data = yaml.safe_load(done.config.read_text(encoding="utf-8"))
    own = {"criteria": {name: {"cuts": [1]} for name in "rm"}}
    data["segmentations"] = [{"name": "given", "criteria": ["r", "m"], "scoring": own, **RULES}]
    config = done.config.parent / "given.yaml"
    config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    said = rfm_spark(spark, "segment", config, "--as-of", OCTOBER, "--cut-points-from", "2020-01-01")
    assert said.code == 2
    assert "no cut-points at 2020-01-01; published snapshots: 2024-07-01, 2024-10-01" in said.log


def test_frozen_groups_need_their_group_by(done, spark):
    """July's cut-points of each country are nobody's where customers are not told apart by country."""
    config = write(done.config.parent / "ungrouped.yaml", FROZEN)
    said = rfm_spark(spark, "run", config, "--as-of", JANUARY)
    assert said.code == 2
    assert "segmentations.by_country.scoring: found cut-points of r at 2024-07-01 for each group" in said.log
    assert "rows" not in said.log

"""Cut-points: planned from the config, fitted by definition however many there are, frozen as they were made."""

import re
from collections.abc import Sequence
from datetime import date

import pytest
from config_examples import project

from rfm_spark.config.models import ProjectConfig
from rfm_spark.cuts import CriterionCut
from rfm_spark.errors import ConfigError
from rfm_spark.local import local_frame

JULY, SNAPSHOT = date(2024, 7, 1), date(2024, 10, 1)


# --- planned ---


def planned(scoring: dict, frozen_from: date | None = None, event_type: str | None = None) -> dict[str, CriterionCut]:
    from rfm_spark.steps import cut_points

    data = project()
    data["segmentations"][0]["scoring"] = scoring
    if event_type:
        data["sources"][0]["event_type"] = event_type
    cuts = cut_points.plan(ProjectConfig.model_validate(data), frozen_from)
    assert {cut.segmentation for cut in cuts} == {"value"}
    return {cut.criterion: cut for cut in cuts}


def test_a_criterions_own_settings_go_before_the_segmentations():
    own = {
        "r": {"cuts": [30, 90]},
        "f": {"bins": 3, "refine": False, "relative_error": 0.0, "group_by": "age"},
        "m": {"method": "interpolated"},
    }
    found = planned({"bins": 4, "group_by": "country", "relative_error": 0.01, "criteria": own})
    r, f, m = (found[name] for name in "rfm")
    assert (r.method, r.cuts, r.bins) == ("fixed", (30.0, 90.0), 3)
    assert r.group_by is None  # the same for everybody, whoever was there to fit on
    assert (f.method, f.bins, f.refine, f.relative_error, f.group_by) == ("approx_quantile", 3, False, 0.0, "age")
    assert (m.method, m.bins, m.refine, m.relative_error, m.group_by) == ("interpolated", 4, True, 0.01, "country")
    assert (r.metric, r.better, f.metric, f.better) == ("recency_days", "low", "frequency", "high")


def test_all_that_would_be_fitted_can_be_frozen():
    found = planned({"criteria": {"r": {"cuts": [30]}}}, frozen_from=JULY)
    assert [(cut.method, cut.snapshot) for cut in found.values()] == [
        ("fixed", None),
        ("frozen", JULY),
        ("frozen", JULY),
    ]


@pytest.mark.parametrize(
    ("scoring", "event_type", "expected"),
    [({}, None, "orders"), ({}, "contact", "contacts"), ({"fit_on": "everyone"}, None, "everyone")],
)
def test_whom_cut_points_are_fitted_on(scoring, event_type, expected):
    assert {cut.fit_on for cut in planned(scoring, event_type=event_type).values()} == {expected}


# --- fitted ---

# key, frequency, contacts, engagements, kids, monetary
CUSTOMERS = [
    ("a", 1, 0, 0, 1, 10.0),
    ("b", 2, 0, 1, 1, 20.0),
    ("c", 3, 1, 0, 2, 20.0),
    ("d", 4, 0, 0, 2, 40.0),
    ("e", 5, 0, 0, None, float("nan")),
    ("f", 0, 0, 0, 7, 0.0),  # bought nothing: in no population but everyone
    ("g", 0, 2, 0, 7, 0.0),
]
COLUMNS = "customer_key string, frequency bigint, contacts bigint, engagements bigint, kids int, monetary double"


def cut(criterion: str, metric: str, **how) -> CriterionCut:
    return CriterionCut(criterion, metric, **({"better": "high", "bins": 2, "fit_on": "orders"} | how))


ASKED = [
    cut("m", "monetary", segmentation="one", bins=4),
    cut("m", "monetary", segmentation="two", better="low"),
    cut("all", "monetary", fit_on="everyone"),
    cut("touched", "frequency", fit_on="contacts"),
    cut("typed", "monetary", method="interpolated", bins=3),
    cut("rough", "frequency", refine=False, relative_error=0.2),
    cut("fixed", "frequency", method="fixed", cuts=(0.5, 2.0, 9.0), bins=4),
    cut("kids", "kids", group_by="kids"),
    cut("by_kids", "monetary", group_by="kids"),
]
# values, customers, distinct values, attainable scores
EXPECTED = {
    ("one", "m", "all"): ((10.0, 20.0, 20.0), 4, 3, (1, 2, 4)),  # 10 20 20 40, one has no value
    ("two", "m", "all"): ((20.0,), 4, 3, (1, 2)),
    ("", "all", "all"): ((10.0,), 6, 4, (1, 2)),  # 0 0 10 20 20 40
    ("", "touched", "all"): ((2.0,), 3, 3, (1, 2)),  # 0 2 3
    ("", "typed", "all"): ((20.0, 20.0), 4, 3, (1, 3)),
    ("", "fixed", "all"): ((0.5, 2.0, 9.0), 5, 5, (2, 3)),  # of 1 to 5
    # one group a number of kids, though kids are scored themselves
    ("", "kids", "1"): ((1.0,), 2, 1, (1,)),
    ("", "kids", "2"): ((2.0,), 2, 1, (1,)),
    ("", "kids", "7"): ((), 0, 0, ()),
    ("", "kids", "(none)"): ((), 0, 0, ()),
    ("", "by_kids", "1"): ((10.0,), 2, 2, (1, 2)),
    ("", "by_kids", "2"): ((20.0,), 2, 2, (1, 2)),
    ("", "by_kids", "7"): ((), 0, 0, ()),
    ("", "by_kids", "(none)"): ((), 0, 0, ()),
}


@pytest.fixture
def customers(spark):
    return spark.createDataFrame(CUSTOMERS, COLUMNS)


@pytest.mark.parametrize("gathered", [True, pytest.param(False, marks=pytest.mark.spark_only)])
def test_all_segmentations_at_once(customers, monkeypatch, gathered):
    """As few customers and as a hundred million are done."""
    from rfm_spark import order_statistics
    from rfm_spark.steps import cut_points

    if not gathered:
        monkeypatch.setattr(order_statistics, "EXACT_UP_TO", 0)
    fitted = cut_points.fit(customers, ASKED, len(CUSTOMERS))
    found = {(one.cut.segmentation, one.cut.criterion, one.group): one for one in fitted}
    rough = found.pop(("", "rough", "all"))
    assert {
        key: (one.values, one.customers, one.distinct_values, one.attainable_scores) for key, one in found.items()
    } == EXPECTED
    assert {one.relative_error for one in found.values()} == {0.0}
    assert rough.values[0] in (2.0, 3.0, 4.0)  # the third of five, give or take one
    assert rough.relative_error == (0.0 if gathered else 0.2)
    assert rough.attainable_scores == (1, 2)


def test_cuts_by_kids_are_applied_to_kids(customers):
    """Scored in the very groups that they were fitted in."""
    from rfm_spark.steps import cut_points, scores

    asked = [one for one in ASKED if one.group_by]
    cuts = cut_points.by_criterion(asked, cut_points.fit(customers, asked, len(CUSTOMERS)))
    found = {row["customer_key"]: row["by_kids"] for row in scores.score_all(customers, cuts).collect()}
    assert found == {"a": 1, "b": 2, "c": 1, "d": 2, "e": 1, "f": 1, "g": 1}


def test_attainable_scores_are_those_that_are_scored(customers):
    from rfm_spark.steps import cut_points, scores

    asked = [one for one in ASKED if one.segmentation == "" and one.fit_on == "orders" and not one.group_by]
    fitted = cut_points.fit(customers, asked, len(CUSTOMERS))
    scored = scores.score_all(customers, cut_points.by_criterion(asked, fitted)).filter("frequency > 0").collect()
    for one in fitted:
        rows = [row for row in scored if row[one.cut.metric] == row[one.cut.metric]]  # not NaN, which scores 1
        assert one.attainable_scores == tuple(sorted({row[one.cut.criterion] for row in rows})), one.cut.criterion


@pytest.mark.spark_only
def test_fitting_moves_no_customer_and_sorts_none(spark, customers, monkeypatch):
    """All metrics of all segmentations in one aggregate, whose partial results alone cross the network."""
    from steps.test_plans import plan_of

    from rfm_spark import order_statistics
    from rfm_spark.steps import cut_points

    plans = []
    collect = type(customers).collect
    monkeypatch.setattr(type(customers), "collect", lambda frame: plans.append(plan_of(frame)) or collect(frame))
    asked = [one for one in ASKED if one.refine and not one.group_by]
    cut_points.fit(customers, asked, len(CUSTOMERS))
    assert len(plans) == 1, "one aggregate"
    monkeypatch.setattr(order_statistics, "EXACT_UP_TO", 0)
    cut_points.fit(customers, asked, len(CUSTOMERS))
    for plan in plans[:3]:  # then what is inside the brackets is ranked
        assert re.findall(r"Exchange [^\n]*\n\W*\w*HashAggregate\([^\n]*partial_", plan), plan
        assert plan.count("Exchange ") == 1, plan
        for word in ("Expand", "Window", "Sort "):
            assert word not in plan, plan


# --- stored and frozen ---

STORED = [
    "snapshot_date", "segmentation", "criterion", "group", "position", "metric", "value", "probability", "method",
    "relative_error", "customers", "distinct_values", "attainable_scores",
]  # fmt: skip


def stored(rows: Sequence[tuple]) -> list[dict]:
    return [dict(zip(STORED, row, strict=True)) for row in rows]


def test_frozen_cuts_are_those_that_were_stored(customers):
    """With all that is told of their fit."""
    from rfm_spark.steps import cut_points

    asked = [one for one in ASKED if one.method != "fixed" and one.criterion != "kids"]
    fitted = cut_points.fit(customers, asked, len(CUSTOMERS))
    rows = cut_points.rows(fitted, JULY)
    assert {row["probability"] for row in stored(rows) if row["segmentation"] == "one"} == {0.25, 0.5, 0.75}
    freezing = [CriterionCut(**{**vars(one), "method": "frozen", "snapshot": JULY}) for one in asked]
    again = cut_points.rows(cut_points.frozen(freezing, stored(rows), [JULY]), SNAPSHOT)
    changed = {"snapshot_date": SNAPSHOT, "method": "frozen"}
    assert sorted(map(repr, stored(again))) == sorted(repr(row | changed) for row in stored(rows))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"metric": "orders_q4"}, "made for frequency, expected orders_q4"),
        ({"bins": 5}, "for 3 bins, expected 5: set bins: 3"),
        ({"snapshot": SNAPSHOT}, "no cut-points of f at 2024-10-01; published snapshots: 2024-07-01"),
        ({"criterion": "m"}, "no cut-points of m at 2024-07-01"),
        ({"group_by": None}, "for each group, expected group_by: the same"),
    ],
)
def test_cuts_made_for_something_else_are_not_applied(how, told):
    from rfm_spark.steps import cut_points

    rows = [
        (JULY, "value", "f", group, position, "frequency", float(position), None, "approx_quantile", 0.0, 9, 9, [1])
        for group in ("UK", "FR")
        for position in (1, 2)
    ]
    usual = {"criterion": "f", "metric": "frequency", "better": "high", "segmentation": "value", "bins": 3}
    right = usual | {"method": "frozen", "snapshot": JULY, "group_by": "country"}
    assert len(cut_points.frozen([CriterionCut(**right)], stored(rows), [JULY])) == 2
    with pytest.raises(ConfigError, match=f"segmentations.value.scoring: .*{told}"):
        cut_points.frozen([CriterionCut(**(right | how))], stored(rows), [JULY])


def test_cuts_that_were_not_grouped_serve_every_group():
    from rfm_spark.steps import cut_points

    rows = [(JULY, "value", "f", "all", 1, "frequency", 2.0, 0.5, "approx_quantile", 0.0, 9, 9, [1, 2])]
    asked = [cut("f", "frequency", segmentation="value", method="frozen", snapshot=JULY, group_by="country")]
    cuts = cut_points.by_criterion(asked, cut_points.frozen(asked, stored(rows), [JULY]))["f"]
    assert (cuts.group_by, cuts.by_group) == (None, {"all": (2.0,)})


def test_without_customers_nothing_is_cut(spark):
    from rfm_spark.steps import cut_points

    nobody = local_frame(spark, [], [("frequency", "bigint"), ("kids", "int")])
    asked = [
        cut("f", "frequency"),
        cut("k", "kids", group_by="kids"),
        cut("x", "frequency", method="fixed", cuts=(1.0,)),
    ]
    fitted = {one.cut.criterion: (one.values, one.customers) for one in cut_points.fit(nobody, asked)}
    assert fitted == {"f": ((), 0), "x": ((1.0,), 0)}

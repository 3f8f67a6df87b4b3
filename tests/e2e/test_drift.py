"""The gate on drift: beyond a limit a run warns, or stops before it is published."""

from datetime import date

import pytest
from e2e import bad_input as bad
from e2e.commands import rfm_spark

pytestmark = pytest.mark.on_sail

MARCH, APRIL = date(2023, 3, 1), date(2023, 4, 1)
RULES = [{"name": "large", "when": "monetary > 10"}, {"name": "small", "otherwise": True}]
SEGMENTATION = {
    "name": "value", "question": "Who?", "scoring": {"bins": 2},
    "segments": [rule | {"action": bad.ACTION} for rule in RULES],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(_session, tmp_path_factory):
    """Ten customers of whom one is large in February; in March all are."""
    path = tmp_path_factory.mktemp("drift")
    rows = [f"c{n},2023-02-0{n},{20 if n == 1 else n}" for n in range(1, 10)]
    rows += [f"c{n},2023-03-0{n},90" for n in range(1, 10)]
    bad.write(path, {"orders.csv": bad.HEAD + "\n".join(rows) + "\n"})
    assert rfm_spark(_session, "run", _project(path), "--as-of", MARCH).code == 0
    return path


def _project(path, **drift):
    sections = {"drift": drift} if drift else {}
    return bad.project_file(path, [bad.source_of("orders", "orders.csv")], segmentations=[SEGMENTATION], **sections)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("shares", "value: the shares of the segments moved by an index of "),
        ("metrics", "value: the scores of m by the earlier cut-points moved by an index of "),
        ("cut_points", "value: a cut-point of m moved by 93.8%"),
    ],
)
def test_beyond_its_limit_the_run_stops_and_publishes_nothing(spark, folder, what, told):
    said = rfm_spark(spark, "segment", _project(folder, **{what: {"stop": 0.3}}), "--as-of", APRIL)
    assert said.code == 3
    assert told in said.log
    assert "Nothing was published" in said.log
    shown = rfm_spark(spark, "show", _project(folder), "runs", "--as-of", MARCH)
    assert "gate_failed" in shown.out
    assert rfm_spark(spark, "show", _project(folder), "--as-of", APRIL).code == 2
    assert rfm_spark(spark, "show", _project(folder), "--as-of", MARCH).row("large")[0] == "1"


def test_a_limit_to_warn_at_is_printed_and_recorded(spark, folder):
    """It is so for shares without being asked for."""
    said = rfm_spark(spark, "segment", _project(folder), "--as-of", APRIL)
    assert said.code == 0
    assert any("warning: drift since 2023-03-01: value: the shares" in line for line in said.lines)
    shown = rfm_spark(spark, "show", _project(folder), "runs", "--as-of", MARCH)
    assert "drift since" in shown.out
    assert rfm_spark(spark, "check", _project(folder, shares={"warn": 0.5, "stop": 0.1})).code == 2


def test_a_file_that_was_emptied_takes_nobody_away_unseen(spark, tmp_path):
    bad.write(tmp_path, {"orders.csv": bad.HEAD + "a,2023-02-01,5\nb,2023-02-02,20\n"})
    assert rfm_spark(spark, "run", _project(tmp_path, shares={"stop": 0.3}), "--as-of", MARCH).code == 0
    bad.write(tmp_path, {"orders.csv": bad.HEAD})
    told = "value: nobody is in it any more, and 2 customers were"
    said = rfm_spark(spark, "run", _project(tmp_path, shares={"stop": 0.3}), "--as-of", APRIL)
    assert (said.code, told in said.log) == (3, True)
    said = rfm_spark(spark, "run", _project(tmp_path), "--as-of", APRIL)
    assert (said.code, any(told in line for line in said.lines)) == (0, True)

"""What a segmentation cannot do: sums no column holds, attributes that are not there, rules that leave some out."""

from datetime import date
from decimal import Decimal

import pytest
from e2e import bad_input as bad
from e2e.commands import rfm_spark

MARCH, AUGUST = date(2023, 3, 1), date(2023, 8, 1)
LARGE = "9000000000000000.00"
ORDERS = f"rich,2023-02-01,{LARGE}\nrich,2023-07-01,{LARGE}\nother,2023-02-10,{LARGE}\npoor,2023-02-20,1.00\n"


@pytest.fixture(scope="module")
def folder(_session, tmp_path_factory):
    """A lake with events, and nothing measured."""
    from rfm_spark import Project

    path = tmp_path_factory.mktemp("segment")
    bad.write(path, {"orders.csv": bad.HEAD + ORDERS, "crm.csv": "id,country\npoor,UK\n"})
    Project.load(bad.project_file(path, [bad.source_of("orders", "orders.csv")])).ingest(_session, as_of=AUGUST)
    return path


def test_a_customers_money_that_has_no_place_stops_the_run(spark, folder):
    """Two orders that fit, whose sum does not: told, and nothing is published."""
    config = bad.project_file(folder, [bad.source_of("orders", "orders.csv")])
    said = rfm_spark(spark, "segment", config, "--as-of", AUGUST)
    assert said.code == 3
    assert "sum to more than decimal(18,2) holds" in said.log
    assert "contract.max_amount" in said.log
    assert rfm_spark(spark, "show", config, "--as-of", AUGUST).code == 2


def test_an_attribute_that_is_not_in_the_lake_yet(spark, folder):
    """Told before anything is measured."""
    crm = {
        "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv", "attributes": {"country": "country"},
        "columns": {"source_customer_id": "id"},
    }  # fmt: skip
    segmentation = {
        "name": "value", "question": "Who?", "scoring": {"group_by": "country"},
        "segments": [{"name": "everyone", "otherwise": True, "action": bad.ACTION}],
    }  # fmt: skip
    sources = [bad.source_of("orders", "orders.csv"), crm]
    config = bad.project_file(folder, sources, segmentations=[segmentation])
    said = rfm_spark(spark, "segment", config, "--as-of", MARCH)
    assert said.code == 2
    assert "no column country in the customers of" in said.log
    assert "run `rfm-spark ingest`" in said.log
    assert "rows" not in said.log


@pytest.mark.slow_on_spark
def test_customers_whom_no_rule_takes_are_counted(spark, folder):
    """The check of the rules keeps this from happening, where it can judge them all."""
    from rfm_spark import Project
    from rfm_spark import config as configs

    segmentation = {
        "name": "value", "question": "Who?",
        "segments": [{"name": "best", "when": "monetary > 1", "action": bad.ACTION}],
    }  # fmt: skip
    path = bad.project_file(folder, [bad.source_of("orders", "orders.csv")], segmentations=[segmentation])
    project = Project(configs.load(path))
    done = project.segment(spark, as_of=MARCH)
    assert done.counts["customer_segments.value.unassigned"] == 1
    (profile,) = project.read(spark, "segment_profiles").collect()
    assert (profile["segment"], profile["customers"], profile["share"]) == ("best", 2, 2 / 3)
    assert profile["monetary"] == 2 * Decimal(LARGE)
    segments = {row["customer_key"]: row["segment"] for row in project.read(spark, "customer_segments").collect()}
    assert segments == {"rich": "best", "other": "best", "poor": None}

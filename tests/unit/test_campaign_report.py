"""What a plan says of what could be measured."""

from datetime import date

from config_examples import project
from rich.console import Console

from rfm_spark.config import from_data
from rfm_spark.pipelines.plans import Plan
from rfm_spark.report import campaigns

CAMPAIGN = {
    "name": "winback", "segments": {"value": ["best"]}, "channel": "email", "message": "Hello", "start": "2011-12-12",
    "success": {"window_days": 14},
}  # fmt: skip


def said(detectable: dict[str, float], baseline: dict[str, float]) -> str:
    data = project()
    data["campaigns"] = [CAMPAIGN]
    config = from_data(data)
    console = Console(width=300, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    plan = Plan(config.campaigns[0], date(2011, 12, 12), [], detectable, 1000, baseline)
    campaigns._print_power(console, config, plan, [])
    return console.export_text()


def test_an_effect_that_can_be_found_is_told():
    told = said({"rate": 0.02, "value": 1.5}, {"rate": 0.1, "value": 3.0})
    assert "at least 2.00% in the rate (now 10.00%) or 1.50 USD" in told.replace("GBP", "USD")
    assert "1,000 people in all" in told


def test_of_people_who_did_nothing_before_no_effect_is_said_to_be_found():
    told = said({"rate": 0.0, "value": 0.0}, {"rate": 0.0, "value": 0.0})
    assert "in the 14 days before" in told
    assert "0.00" not in told

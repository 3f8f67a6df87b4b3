"""The section `prediction`, and predictions in rules: what is refused, what is allowed, what the linter makes of it."""

import pytest
from config_examples import with_rules

from rfm_spark.config import from_data, lint, warnings
from rfm_spark.config.attributes import used_predictions
from rfm_spark.errors import ConfigError

RULES = ["p_alive < 0.3 and m >= 4", "expected_value > 100", None]


def ruled(whens):
    """A project with these rules; None is `otherwise`."""
    return with_rules({f"s{i}": when for i, when in enumerate(whens)})


def faults(**section):
    with pytest.raises(ConfigError) as raised:
        from_data(ruled(["r >= 1"]) | {"prediction": section})
    return {fault.path: fault.message for fault in raised.value.faults}


def test_what_is_wrong_is_told_with_its_place():
    assert "expected each model once" in faults(models=["bg_nbd", "bg_nbd"])["prediction.models[1]"]
    assert "found no model of orders" in faults(models=["gamma_gamma"])["prediction.models"]
    assert "did you mean pareto_nbd" in faults(models=["paretonbd"])["prediction.models[0]"]
    assert "expected a day that the contract believes" in str(faults(calibration_end="1970-01-01"))
    assert "horizon_days" in str(faults(horizon_day=3))
    assert faults(tolerance=0, horizon_days=0, unit="fortnight").keys() == {
        "prediction.tolerance", "prediction.horizon_days", "prediction.unit",
    }  # fmt: skip


def test_rules_may_name_predictions_and_are_linted_as_free():
    """Null is a value too: rules that leave it out have a gap, and one that never fires is found."""
    config = from_data(ruled(RULES))
    assert used_predictions(config) == ["p_alive", "expected_value"]
    assert lint(config).errors == []
    gap = from_data(ruled(["p_alive < 0.3", "p_alive >= 0.3"]))
    assert any("null" in fault.message for fault in lint(gap).errors)
    never = from_data(ruled(["p_alive < 0.5", "p_alive < 0.3", None]))
    assert lint(never).errors
    assert warnings(config) is not None


def test_a_criterion_may_be_a_prediction():
    data = ruled(["v >= 1"]) | {"criteria": {"v": {"metric": "expected_value", "better": "high"}}}
    assert used_predictions(from_data(data)) == ["expected_value"]


def test_what_is_a_projects_own_by_that_name_stays_its_own():
    criteria = {"p_alive": {"sql": "1.0 / recency_days", "better": "high"}}
    data = ruled(["p_alive >= 1"]) | {"criteria": criteria}
    assert used_predictions(from_data(data)) == []

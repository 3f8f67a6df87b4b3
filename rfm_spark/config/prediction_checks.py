"""What is wrong with `prediction` although its shape is right."""

from collections.abc import Iterator

from rfm_spark.config.known import repeated
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.prediction import ORDER_MODELS
from rfm_spark.config.words import Finding, listed


def prediction_findings(config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of every fault of the section."""
    asked, path = config.prediction, "prediction"
    for i in repeated(asked.models):
        yield f"{path}.models[{i}]", f"found {asked.models[i]} twice, expected each model once"
    if not asked.order_models:
        yield f"{path}.models", f"found no model of orders, expected at least one of {listed(ORDER_MODELS)}"
    end = asked.calibration_end
    if end is not None and not config.contract.earliest <= end < config.contract.latest:
        believed = f"{config.contract.earliest} to {config.contract.latest}"
        yield f"{path}.calibration_end", f"found {end}, expected a day that the contract believes: {believed}"

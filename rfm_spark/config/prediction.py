"""The section `prediction`: in which unit, over which horizon and by which models customers are predicted."""

from typing import Annotated, Literal

from pydantic import Field

from rfm_spark.config.base import Day, Model

ModelName = Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "gamma_gamma"]
ORDER_MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")
VALUE_MODEL, BASELINE = "gamma_gamma", "nbd"
DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25}

# columns of `predictions` that rules and criteria may use
PREDICTED = ("p_alive", "expected_orders", "expected_value", "p_no_purchase")


class Prediction(Model):
    """Who is still alive, and what they will spend; NBD is always fitted too, as the baseline."""

    unit: Literal["day", "week", "month", "year"] = Field(
        default="week", description="of time in the models: alpha and beta are in it"
    )
    calibration_end: Day | None = Field(
        default=None, description="last day of calibration; default holds out the last quarter of the span"
    )
    horizon_days: int | None = Field(
        default=None, ge=1, le=3660, description="days that are predicted; default as many as are held out"
    )
    models: Annotated[list[ModelName], Field(min_length=1)] = Field(
        default=["bg_nbd", "mbg_nbd", "pareto_nbd", "gamma_gamma"], description="models that are fitted and compared"
    )
    tolerance: float = Field(
        default=0.25,
        gt=0,
        description="relative error of the held-out total up to which predictions are published; beyond it exit 3",
    )
    discount_rate: float = Field(
        default=0.0, ge=0, le=10, description="a year, of expected_value; 0.1 makes it a discounted value"
    )

    @property
    def order_models(self) -> list[str]:
        """Those of orders, in the file's order."""
        return [name for name in self.models if name in ORDER_MODELS]

    @property
    def days_a_unit(self) -> float:
        """Days of one unit."""
        return DAYS[self.unit]

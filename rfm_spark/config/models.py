"""The project file as typed models: strict, no unknown keys, every default visible.

Only the shape is checked here; what needs more than one section (names that must exist elsewhere, rules over the
score cube) is in `checks` and `lint`, and reading the file is in `load`.
"""

from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from rfm_spark.config.base import Label, Model, Name, Text
from rfm_spark.config.campaigns import Campaign, Targeting
from rfm_spark.config.contract import Contract
from rfm_spark.config.identity import Identity
from rfm_spark.config.lake import Lake, Maintenance
from rfm_spark.config.prediction import Prediction
from rfm_spark.config.scoring import STANDARD_CRITERIA, Criterion, Segmentation
from rfm_spark.config.source import Source

RefundPolicy = Literal["net_on_order_date", "net_on_refund_date", "ignore"]


class Refunds(Model):
    """How refunds change recency, frequency and monetary value, all three by one policy."""

    policy: RefundPolicy = "net_on_order_date"


class ReferencePeriod(Model):
    """The span that frequency and monetary value are measured over, and its sub-periods."""

    months: int | None = Field(default=None, ge=1, le=1200, description="default 12", examples=[12])
    all: bool = Field(default=False, description="since the first event")
    sub_periods: int = Field(
        default=4, ge=1, le=24, description="default 4, or what of 3, 2, 1 divides months", examples=[1, 4]
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """Without `all`, months are 12; sub-periods that are not given are as many as divide the months, at most 4."""
        if not isinstance(value, dict):
            return value
        months = value.get("months")
        if months is None and value.get("all") is not True:
            months = 12
        periods = next((n for n in (4, 3, 2) if isinstance(months, int) and months % n == 0), 1 if months else 4)
        return {"sub_periods": periods, **value, "months": months}

    @model_validator(mode="after")
    def _consistent(self) -> "ReferencePeriod":
        if self.all and self.months is not None:
            raise ValueError(
                "give months, or all: true, not both; --set 'reference_period={all: true}' replaces the section"
            )
        if self.months is not None and self.months % self.sub_periods:
            raise ValueError(f"{self.months} months do not divide into {self.sub_periods} sub_periods of whole months")
        return self


class Limits(Model):
    """How far something may move: beyond `warn` the run says so, beyond `stop` it ends with exit 3, unpublished."""

    warn: float | None = Field(default=None, gt=0)
    stop: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Limits":
        if self.warn is not None and self.stop is not None and self.warn > self.stop:
            raise ValueError(f"warn {self.warn:g} is beyond stop {self.stop:g}; give the smaller one first")
        return self


class Drift(Model):
    """How far a snapshot may be from the one before it. An index below 0.1 is usual, above 0.25 a large shift."""

    shares: Limits = Field(
        default=Limits(warn=0.25), description="population stability index of the customers' shares of the segments"
    )
    metrics: Limits = Field(
        default=Limits(), description="the same of each criterion's scores, both by the earlier cut-points"
    )
    cut_points: Limits = Field(default=Limits(), description="the furthest move of a cut-point, as a share of it")


class ProjectConfig(Model):
    """One project: its question, its sources, and how customers are measured, scored and segmented."""

    project: Label
    question: Text
    timezone: Text
    currency: Text
    lake: Lake
    sources: list[Source] = Field(min_length=1)
    contract: Contract = Contract()
    refunds: Refunds = Refunds()
    reference_period: ReferencePeriod = ReferencePeriod(months=12)
    criteria: dict[Name, Criterion] = Field(
        default={name: Criterion.model_validate(STANDARD_CRITERIA[name]) for name in ("r", "f", "m")},
        description="replaces the standard set r, f, m; r, f, m and d may be given empty for their defaults",
    )
    segmentations: list[Segmentation] = Field(min_length=1)
    drift: Drift = Drift()
    prediction: Prediction = Prediction()
    maintenance: Maintenance = Maintenance()
    campaigns: list[Campaign] = Field(
        default=[], description="what `target` contacts people by, and `measure` measures"
    )
    targeting: Targeting = Targeting()
    identity: Identity | None = Field(default=None, description="default: a customer's id is the same in every source")
    _lines: dict[str, int] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _standard_criteria(cls, value: Any) -> Any:
        """A standard criterion may be named without a body, or with only `better` or `metric` changed."""
        if not isinstance(value, dict) or not isinstance(value.get("criteria"), dict):
            return value
        criteria = {
            name: _with_standard(name, body) if isinstance(body, dict | None) else body
            for name, body in value["criteria"].items()
        }
        return {**value, "criteria": criteria}

    def line(self, path: str) -> int | None:
        """The line of the project file that a path such as `segmentations[0].segments[2].when` stands in."""
        return line_of(self._lines, path)

    def source(self, name: str) -> Source:
        """The source of that name."""
        return next(source for source in self.sources if source.name == name)

    def event_sources(self) -> list[Source]:
        """The sources whose rows are events."""
        return [source for source in self.sources if source.kind == "events"]

    def may_be_foreign(self, source: Source) -> bool:
        """Whether a source may have amounts in another currency than the project's."""
        return "currency" in source.columns or (source.currency or self.currency) != self.currency

    def criteria_of(self, segmentation: Segmentation) -> dict[str, Criterion]:
        """The criteria that a segmentation scores, in the order of its scores."""
        names = segmentation.criteria if segmentation.criteria is not None else list(self.criteria)
        return {name: self.criteria[name] for name in names}


def line_of(lines: dict[str, int], path: str) -> int | None:
    """The line of a path, or of the nearest section around it."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _with_standard(name: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
    standard = STANDARD_CRITERIA.get(str(name))
    if standard is None or (body and ("sql" in body or {"metric", "better"} <= set(body))):
        return body
    return {**standard, **(body or {})}

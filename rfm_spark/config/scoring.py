"""Criteria, how they are scored, and the segments that rules make of the scores, each with its action."""

from typing import Literal

from pydantic import Field, model_validator

from rfm_spark.config.base import Day, Model, Name, PartitionLabel, SegmentName, Text
from rfm_spark.cuts import Cutting

STANDARD_CRITERIA: dict[str, dict[str, str]] = {
    "r": {"metric": "recency_days", "better": "low"},
    "f": {"metric": "frequency", "better": "high"},
    "m": {"metric": "monetary", "better": "high"},
    "d": {"metric": "duration_seconds", "better": "high"},
}


class Criterion(Model):
    """Something customers are scored by: a metric, or SQL over metrics and customer attributes."""

    metric: Name | None = None
    sql: Text | None = None
    better: Literal["low", "high"]

    @model_validator(mode="after")
    def _one_of(self) -> "Criterion":
        if (self.metric is None) == (self.sql is None):
            raise ValueError("give metric: a column of customer_metrics, or sql: an expression over them")
        return self


Method = Literal["approx_quantile", "interpolated", "fixed", "frozen"]


class CriterionScoring(Model):
    """How one criterion is cut, where it differs from its segmentation."""

    bins: int | None = Field(default=None, ge=2, le=100)
    method: Method | None = None
    relative_error: float | None = Field(default=None, ge=0, lt=0.5)
    refine: bool | None = None
    cuts: list[float | int] | None = Field(default=None, description="for method: fixed, ascending")
    snapshot: Day | None = Field(default=None, description="for method: frozen, the snapshot whose cut-points are used")
    group_by: Name | None = None


class Scoring(Model):
    """How the criteria of a segmentation are cut into scores 1..bins."""

    bins: int = Field(default=5, ge=2, le=100)
    method: Literal["approx_quantile", "interpolated", "frozen"] = Field(
        default="approx_quantile", description="method: fixed is given per criterion, with its cuts"
    )
    relative_error: float = Field(
        default=0.0001, ge=0, lt=0.5, description="of the brackets that locate the cut-points"
    )
    refine: bool = Field(default=True, description="make each cut the exact sample quantile")
    snapshot: Day | None = Field(default=None, description="for method: frozen, the snapshot whose cut-points are used")
    group_by: Name | None = Field(default=None, description="attribute or metric; cut-points are fitted in each group")
    fit_on: Literal["orders", "contacts", "everyone"] | None = Field(
        default=None,
        description="whom cut-points are fitted on; default orders, or contacts where no source has purchases",
    )
    criteria: dict[Name, CriterionScoring] = Field(default={}, description="criterion: what differs for it")

    def of(self, criterion: str) -> Cutting:
        """How one criterion is cut: its own settings before the segmentation's.

        Rules: as many bins as given cuts make; fixed cuts are the same in every group.
        """
        own = self.criteria.get(criterion, CriterionScoring())
        cuts = tuple(float(cut) for cut in own.cuts or ())
        method = own.method or ("fixed" if cuts else self.method)
        return Cutting(
            bins=len(cuts) + 1 if cuts else own.bins or self.bins,
            method=method,
            relative_error=self.relative_error if own.relative_error is None else own.relative_error,
            refine=self.refine if own.refine is None else own.refine,
            group_by=None if method == "fixed" else own.group_by or self.group_by,
            cuts=cuts,
            snapshot=own.snapshot or self.snapshot,
        )


class Action(Model):
    """What is done with the customers of a segment."""

    decision: Text
    channel: Text
    message: Text
    every: Text | None = None
    budget_per_customer: float | None = Field(default=None, ge=0)
    priority: int | None = None


class Segment(Model):
    """One rule of a segmentation; the first that holds wins."""

    name: SegmentName
    question: Text | None = None
    when: Text | None = None
    otherwise: Literal[True] | None = None
    action: Action

    @model_validator(mode="after")
    def _one_of(self) -> "Segment":
        if (self.when is None) == (self.otherwise is None):
            raise ValueError("give when: a condition, or otherwise: true")
        return self


class Segmentation(Model):
    """A named set of segments over the same metrics, with the question it answers."""

    name: PartitionLabel
    question: Text
    criteria: list[Name] | None = Field(
        default=None, description="which criteria it scores; default all of the project's"
    )
    scoring: Scoring = Scoring()
    segments: list[Segment] = Field(min_length=1)

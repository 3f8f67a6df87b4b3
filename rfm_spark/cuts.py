"""Cuts as values: how a criterion is to be cut, what was fitted, and what scoring needs of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How values are cut into scores 1..bins; `cuts` are those of method fixed, `snapshot` is for frozen."""

    bins: int = 5
    method: str = "approx_quantile"
    relative_error: float = 0.0001
    refine: bool = True
    group_by: str | None = None
    cuts: tuple[float, ...] = ()
    snapshot: date | None = None


@dataclass(frozen=True)
class CriterionCut(Cutting):
    """How one criterion of a segmentation is cut: its column, which end is better, and whom it is fitted on."""

    criterion: str
    metric: str
    better: str
    segmentation: str = ""
    fit_on: str = "everyone"


@dataclass(frozen=True)
class FittedCuts:
    """The ascending cuts of one criterion in one group, with what they were fitted on."""

    cut: CriterionCut
    group: str
    values: tuple[float, ...]
    customers: int | None
    distinct_values: int | None
    attainable_scores: tuple[int, ...] = ()
    relative_error: float = 0.0


@dataclass(frozen=True)
class Cuts:
    """The cuts of one criterion as they are applied: ascending values for each group."""

    metric: str
    better: str
    bins: int
    group_by: str | None
    by_group: Mapping[str, Sequence[float]]

"""Cuts as values: how a criterion is to be cut, what was fitted, and what scoring needs of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class CriterionCut:
    """How one criterion is cut: its column, which end is better, and the method."""

    criterion: str
    metric: str
    better: str
    bins: int = 5
    method: str = "approx_quantile"
    relative_error: float = 0.0001
    refine: bool = True
    group_by: str | None = None
    cuts: tuple[float, ...] = ()
    snapshot: date | None = None
    segmentation: str = ""


@dataclass(frozen=True)
class FittedCuts:
    """The ascending cuts of one criterion in one group, with what they were fitted on."""

    cut: CriterionCut
    group: str
    values: tuple[float, ...]
    customers: int | None
    distinct_values: int | None
    attainable_scores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cuts:
    """The cuts of one criterion as they are applied: ascending values for each group."""

    metric: str
    better: str
    bins: int
    group_by: str | None
    by_group: Mapping[str, Sequence[float]]

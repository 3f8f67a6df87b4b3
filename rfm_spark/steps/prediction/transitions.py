"""Transitions: how customers went from segment to segment, and where that leads in the next period (a Markov chain)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from rfm_spark.schemas import GONE, NEW

_LIKE = 0.2  # periods whose length differs by more than this share of the newest one's are not counted
Flows = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Move:
    """Customers that went from a segment to a segment between two published snapshots; who stayed is a move too."""

    since: date
    until: date
    origin: str
    target: str
    customers: int


@dataclass(frozen=True)
class Transitions:
    """One segmentation: the moves of like periods added up, and what they say of the sizes of its segments.

    `now` are the sizes at `until`, `expected` those a period later. `tested` and `naive` are what the periods before
    the last one, and sizes that stay as they were, said of `now`; empty where there is no period before.
    """

    until: date
    period_days: int
    periods: int
    flows: Flows
    now: Mapping[str, float]
    expected: Mapping[str, float]
    tested: Mapping[str, float] = field(default_factory=dict)
    naive: Mapping[str, float] = field(default_factory=dict)

    def probabilities(self) -> dict[tuple[str, str], float]:
        """{(from, to): share of those who were in from}; newcomers are nobody's share and left out."""
        left = Counter[str]()
        for (origin, _), customers in self.flows.items():
            left[origin] += customers
        return {
            (origin, target): customers / left[origin]
            for (origin, target), customers in self.flows.items()
            if origin != NEW
        }

    def off(self, said: Mapping[str, float]) -> float | None:
        """The share of the customers that a forecast of `now` puts in the wrong segment; None without one."""
        if not said or not sum(self.now.values()):
            return None
        return (
            sum(abs(said.get(s, 0) - self.now.get(s, 0)) for s in said.keys() | self.now) / 2 / sum(self.now.values())
        )


def transitions(moves: Iterable[Move]) -> Transitions | None:
    """The chain of one segmentation; None where no two snapshots were published.

    Rules: counted are the pairs of snapshots that are about as far apart as the newest pair. Newcomers come as many a
        period as they did on average, and into the segments they came into. Segments are as they were named: a rule
        that changed in between is a move like any other.
    """
    pairs: dict[tuple[date, date], list[Move]] = {}
    for move in moves:
        pairs.setdefault((move.since, move.until), []).append(move)
    if not pairs:
        return None
    ordered = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    newest = ordered[-1]
    days = (newest[1] - newest[0]).days
    like = [pair for pair in ordered if abs((pair[1] - pair[0]).days - days) <= _LIKE * days]
    flows, now = _summed(pairs[pair] for pair in like), _sizes(pairs[newest], after=True)
    before = like[:-1]
    then = _sizes(pairs[newest], after=False)
    tested = _after(then, _summed(pairs[pair] for pair in before), len(before)) if before else {}
    return Transitions(
        newest[1], days, len(like), flows, now, _after(now, flows, len(like)), tested, then if before else {}
    )


def _summed(periods: Iterable[Sequence[Move]]) -> Flows:
    flows: Flows = Counter()
    for moves in periods:
        for move in moves:
            flows[move.origin, move.target] += move.customers
    return flows


def _sizes(moves: Sequence[Move], *, after: bool) -> dict[str, float]:
    sizes = Counter[str]()
    for move in moves:
        sizes[move.target if after else move.origin] += move.customers
    return {segment: float(n) for segment, n in sizes.items() if segment not in (NEW, GONE)}


def _after(sizes: Mapping[str, float], flows: Flows, periods: int) -> dict[str, float]:
    """Sizes a period later; who is in a segment that nobody was seen to leave stays there."""
    left = Counter[str]()
    for (origin, _), customers in flows.items():
        left[origin] += customers
    expected = {segment: size for segment, size in sizes.items() if not left[segment]}
    for (origin, target), customers in flows.items():
        share = customers / periods if origin == NEW else sizes.get(origin, 0.0) * customers / left[origin]
        if target != GONE:
            expected[target] = expected.get(target, 0.0) + share
    return expected

"""The score cube: every combination of scores and of what else rules depend on, as bits of one integer.

A condition is a pair of bit sets, where it is true and where it is false; where neither, it is null. So SQL's `and`,
`or` and `not` are one operation over all combinations at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Truth = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """One thing that varies: a score, or the representative values of a metric, an attribute or a condition."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    is_score: bool = False


@dataclass(frozen=True)
class Space:
    """All combinations of the axes, the first varying slowest; scores come first, so a cell is a run of bits."""

    axes: tuple[Axis, ...]

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """How many bits apart two neighbours on each axis are; then, as last, 1."""
        strides = [1]
        for axis in reversed(self.axes):
            strides.append(strides[-1] * len(axis.values))
        return tuple(reversed(strides))

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return self.strides[0]

    @property
    def everything(self) -> int:
        """All combinations."""
        return (1 << self.size) - 1

    def where(self, names: set[str], test: Callable[[Mapping[str, Any]], Any]) -> Truth:
        """Where a test that depends on these axes is true, and where it is false."""
        last = max((i for i, axis in enumerate(self.axes) if axis.name in names), default=-1)
        values: dict[str, Any] = {}

        def block(i: int) -> Truth:
            width = self.strides[i]
            if i > last:
                answer = test(values)
                ones = (1 << width) - 1
                return (ones if answer is True else 0), (ones if answer is False else 0)
            axis, stride = self.axes[i], self.strides[i + 1]
            if axis.name not in names:
                true, false = block(i + 1)
                return _repeated(true, stride, len(axis.values)), _repeated(false, stride, len(axis.values))
            true = false = 0
            for k, value in enumerate(axis.values):
                values[axis.name] = value
                more_true, more_false = block(i + 1)
                true |= more_true << (k * stride)
                false |= more_false << (k * stride)
            return true, false

        return block(0)

    def cells(self, bits: int) -> int:
        """The cells that any of these combinations is in, one bit a cell (its first)."""
        for i in range(len(self.axes) - 1, -1, -1):
            axis, stride = self.axes[i], self.strides[i + 1]
            if axis.is_score:
                break
            folded = bits
            for k in range(1, len(axis.values)):
                folded |= bits >> (k * stride)
            bits = folded & _repeated(1, self.strides[i], self.size // self.strides[i])
        return bits

    @property
    def cell_width(self) -> int:
        """How many combinations one cell has."""
        return self.strides[sum(axis.is_score for axis in self.axes)]

    def whole(self, cells: int) -> int:
        """All combinations of the cells."""
        return cells * ((1 << self.cell_width) - 1)

    def described(self, bit: int, scores_only: bool) -> str:
        """One combination in words, such as `r=1 f=5` or `r=1, country null`."""
        scores, others = [], []
        for axis, outer, stride in zip(self.axes, self.strides, self.strides[1:], strict=False):
            k = bit % outer // stride
            if axis.is_score:
                scores.append(f"{axis.name}={axis.labels[k]}")
            else:
                others.append(f"{axis.name} {axis.labels[k]}")
        return ", ".join([" ".join(scores)] * bool(scores) + ([] if scores_only and scores else others))


def _repeated(block: int, stride: int, times: int) -> int:
    """The block side by side, by doubling."""
    result, width, done = 0, 0, 0
    piece, piece_times = block, 1
    while times:
        if times & 1:
            result |= piece << width
            done += piece_times
            width = done * stride
        times >>= 1
        if times:
            piece |= piece << (piece_times * stride)
            piece_times *= 2
    return result


def first_bits(bits: int, most: int) -> Iterator[int]:
    """Positions of the lowest set bits."""
    while bits and most:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
        most -= 1


def all_of(truths: Sequence[Truth], everything: int) -> Truth:
    """`and` over conditions."""
    true, false = everything, 0
    for more_true, more_false in truths:
        true &= more_true
        false |= more_false
    return true, false


def any_of(truths: Sequence[Truth], everything: int) -> Truth:
    """`or` over conditions."""
    true, false = all_of([(f, t) for t, f in truths], everything)
    return false, true

"""What rules compare with literals, and the few values that stand for all of its values.

Below, at, between and above the literals, and null where it can be null: no comparison with these literals can tell
any other value from one of them.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from sqlglot import exp

from rfm_spark.config.expressions import DIALECT, name_of, unwrapped
from rfm_spark.config.known import is_numeric
from rfm_spark.config.lint import evaluate
from rfm_spark.config.lint.cube import Axis
from rfm_spark.config.lint.evaluate import Unsupported

Number = int | Fraction
# What a metric can never be below, or above.
LEAST: Mapping[str, int] = {
    "recency_days": 1, "contact_recency_days": 1, "tenure_days": 1, "frequency": 0, "contacts": 0, "engagements": 0,
    "duration_seconds": 0, "mean_gap_days": 0, "momentum": -1,
}  # fmt: skip
MOST: Mapping[str, int] = {"momentum": 1}
_WHOLE = ("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long", "date")


@dataclass
class Term:
    """A column or calculation, its Spark type where it is known, and the literals it is compared with."""

    text: str
    type: str
    nullable: bool
    literals: list[exp.Expr] = field(default_factory=list)
    cuts: tuple[float | int, ...] = ()
    ordered: bool = False

    @cached_property
    def kind(self) -> str:
        """number, date, string, boolean, or mixed where literals of several kinds do not fit together.

        Asked for once all literals are known.
        """
        if is_numeric(self.type):
            return "number"
        if self.type in ("date", "boolean", "string"):
            return self.type
        kinds = {_kind(literal) for literal in self.literals}
        return kinds.pop() if len(kinds) == 1 else "boolean" if not kinds else "mixed"

    @property
    def least(self) -> int | None:
        """What it can never be below."""
        return 0 if self.text.startswith("orders_q") else LEAST.get(self.text)

    def stands_alone(self, value: int) -> bool:
        """Whether a value is represented by itself only."""
        return value == self.least or value in self.values()

    def values(self) -> list[Any]:
        """The values of its literals.

        Raises: Unsupported where one is not of its kind.
        """
        kind = self.kind
        return [literal_value(literal, kind) for literal in self.literals]

    def is_readable(self) -> bool:
        """Whether all its literals are of its kind."""
        try:
            values = self.values()
        except Unsupported:
            return False
        return self.kind != "mixed" and (self.kind != "boolean" or all(isinstance(v, bool) for v in values))

    def axis(self) -> Axis:
        """The values that stand for all."""
        literals = self.values()
        if self.kind == "boolean":
            return few(self.text, (True, False), ("true", "false"), self.nullable)
        if self.kind == "string":
            return _texts(self, sorted(set(literals)))
        numbers = sorted({*literals, *(Fraction(cut) for cut in self.cuts)})
        whole = self.type.split("(")[0] in _WHOLE or self.kind == "date"
        values = _representatives(numbers, whole, self.least, MOST.get(self.text))
        return few(self.text, values, tuple(_label(value, numbers, self.kind) for value in values), self.nullable)


def text_of(node: exp.Expr) -> str:
    """The text that makes two expressions the same."""
    if isinstance(node, exp.Column) and len(node.parts) == 1:
        return name_of(node)
    return node.sql(dialect=DIALECT, comments=False)


def is_literal(node: exp.Expr) -> bool:
    """A constant: a number, a text, true or false, a date."""
    node = unwrapped(node)
    if isinstance(node, exp.Cast):
        return isinstance(node.this, exp.Literal) and node.is_type("date")
    if isinstance(node, exp.Neg):
        return is_literal(node.this)
    return isinstance(node, exp.Literal | exp.Boolean)


def few(name: str, values: tuple[Any, ...], labels: tuple[str, ...], nullable: bool) -> Axis:
    """An axis of these values, and null where it can be."""
    return Axis(name, (*values, None), (*labels, "null")) if nullable else Axis(name, values, labels)


def literal_value(node: exp.Expr, kind: str = "") -> Any:
    """The value of a constant where the other side is of this kind.

    Raises: Unsupported where it does not fit.
    """
    node = unwrapped(node)
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Neg):
        return -literal_value(node.this, kind)
    text = node.this.name if isinstance(node, exp.Cast) else node.name
    if kind == "date":
        try:
            return date.fromisoformat(text).toordinal()
        except ValueError:
            raise Unsupported(text) from None
    is_number = isinstance(node, exp.Literal) and not node.is_string
    return evaluate.number(text) if kind == "number" or (kind != "string" and is_number) else text


def _kind(node: exp.Expr) -> str:
    node = unwrapped(node)
    if isinstance(node, exp.Cast):
        return "date"
    if isinstance(node, exp.Boolean):
        return "boolean"
    return "string" if isinstance(node, exp.Literal) and node.is_string else "number"


def _texts(term: Term, literals: list[str]) -> Axis:
    # the next text in order; where only = and <> ask, one other text stands for all
    between = [f"{text}\x00" for text in (literals if term.ordered else literals[-1:])]
    values = sorted({*([""] if term.ordered else []), *literals, *between})
    named = set(literals)
    labels = [f"= '{value}'" if value in named else "another value" for value in values]
    return few(term.text, tuple(values), tuple(labels), term.nullable)


def _representatives(numbers: list[Any], whole: bool, least: int | None, most: int | None) -> tuple[Number, ...]:
    """One value for each way of lying below, at, between or above the numbers; the least one always by itself."""
    limits = [limit for limit in (least, most) if limit is not None]
    known = sorted({*numbers, *limits})
    candidates: list[Number] = [*known]
    for n in known:
        candidates += [math.floor(n) - 1, math.floor(n), math.ceil(n), math.ceil(n) + 1]
    if not whole:
        candidates += [Fraction(a + b) / 2 for a, b in pairwise(known)]
    chosen: dict[tuple[int, ...], Number] = {}
    for value in sorted(candidates or [0]):
        fits = (least is None or value >= least) and (most is None or value <= most)
        if fits and not (whole and value != int(value)):
            position = (bisect_left(numbers, value), bisect_right(numbers, value), int(value == least))
            chosen.setdefault(position, value)
    return tuple(chosen.values())


def _label(value: Number, numbers: list[Any], kind: str) -> str:
    def shown(x: Any) -> str:
        return str(date.fromordinal(int(x))) if kind == "date" else f"{float(x):g}"

    below = [n for n in numbers if n < value]
    above = [n for n in numbers if n > value]
    if value in numbers:
        return f"= {shown(value)}"
    if below and above:
        return f"between {shown(below[-1])} and {shown(above[0])}"
    return f"> {shown(below[-1])}" if below else f"< {shown(above[0])}" if above else "not null"

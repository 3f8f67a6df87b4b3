"""What the definitions say of values that belong together, so that the linter asks for no customer who cannot exist.

A score follows from its metric; a calculation is null where its inputs are; metrics of orders are null together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from rfm_spark.config.lint.terms import Term, is_literal, literal_value, text_of
from rfm_spark.config.scoring import Criterion

Env = Mapping[str, Any]
Link = tuple[set[str], Callable[[Env], bool]]

# Null exactly where one of their inputs is.
_STRICT = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.Like, exp.ILike, exp.RegexpLike,
    exp.StartsWith, exp.EndsWith, exp.Contains, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Paren, exp.Not, exp.Abs,
    exp.Round, exp.Floor, exp.Ceil, exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Concat, exp.DPipe,
    exp.Year, exp.Month, exp.Day, exp.TsOrDsToDate, exp.DateDiff,
)  # fmt: skip
_DIVISIONS = (exp.Div, exp.IntDiv, exp.Mod)
_NULL_TOGETHER = (
    ("recency_days", "tenure_days", "first_order_date", "last_order_date"),
    ("contact_recency_days", "last_contact_date"),
)
_NULL_WITHOUT_ORDERS = ("average_order_value", "mean_gap_days")
_NULL_ONLY_WITHOUT_ORDERS = ("average_order_value", *_NULL_TOGETHER[0])


def links(terms: Mapping[str, Term], trees: Mapping[str, exp.Expr], nullable: Callable[[exp.Expr], bool]) -> list[Link]:
    """The axes that belong together, and whether given values of them fit.

    `terms` are the axes of columns and calculations, `trees` the expression of every axis that is null where the
    expression is, `nullable` tells whether an expression ever is.
    """
    found = [_of_nulls(name, tree, terms, nullable) for name, tree in trees.items() if not isinstance(tree, exp.Column)]
    for group in _NULL_TOGETHER:
        present = [name for name in group if name in terms]
        found += [_both_or_neither(present[0], other) for other in present[1:]]
    if "frequency" in terms:
        found += [_with_orders(name) for name in _NULL_WITHOUT_ORDERS + _NULL_TOGETHER[0] if name in terms]
    return [link for link in found if len(link[0]) > 1]


def _both_or_neither(first: str, second: str) -> Link:
    return {first, second}, lambda env: (env[first] is None) == (env[second] is None)


def _with_orders(name: str) -> Link:
    def fits(env: Env) -> bool:
        none = env["frequency"] == 0
        if env[name] is None:
            return none or name not in _NULL_ONLY_WITHOUT_ORDERS
        return not (none and name in _NULL_WITHOUT_ORDERS)

    return {"frequency", name}, fits


def _of_nulls(name: str, tree: exp.Expr, terms: Mapping[str, Term], nullable: Callable[[exp.Expr], bool]) -> Link:
    columns = {text_of(c) for c in tree.find_all(exp.Column)} & set(terms)

    def fits(env: Env) -> bool:
        is_null = _is_null(tree, terms, env, nullable)
        return is_null is None or (env[name] is None) == is_null

    return {name, *columns}, fits


def _is_null(node: exp.Expr, terms: Mapping[str, Term], env: Env, nullable: Callable[[exp.Expr], bool]) -> bool | None:
    """Whether an expression is null for values of columns; None where that is not known."""
    if isinstance(node, exp.Column) and text_of(node) in terms:
        return env[text_of(node)] is None
    if isinstance(node, exp.Null) or not nullable(node):
        return isinstance(node, exp.Null)
    inputs = [part for part in node.iter_expressions() if not isinstance(part, exp.Var | exp.DataType | exp.Identifier)]
    answers = [_is_null(part, terms, env, nullable) for part in inputs]
    if isinstance(node, exp.Coalesce):
        return False if False in answers else None if None in answers else True
    if isinstance(node, _DIVISIONS):
        answers.append(_is_zero(node.right, terms, env))
    elif not isinstance(node, _STRICT):
        return None
    return True if True in answers else None if None in answers else False


def _is_zero(node: exp.Expr, terms: Mapping[str, Term], env: Env) -> bool | None:
    if is_literal(node):
        return bool(literal_value(node) == 0)
    term = terms.get(text_of(node))
    if term is None or term.kind != "number" or not term.stands_alone(0):
        return None
    return bool(env[text_of(node)] == 0)


@dataclass(frozen=True)
class ScoreLink:
    """How a criterion's score follows from the value of its metric."""

    name: str
    criterion: Criterion
    term: Term
    bins: int

    def fits(self, env: Env) -> bool:
        """Whether the score can be that of the value."""
        value, score = env[self.term.text], env[self.name]
        high = self.criterion.better == "high"
        if value is None:
            return bool(score == 1)
        if self.term.cuts:
            below = sum(cut < value for cut in self.term.cuts)
            return bool(score == (1 + below if high else self.bins - below))
        if value == self.term.least:  # no cut lies below it
            return bool(score == (1 if high else self.bins))
        return True

"""What the definitions say of values that belong together, so that the linter asks for no customer who cannot exist.

A score follows from its metric; a calculation is null where its inputs are; metrics of orders are null together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from rfm_spark.config.lint.conditions import Conditions
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
# Null exactly where all of their inputs are.
_FIRST_KNOWN = (exp.Coalesce, exp.Greatest, exp.Least)
_NULL_TOGETHER = (
    ("recency_days", "tenure_days", "first_order_date", "last_order_date"),
    ("contact_recency_days", "last_contact_date"),
)
_NULL_WITHOUT_ORDERS = ("average_order_value", "mean_gap_days")
_NULL_ONLY_WITHOUT_ORDERS = ("average_order_value", *_NULL_TOGETHER[0])


def links(conditions: Conditions) -> list[Link]:
    """The axes that belong together, or what one by itself never is, and whether given values of them fit."""
    terms = conditions.terms
    found = [
        _of_nulls(name, tree, conditions) for name, tree in conditions.trees.items() if not isinstance(tree, exp.Column)
    ]
    for group in _NULL_TOGETHER:
        present = [name for name in group if name in terms]
        found += [_both_or_neither(present[0], other) for other in present[1:]]
    if "frequency" in terms:
        found += [_with_orders(name) for name in _NULL_WITHOUT_ORDERS + _NULL_TOGETHER[0] if name in terms]
    return found


def _both_or_neither(first: str, second: str) -> Link:
    return {first, second}, lambda env: (env[first] is None) == (env[second] is None)


def _with_orders(name: str) -> Link:
    def fits(env: Env) -> bool:
        none = env["frequency"] == 0
        if env[name] is None:
            return none or name not in _NULL_ONLY_WITHOUT_ORDERS
        return not (none and name in _NULL_WITHOUT_ORDERS)

    return {"frequency", name}, fits


def _of_nulls(name: str, tree: exp.Expr, conditions: Conditions) -> Link:
    columns = {text_of(c) for c in tree.find_all(exp.Column)} & set(conditions.terms)

    def fits(env: Env) -> bool:
        is_null = _is_null(tree, conditions, env)
        return is_null is None or (env[name] is None) == is_null

    return {name, *columns}, fits


def _is_null(node: exp.Expr, conditions: Conditions, env: Env) -> bool | None:
    """Whether an expression is null for values of columns; None where that is not known."""
    if isinstance(node, exp.Column) and text_of(node) in conditions.terms:
        return env[text_of(node)] is None
    if isinstance(node, exp.Null) or not conditions.nullable(node):
        return isinstance(node, exp.Null)
    answers = [_is_null(part, conditions, env) for part in _inputs(node)]
    if isinstance(node, _FIRST_KNOWN):
        return False if False in answers else None if None in answers else True
    if isinstance(node, exp.Case | exp.If):  # which branch it takes is not known
        return answers[0] if len(set(answers)) == 1 else None
    if isinstance(node, _DIVISIONS):
        answers.append(_is_zero(node.right, conditions.terms, env))
    elif not isinstance(node, _STRICT) and not conditions.is_safe_cast(node):
        return None
    return True if True in answers else None if None in answers else False


def _inputs(node: exp.Expr) -> list[exp.Expr]:
    """What an expression is null by: its parts, or the results of its branches."""
    if isinstance(node, exp.Case | exp.If):
        branches = node.args["ifs"] if isinstance(node, exp.Case) else [node]
        last = node.args.get("default") or node.args.get("false") or exp.Null()
        return [*(branch.args["true"] for branch in branches), last]
    return [part for part in node.iter_expressions() if not isinstance(part, exp.Var | exp.DataType | exp.Identifier)]


def _is_zero(node: exp.Expr, terms: Mapping[str, Term], env: Env) -> bool | None:
    if is_literal(node):
        value = literal_value(node)
        return None if isinstance(value, str) else bool(value == 0)
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

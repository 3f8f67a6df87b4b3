"""The conditions of a segmentation's rules over its score cube.

Expressions over scores alone are exact. Anything else that is compared with literals, be it a metric, an attribute or
a calculation, becomes an axis of values that stand for all of its values. What is left is a condition by itself, true
or false or null: the same text, the same condition.
"""

from collections.abc import Mapping, Sequence

from sqlglot import exp

from rfm_spark.config.expressions import name_of, unwrapped
from rfm_spark.config.known import is_numeric
from rfm_spark.config.lint import evaluate
from rfm_spark.config.lint.cube import Axis, Space, Truth, all_of, any_of
from rfm_spark.config.lint.evaluate import Unsupported
from rfm_spark.config.lint.terms import Term, few, is_literal, literal_value, text_of
from rfm_spark.schemas import Column

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_ORDERED = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_FLIPPED: Mapping[type, type] = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE}
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs)
_NEVER_NULL = (
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Paren,
    exp.Neg,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.In,
    exp.Between,
    exp.Is,
    *_COMPARISONS,
)


_KNOWN_OF_ALL = {"has_events"}  # null in snapshots of older versions alone
_WIDE = (exp.DType.BIGINT, exp.DType.FLOAT, exp.DType.DOUBLE)  # types that every number here fits
_WHOLE = (exp.DType.INT, exp.DType.SMALLINT, exp.DType.TINYINT)  # a cast to them wraps or stops; try_cast gives null


class Conditions:
    """What the rules of a segmentation depend on, and where each is true; `trees` has the expression of each axis.

    `bins` are the scores by criterion; `metrics` and `attributes` what is known of other columns. With `coarse`, what
    depends on more than scores is a condition by itself.
    """

    def __init__(
        self,
        rules: Sequence[exp.Expr],
        bins: Mapping[str, int],
        metrics: Mapping[str, Column],
        attributes: Mapping[str, str],
        coarse: bool = False,
    ) -> None:
        self.bins, self.metrics, self.attributes, self.coarse = bins, metrics, attributes, coarse
        self.scores: set[str] = set()
        self.terms: dict[str, Term] = {}
        self.orders: dict[str, bool] = {}
        self.free: dict[str, bool] = {}
        self.trees: dict[str, exp.Expr] = {}
        leaves = [leaf for rule in rules for leaf in _leaves(rule)]
        for leaf in leaves:
            self._collect(leaf)
        self.terms = {text: term for text, term in self.terms.items() if term.is_readable()}
        for leaf in leaves:
            kind, name = self._kind(leaf)
            if kind == "free":
                self.free[name] = self.nullable(leaf)
            if kind != "scores":
                compared = _compared(leaf)
                self.trees[name] = compared[0] if kind == "term" and compared else leaf

    def _collect(self, leaf: exp.Expr) -> None:
        if self._over_scores(leaf) is not None:
            self.scores |= _names(leaf)
            return
        compared = _compared(leaf)
        if self.coarse:
            return
        if compared is not None and text_of(compared[0]) not in self.bins:
            subject, literals = compared
            term = self.terms.setdefault(text_of(subject), self._term(subject))
            term.literals += literals
            term.ordered |= isinstance(leaf, _ORDERED)
        elif compared is None and isinstance(leaf, _COMPARISONS):
            self.orders[_order(leaf)[0]] = self.nullable(leaf)

    def _term(self, subject: exp.Expr) -> Term:
        type_ = self._type(subject) if isinstance(subject, exp.Column) else ""
        return Term(text_of(subject), type_.lower(), self.nullable(subject))

    def _type(self, column: exp.Column) -> str:
        name = text_of(column)
        return self.metrics[name].type if name in self.metrics else self.attributes.get(name, "")

    def nullable(self, node: exp.Expr) -> bool:
        """Whether an expression can be null."""
        if isinstance(node, exp.Coalesce):
            return all(self.nullable(part) for part in (node.this, *node.expressions))
        for part in node.walk():
            if isinstance(part, exp.Column):
                column = self.metrics.get(name_of(part))
                if name_of(part) not in {*self.bins, *_KNOWN_OF_ALL} and (column is None or column.nullable):
                    return True
            elif not isinstance(part, _NEVER_NULL):
                return True
        return False

    def is_safe_cast(self, node: exp.Expr) -> bool:
        """Whether it is a cast that is null for null alone: of anything to a text, of a number to another."""
        if not isinstance(node, exp.Cast):
            return False
        numbers = _WIDE if node.args.get("safe") else _WIDE + _WHOLE
        return node.to.is_type(*exp.DataType.TEXT_TYPES) or (node.to.is_type(*numbers) and self._is_number(node.this))

    def _is_number(self, node: exp.Expr) -> bool:
        node = unwrapped(node)
        if isinstance(node, exp.Column):
            return name_of(node) in self.bins or is_numeric(self._type(node))
        if isinstance(node, exp.Literal):
            return not node.is_string
        return isinstance(node, _ARITHMETIC) and all(map(self._is_number, node.iter_expressions()))

    def space(self) -> Space:
        """All combinations: scores first, in the order of the criteria."""
        scores = [
            Axis(name, values := tuple(range(1, bins + 1)), tuple(map(str, values)), is_score=True)
            for name, bins in self.bins.items()
            if name in self.scores
        ]
        terms = [term.axis() for term in self.terms.values()]
        orders = [few(name, (-1, 0, 1), ("less", "equal", "greater"), null) for name, null in self.orders.items()]
        free = [few(name, (True, False), ("true", "false"), null) for name, null in self.free.items()]
        return Space((*scores, *terms, *orders, *free))

    def truth(self, node: exp.Expr, space: Space) -> Truth:
        """Where a rule is true and where it is false."""
        node = unwrapped(node)
        if isinstance(node, exp.And | exp.Or):
            combined = all_of if isinstance(node, exp.And) else any_of
            return combined([self.truth(part, space) for part in node.flatten()], space.everything)
        if isinstance(node, exp.Not):
            true, false = self.truth(node.this, space)
            return false, true
        return self._leaf_truth(node, space)

    def _leaf_truth(self, leaf: exp.Expr, space: Space) -> Truth:
        function = self._over_scores(leaf)
        if function is not None:
            return space.where(_names(leaf), function)
        kind, name = self._kind(leaf)
        if kind == "term":
            by_term = self._over_term(leaf, self.terms[name])
            assert by_term is not None
            return space.where({name}, by_term)
        if kind == "order":
            comparison = _order(leaf)[1]
            return space.where({name}, lambda env: _holds(comparison, env[name]))
        return space.where({name}, lambda env: env[name])

    def _kind(self, leaf: exp.Expr) -> tuple[str, str]:
        """What a condition is: over scores, or which axis it depends on."""
        if self._over_scores(leaf) is not None:
            return "scores", ""
        compared = _compared(leaf)
        term = self.terms.get(text_of(compared[0])) if compared is not None else None
        if term is not None and self._over_term(leaf, term) is not None:
            return "term", term.text
        if compared is None and isinstance(leaf, _COMPARISONS) and _order(leaf)[0] in self.orders:
            return "order", _order(leaf)[0]
        return "free", text_of(leaf)

    @staticmethod
    def _over_term(leaf: exp.Expr, term: Term) -> evaluate.Function | None:
        """The condition as a function of the values of a term, where it is one."""
        kind = term.kind

        def variable(node: exp.Expr) -> str | None:
            return term.text if text_of(node) == term.text else None

        try:
            return evaluate.compiled(leaf, variable, lambda node: literal_value(node, kind))
        except Unsupported:
            return None

    def _over_scores(self, leaf: exp.Expr) -> evaluate.Function | None:
        """The condition as a function of scores, where it is one."""
        if not _names(leaf) <= set(self.bins):
            return None

        def variable(node: exp.Expr) -> str | None:
            return name_of(node) if isinstance(node, exp.Column) else None

        try:
            return evaluate.compiled(leaf, variable, literal_value)
        except Unsupported:
            return None


def _names(node: exp.Expr) -> set[str]:
    return {name_of(column) for column in node.find_all(exp.Column)}


def _leaves(node: exp.Expr) -> list[exp.Expr]:
    node = unwrapped(node)
    if isinstance(node, exp.And | exp.Or):
        return [leaf for part in node.flatten() for leaf in _leaves(part)]
    return _leaves(node.this) if isinstance(node, exp.Not) else [node]


def _compared(leaf: exp.Expr) -> tuple[exp.Expr, list[exp.Expr]] | None:
    """What a condition compares with literals, and these; None where both sides are something else."""
    if isinstance(leaf, _COMPARISONS):
        subject, other = unwrapped(leaf.left), unwrapped(leaf.right)
        if is_literal(subject) or isinstance(subject, exp.Null):
            subject, other = other, subject
        literals = [] if isinstance(other, exp.Null) else [other]
    elif isinstance(leaf, exp.Between):
        subject, literals = leaf.this, [leaf.args["low"], leaf.args["high"]]
    elif isinstance(leaf, exp.In):
        subject, literals = leaf.this, [option for option in leaf.expressions if not isinstance(option, exp.Null)]
    elif isinstance(leaf, exp.Is):
        other = leaf.args["expression"]
        subject, literals = leaf.this, [] if isinstance(other, exp.Null) else [other]
    else:
        return leaf, []
    subject = unwrapped(subject)
    return (subject, literals) if all(map(is_literal, literals)) and not is_literal(subject) else None


def _order(leaf: exp.Expr) -> tuple[str, type]:
    """A name for the order between two terms, the same whichever stands first, and which order the condition wants."""
    assert isinstance(leaf, exp.Binary)
    left, right = text_of(unwrapped(leaf.left)), text_of(unwrapped(leaf.right))
    kind: type = type(leaf)
    if left > right:
        left, right, kind = right, left, _FLIPPED.get(kind, kind)
    return f"{left} against {right}", kind


def _holds(kind: type, sign: int | None) -> bool | None:
    if sign is None:
        return None
    if kind in (exp.EQ, exp.NullSafeEQ):
        return sign == 0
    if kind in (exp.NEQ, exp.NullSafeNEQ):
        return sign != 0
    if kind in (exp.GT, exp.GTE):
        return sign > 0 or (sign == 0 and kind is exp.GTE)
    return sign < 0 or (sign == 0 and kind is exp.LTE)

"""SQL expressions as Python functions, with SQL's three-valued logic; None is null."""

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from sqlglot import exp

Env = Mapping[str, Any]
Function = Callable[[Env], Any]
Variable = Callable[[exp.Expr], str | None]
Literal = Callable[[exp.Expr], Any]


class Unsupported(ValueError):
    """Something of SQL that has no Python function here."""


def compiled(node: exp.Expr, variable: Variable, literal: Literal) -> Function:
    """A function from values of the variables to the value of the expression.

    `variable` names a node that is a variable, or gives None; `literal` gives the value of a constant. A text that is
    no number is null where a number is needed.
    Raises: Unsupported.
    """
    function = _Compiler(variable, literal).function(node)

    def value(env: Env) -> Any:
        try:
            return function(env)
        except Unsupported:
            return None

    return value


def number(text: str) -> int | Fraction:
    """A number exactly; Unsupported where it is none."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise Unsupported(text) from None
    return int(value) if value.denominator == 1 else value


class _Compiler:
    def __init__(self, variable: Variable, literal: Literal) -> None:
        self.variable = variable
        self.literal = literal

    def function(self, node: exp.Expr) -> Function:
        name = self.variable(node)
        if name is not None:
            return lambda env: env[name]
        if isinstance(node, exp.Paren):
            return self.function(node.this)
        if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.is_type("date"):
            return self._constant(node)
        handler = next((handler for kinds, handler in _HANDLERS if isinstance(node, kinds)), None)
        return handler(self, node) if handler else self._binary(node)

    def functions(self, nodes: list[exp.Expr]) -> list[Function]:
        return [self.function(node) for node in nodes]

    def _constant(self, node: exp.Expr) -> Function:
        value = self.literal(node)
        return lambda env: value

    def _binary(self, node: exp.Expr) -> Function:
        apply = _BINARY.get(type(node))
        if apply is None:
            raise Unsupported(type(node).__name__)
        assert isinstance(node, exp.Binary)
        left, right = self.function(node.left), self.function(node.right)
        return lambda env: apply(left(env), right(env))

    def _not(self, node: exp.Expr) -> Function:
        inner = self.function(node.this)
        return lambda env: negation(inner(env))

    def _negative(self, node: exp.Expr) -> Function:
        inner = self.function(node.this)
        return lambda env: None if (value := inner(env)) is None else -_numeric(value)

    def _is(self, node: exp.Expr) -> Function:
        inner = self.function(node.this)
        other = node.args["expression"]
        if isinstance(other, exp.Null):
            return lambda env: inner(env) is None
        if isinstance(other, exp.Boolean):
            wanted = bool(other.this)
            return lambda env: inner(env) is wanted
        raise Unsupported("is")

    def _in(self, node: exp.Expr) -> Function:
        if not isinstance(node, exp.In) or not node.expressions:
            raise Unsupported("in")
        inner, options = self.function(node.this), self.functions(node.expressions)
        constant = all(isinstance(option, exp.Literal) for option in node.expressions)
        known = {option({}) for option in options} if constant else set()

        def holds(env: Env) -> bool | None:
            value = inner(env)
            if value is not None and value in known:
                return True
            if known and len({type(value), *map(type, known)}) == 1:
                return False
            answers = [equal(value, option(env)) for option in options]
            return True if True in answers else None if None in answers else False

        return holds

    def _between(self, node: exp.Expr) -> Function:
        inner, low, high = self.functions([node.this, node.args["low"], node.args["high"]])
        return lambda env: both(at_least(inner(env), low(env)), at_least(high(env), inner(env)))

    def _case(self, node: exp.Expr) -> Function:
        base = node.args.get("this") if isinstance(node, exp.Case) else None
        branches = node.args["ifs"] if isinstance(node, exp.Case) else [node]
        tests = [exp.EQ(this=base.copy(), expression=b.this.copy()) if base else b.this for b in branches]
        pairs = list(zip(self.functions(tests), [self.function(b.args["true"]) for b in branches], strict=True))
        default = node.args.get("default") or node.args.get("false")
        last = self.function(default) if default is not None else lambda env: None

        def value(env: Env) -> Any:
            for test, result in pairs:
                if test(env) is True:
                    return result(env)
            return last(env)

        return value

    def _coalesce(self, node: exp.Expr) -> Function:
        parts = self.functions([node.this, *node.expressions])
        return lambda env: next((value for part in parts if (value := part(env)) is not None), None)

    def _extreme(self, node: exp.Expr) -> Function:
        parts = self.functions([node.this, *node.expressions])
        pick = max if isinstance(node, exp.Greatest) else min

        def value(env: Env) -> Any:
            values = [_numeric(v) for part in parts if (v := part(env)) is not None]
            return pick(values) if values else None

        return value

    def _abs(self, node: exp.Expr) -> Function:
        inner = self.function(node.this)
        return lambda env: None if (value := inner(env)) is None else abs(_numeric(value))

    def _concat(self, node: exp.Expr) -> Function:
        return self._joined(self.functions(node.expressions))

    def _pipe(self, node: exp.Expr) -> Function:
        return self._joined(self.functions([node.this, node.args["expression"]]))

    def _joined(self, parts: list[Function]) -> Function:
        def value(env: Env) -> str | None:
            values = [part(env) for part in parts]
            return None if None in values else "".join(_text(v) for v in values)

        return value

    def _cast(self, node: exp.Expr) -> Function:
        assert isinstance(node, exp.Cast)
        inner = self.function(node.this)
        if node.to.is_type(*exp.DataType.TEXT_TYPES):
            return lambda env: None if (value := inner(env)) is None else _text(value)
        if node.to.is_type("int", "bigint"):
            return lambda env: None if (value := inner(env)) is None else int(_numeric(value))
        raise Unsupported("cast")


_HANDLERS: tuple[tuple[Any, Callable[[_Compiler, Any], Function]], ...] = (
    ((exp.Literal, exp.Boolean, exp.Null), _Compiler._constant),
    (exp.Not, _Compiler._not),
    (exp.Neg, _Compiler._negative),
    (exp.Is, _Compiler._is),
    (exp.In, _Compiler._in),
    (exp.Between, _Compiler._between),
    ((exp.Case, exp.If), _Compiler._case),
    (exp.Coalesce, _Compiler._coalesce),
    ((exp.Greatest, exp.Least), _Compiler._extreme),
    (exp.Abs, _Compiler._abs),
    (exp.Concat, _Compiler._concat),
    (exp.DPipe, _Compiler._pipe),
    (exp.Cast, _Compiler._cast),
)


# --- SQL's operators -------------------------------------------------------------------------------------------------


def both(left: Any, right: Any) -> bool | None:
    """`and`."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: Any, right: Any) -> bool | None:
    """`or`."""
    return negation(both(negation(left), negation(right)))


def negation(value: Any) -> bool | None:
    """`not`."""
    return None if value is None else not value


def equal(left: Any, right: Any) -> bool | None:
    """`=`."""
    return _compare(operator.eq)(left, right)


def at_least(left: Any, right: Any) -> bool | None:
    """`>=`."""
    return _compare(operator.ge)(left, right)


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    def compare(left: Any, right: Any) -> bool | None:
        if left is None or right is None:
            return None
        if isinstance(left, str) != isinstance(right, str):
            left, right = _numeric(left), _numeric(right)
        return bool(test(left, right))

    return compare


def _arithmetic(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def result(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return None
        try:
            return apply(_numeric(left), _numeric(right))
        except ZeroDivisionError:
            return None

    return result


def _numeric(value: Any) -> int | Fraction:
    return number(value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if isinstance(value, Fraction):
        raise Unsupported("text of a fraction")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(left: Any, right: Any) -> int:
    quotient = Fraction(left) / Fraction(right)
    return int(quotient)


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    exp.And: both,
    exp.Or: either,
    exp.EQ: equal,
    exp.NEQ: _compare(operator.ne),
    exp.GT: _compare(operator.gt),
    exp.GTE: at_least,
    exp.LT: _compare(operator.lt),
    exp.LTE: _compare(operator.le),
    exp.NullSafeEQ: lambda a, b: a is b if a is None or b is None else equal(a, b),
    exp.NullSafeNEQ: lambda a, b: a is not b if a is None or b is None else negation(equal(a, b)),
    exp.Add: _arithmetic(operator.add),
    exp.Sub: _arithmetic(operator.sub),
    exp.Mul: _arithmetic(operator.mul),
    exp.Div: _arithmetic(lambda a, b: Fraction(a) / Fraction(b)),
    exp.IntDiv: _arithmetic(_whole),
    exp.Mod: _arithmetic(lambda a, b: a - b * _whole(a, b)),
}

"""Compare what was published with what the oracle expects, and say exactly which rows differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

LIMIT = 10


def differences(
    expected: Mapping[Hashable, Mapping], actual: Mapping[Hashable, Mapping], limit: int = LIMIT
) -> list[str]:
    """One line a row that is missing, not expected or different in an expected column; at most `limit`, then the total.

    Columns of `actual` that are not in `expected` are not judged.
    """
    lines = []
    for key in sorted(set(expected) | set(actual), key=repr):
        if key not in actual:
            lines.append(f"{key}: missing; expected {dict(expected[key])}")
        elif key not in expected:
            lines.append(f"{key}: not expected; found {dict(actual[key])}")
        else:
            wrong = [
                f"{name}: expected {shown(value)}, found {actual[key].get(name, '(no such column)')}"
                for name, value in expected[key].items()
                if not same(value, actual[key].get(name, "(no such column)"))
            ]
            lines += [f"{key}: {'; '.join(wrong)}"] if wrong else []
    return shortened(lines, limit)


def multiset_differences(expected: Counter, actual: Counter, limit: int = LIMIT) -> list[str]:
    """One line an element that occurs more or less often than expected; at most `limit`, then the total."""
    lines = [
        f"{element}: expected {expected[element]}x, found {actual[element]}x"
        for element in sorted(set(expected) | set(actual), key=repr)
        if expected[element] != actual[element]
    ]
    return shortened(lines, limit)


def same(expected: Any, actual: Any) -> bool:
    """Equal; a ratio as precisely as its column holds it (cents half up for a decimal, else twelve digits)."""
    if isinstance(expected, Fraction) and isinstance(actual, Decimal):
        step = Decimal(1).scaleb(actual.as_tuple().exponent)
        exact = Decimal(expected.numerator) / Decimal(expected.denominator)
        return exact.quantize(step, rounding=ROUND_HALF_UP) == actual
    if isinstance(expected, Fraction | Decimal) and isinstance(actual, float):
        return math.isclose(float(expected), actual, rel_tol=1e-12, abs_tol=1e-12)
    return expected == actual


def shown(value: Any) -> Any:
    """A fraction as a decimal number, all else as it is."""
    return float(value) if isinstance(value, Fraction) else value


def shortened(lines: list[str], limit: int) -> list[str]:
    """The first `limit` lines, and how many there were."""
    return lines if len(lines) <= limit else [*lines[:limit], f"… {len(lines)} differences in all"]

"""Maximum likelihood that says whether it has found one: bounded, from several starts, on the logarithms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from rfm_spark.steps.prediction.numeric import Array

LEAST, MOST_SHAPE, MOST_SCALE = 1e-5, 1e4, 1e6
_HESSIAN_STEP = 1e-4
_AT_BOUND = 1e-2  # of a logarithm
_FLAT = 2.3  # standard error of a logarithm: a tenth and ten times the estimate are both within reach
_STEEP = 1e-6  # gradient a customer, of a parameter that is not at its bound
_POLISH = 6

Climb = tuple[float, list[float]]  # a log-likelihood, and its gradient by each parameter
Descent = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class Fitted:
    """Parameters of the greatest likelihood, their standard errors, and what keeps them from being believed.

    `log_errors` are the standard errors of the logarithms, of which intervals are made; `standard_errors` those of the
    parameters by the delta method, nan where the likelihood is flat. `problems` is empty where all is identified.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]
    log_errors: tuple[float, ...]
    log_likelihood: float
    customers: float
    problems: tuple[str, ...] = field(default=())

    @property
    def identified(self) -> bool:
        """Whether the parameters mean something."""
        return not self.problems

    @property
    def parameters(self) -> Mapping[str, float]:
        """By the papers' names."""
        return dict(zip(self.names, self.values, strict=True))

    def interval(self, z: float = 1.959964) -> list[tuple[float, float]]:
        """Low and high of each parameter, of the logarithm's: so neither is below 0."""
        each = zip(self.values, self.log_errors, strict=True)
        return [(value * float(np.exp(-z * error)), value * float(np.exp(z * error))) for value, error in each]


def maximise(
    names: tuple[str, ...],
    shapes: tuple[str, ...],
    log_likelihood: Callable[[Sequence[float]], Climb],
    coarse: Callable[[Sequence[float]], Climb],
    starts: Sequence[Sequence[float]],
    customers: float,
) -> Fitted:
    """The parameters at which `log_likelihood` is greatest.

    Reads: `coarse`, a likelihood of fewer rows that tells the starts apart; `shapes`, the parameters without a unit.
    Rules: the logarithms are bounded (1e-5 to 1e4, to 1e6 in units of time or money). From each start on the coarse
        one, from the best on the whole; then Newton's steps. A problem is each parameter at a bound, a Hessian that
        is not positive or so flat that a parameter may be ten times as large, and a gradient that is not 0.
    """
    most = [np.log(MOST_SHAPE if name in shapes else MOST_SCALE) for name in names]
    low, high = np.full(len(names), np.log(LEAST)), np.array(most)

    def descent(of: Callable[[Sequence[float]], Climb]) -> Descent:
        def down(theta: Array) -> tuple[float, Array]:
            value, by = of(list(np.exp(theta)))
            return -value / customers, -np.array(by) * np.exp(theta) / customers

        return down

    part, whole = descent(coarse), descent(log_likelihood)
    tried = [_descend(part, np.log(start), low, high, 40, 1e-8) for start in starts]
    best = _descend(whole, min(tried, key=lambda theta: (part(theta)[0], *theta)), low, high, 300, 1e-13)
    best, hessian = _polished(whole, best, low, high)
    return _judged(names, best, hessian, whole, _bound(best, low, high), customers)


def _descend(of: Descent, theta: Array, low: Array, high: Array, steps: int, enough: float) -> Array:
    done = minimize(
        of,
        np.clip(theta, low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": steps, "ftol": enough, "gtol": 1e-9},
    )
    return np.asarray(done.x)


def _polished(of: Descent, theta: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Newton's steps for as long as they go down within the bounds; and the Hessian there."""
    hessian = _hessian(of, theta)
    for _ in range(_POLISH):
        if not _is_positive(hessian) or _bound(theta, low, high).any():
            break
        value, gradient = of(theta)
        step = np.linalg.solve(hessian, gradient)
        after = theta - step
        if np.abs(step).max() > 0.5 or (after < low).any() or (after > high).any() or of(after)[0] > value + 1e-14:
            break
        theta, hessian = after, _hessian(of, after)
        if np.abs(step).max() < 1e-7:
            break
    return theta, hessian


def _judged(
    names: tuple[str, ...], theta: Array, hessian: Array, of: Descent, at_bound: Array, customers: float
) -> Fitted:
    values = np.exp(theta)
    problems = [
        f"{name} ran to its bound ({value:.3g})"
        for name, value, bound in zip(names, values, at_bound, strict=True)
        if bound
    ]
    errors = np.full(len(theta), np.nan)
    if _is_positive(hessian):
        errors = np.sqrt(np.diag(np.linalg.inv(hessian * customers)))
    if not np.isfinite(errors).all():
        problems.append("the likelihood is flat: its Hessian is not positive")
    problems += [
        f"{name} may as well be ten times as large (standard error {error:.1f} of its logarithm)"
        for name, error in zip(names, errors, strict=True)
        if error > _FLAT
    ]
    value, gradient = of(theta)
    steep = np.abs(gradient[~at_bound]).max(initial=0.0)
    if not problems and steep > _STEEP:
        problems.append(f"the search did not converge (gradient {steep:.1e} a customer)")
    return Fitted(
        names=names,
        values=tuple(map(float, values)),
        standard_errors=tuple(map(float, values * errors)),
        log_errors=tuple(map(float, errors)),
        log_likelihood=-value * customers,
        customers=customers,
        problems=tuple(problems),
    )


def _bound(theta: Array, low: Array, high: Array) -> Array:
    return (theta < low + _AT_BOUND) | (theta > high - _AT_BOUND)


def _is_positive(hessian: Array) -> bool:
    if not np.isfinite(hessian).all():
        return False
    values = np.linalg.eigvalsh(hessian)
    return bool(values[0] > 1e-10 * max(values[-1], 1e-300))


def _hessian(of: Descent, theta: Array) -> Array:
    """From gradients a small step to either side of each logarithm."""
    steps = np.eye(len(theta)) * _HESSIAN_STEP
    rows = np.array([(of(theta + step)[1] - of(theta - step)[1]) / (2 * _HESSIAN_STEP) for step in steps])
    return (rows + rows.T) / 2

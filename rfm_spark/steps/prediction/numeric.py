"""Integrals and functions that stay exact where the closed forms overflow or divide by nothing."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

Array = NDArray[Any]
LARGEST_EXPONENT = 40.0  # what is beyond has less than 1e-17 of an integral


@lru_cache
def legendre(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights of an integral from 0 to 1."""
    at, weights = np.polynomial.legendre.leggauss(nodes)
    return (at + 1) / 2, weights / 2


def beta_nodes(a: float, b: float, nodes: int) -> tuple[Array, Array]:
    """Nodes and weights of an expectation over Beta(a, b): Gauss-Jacobi by Golub and Welsch (1969).

    Its recurrence divides by nothing and overflows nowhere, for any a, b above 0.
    """
    n = np.arange(1, nodes, dtype=float)
    jacobi_a, jacobi_b = b - 1, a - 1  # of (1 - z)^jacobi_a (1 + z)^jacobi_b on -1 to 1
    both = jacobi_a + jacobi_b
    diagonal = np.empty(nodes)
    diagonal[0] = (jacobi_b - jacobi_a) / (both + 2)
    diagonal[1:] = (jacobi_b - jacobi_a) * both / ((2 * n + both) * (2 * n + both + 2))
    beside = np.empty(nodes - 1)
    beside[0] = 4 * (1 + jacobi_a) * (1 + jacobi_b) / ((2 + both) ** 2 * (3 + both))
    m = n[1:]
    beside[1:] = (
        4 * m * (m + jacobi_a) * (m + jacobi_b) * (m + both)
        / ((2 * m + both) ** 2 * (2 * m + both + 1) * (2 * m + both - 1))
    )  # fmt: skip
    at, vectors = eigh_tridiagonal(diagonal, np.sqrt(beside))
    return np.clip((at + 1) / 2, 0.0, 1.0), vectors[0] ** 2


def gap(x: Array) -> Array:
    """(1 - exp(-x)) / x, and 1 where x is 0."""
    small = np.abs(x) < 1e-12
    safe = np.where(small, 1.0, x)
    return np.where(small, 1.0, -np.expm1(-safe) / safe)

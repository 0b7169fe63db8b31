"""Where a function on [0, 1] is read, and with which weights, to know its integral."""

import numpy as np
from jaxtyping import Float

Rule = tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]


def gauss(n: int) -> Rule:
    """Gauss-Legendre places, ascending, and weights: exact for polynomials up to degree 2n - 1. No place is used twice."""
    places, weights = np.polynomial.legendre.leggauss(n)
    return (places + 1) / 2, weights / 2


def fejer(n: int) -> Rule:
    """Fejer's second rule, ascending: exact up to degree n - 1, and the places of n are among those of 2n + 1.

    So a count can be doubled without reading anything anew. Where a function is not smooth, it is as good as Gauss-Legendre
    at the same count (Trefethen 2008, doi 10.1137/060659831, for its relative with end points).
    """
    angles = np.arange(n, 0, -1) * np.pi / (n + 1)
    odd = np.arange(1, n + 1, 2)
    weights = 4 / (n + 1) * np.sin(angles) * (np.sin(np.outer(angles, odd)) / odd).sum(axis=1)
    return (np.cos(angles) + 1) / 2, weights / 2

"""Quantiles of Student's t for many probabilities at once; scipy's import alone takes a quarter of a second.

The tail is the incomplete beta function by its continued fraction (Press et al., "Numerical Recipes", 3rd ed. 2007,
6.4), inverted by Newton's method for the logarithm of the tail over the logarithm of t.
"""

from __future__ import annotations

import math

import numpy as np

LEAST_TAIL = 1e-9
"""Smaller tails are taken for this."""
_STEPS = 60
_TERMS = 300
_CLOSE = 1e-13
_TINY = 1e-300


def t_quantiles(tail: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return what Student's t exceeds with a probability of `tail`, element by element.

    Args:
        tail: In 0 to 0.5.
        freedom: Degrees of freedom, 1 to 1e6; need not be whole.
    """
    wanted = np.log(np.maximum(tail, LEAST_TAIL))
    beta = np.array([math.lgamma(v / 2) + math.lgamma(0.5) - math.lgamma(v / 2 + 0.5) for v in freedom.tolist()])
    logarithm = np.zeros(len(wanted))
    for _ in range(_STEPS):
        found = _log_tail(np.exp(logarithm), freedom, beta=beta)
        density = logarithm - (freedom + 1) / 2 * np.log1p(np.exp(2 * logarithm) / freedom) - np.log(freedom) / 2 - beta
        step = (found - wanted) * np.exp(found - density)
        logarithm = np.clip(logarithm + step, -40, 25)
        if np.abs(step).max(initial=0) < 1e-12:
            break
    quantiles: np.ndarray = np.where(tail >= 0.5, 0.0, np.exp(logarithm))
    return quantiles


def _log_tail(t: np.ndarray, freedom: np.ndarray, *, beta: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability of more than t; `beta` is the logarithm of B(freedom / 2, 1 / 2)."""
    square = t**2 / freedom
    near = square * (1 + freedom / 2) > 1.5  # where the fraction converges quickly, else that of the complement
    first = np.where(near, freedom / 2, 0.5)
    second = np.where(near, 0.5, freedom / 2)
    x = np.where(near, 1, square) / (1 + square)
    powers = -freedom / 2 * np.log1p(square) + 0.5 * (np.log(square) - np.log1p(square))
    part = powers - beta - np.log(first) + np.log(_fraction(first, second, x=x))
    both = np.where(near, part, np.log1p(-np.minimum(np.exp(part), 1 - 1e-16)))
    tails: np.ndarray = both - math.log(2)
    return tails


def _fraction(a: np.ndarray, b: np.ndarray, *, x: np.ndarray) -> np.ndarray:
    """Return the continued fraction of the incomplete beta function by Lentz's method."""
    above = np.ones_like(x)
    below = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = below.copy()
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            below = 1 / _not_zero(1 + term * below)
            above = _not_zero(1 + term / above)
            change = below * above
            value *= change
        if np.abs(change - 1).max(initial=0) < _CLOSE:
            break
    return value


def _not_zero(value: np.ndarray) -> np.ndarray:
    return np.where(np.abs(value) < _TINY, _TINY, value)

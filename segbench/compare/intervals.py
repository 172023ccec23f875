"""Mean, standard deviation and Student's interval of a few numbers, such as the scores of several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95
NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Summary:
    """What is known of a mean.

    n: how many numbers. mean: None without any. sd: standard deviation (n - 1 in the denominator), None for n < 2.
    low, high: 95 % interval of the mean by Student's t, None for n < 2.
    """

    n: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def summarize(values: Sequence[float]) -> Summary:
    """Return the summary of finite numbers; the interval is mean -+ t(0.975, n - 1) * sd / sqrt(n)."""
    n = len(values)
    if not n:
        return Summary(0)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(0.5 + LEVEL / 2, n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


@lru_cache(maxsize=1024)
def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution, right to eight digits for the usual levels.

    With t = sqrt(v) tan(a) the density becomes cos(a)^(v-1), whose integral is taken by Gauss-Legendre quadrature and
    inverted by bisection; scipy would cost every `compare` more time than all of this.

    Args:
        probability: In 0.5 to 0.999.
        freedom: Degrees of freedom v, at least 1; need not be whole.
    """
    if not 0.5 <= probability <= 0.999 or not freedom >= 1:
        raise ValueError(f"t_quantile needs a probability in 0.5..0.999 and freedom >= 1: {probability}, {freedom}")
    half = 0.5 * math.sqrt(math.pi) * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
    wanted, low, high = 2 * (probability - 0.5) * half, 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        angles = middle * (_NODES + 1) / 2
        area = middle / 2 * float(_WEIGHTS @ np.cos(angles) ** (freedom - 1))
        low, high = (middle, high) if area < wanted else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)

"""Mean, spread and interval of a few scores, and Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segbench.compare.student import t_quantiles

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """What is known of a mean."""

    n: int
    """How many numbers."""
    mean: float | None = None
    """None without any."""
    sd: float | None = None
    """Standard deviation (n - 1 in the denominator), None for n < 2."""
    low: float | None = None
    """Lower end of the 95 % interval, None where the runs carry none."""
    high: float | None = None
    """Upper end."""


def summarize(values: Sequence[float]) -> Summary:
    """Return count, mean and standard deviation of finite numbers; the interval takes a whole comparison."""
    n = len(values)
    if not n:
        return Summary(0)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean)
    return Summary(n, mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)))


def score_interval(mean: float, half: float, *, share: bool) -> tuple[float, float]:
    """Return the 95 % interval of a score by Student's t, on a scale where it cannot leave its range.

    Args:
        mean: The score.
        half: Half the width of its interval where that has no bounds: Student's t times its standard error.
        share: Whether the score lies in 0..1 (the interval is symmetrical in its logit), else in 0 to infinity
            (symmetrical in its logarithm). A mean at an end of its range has a plain interval, cut there.
    """
    top = 1.0 if share else math.inf
    if not 0 < mean < top:
        return max(mean - half, 0.0), min(mean + half, top)
    if not share:
        return mean * math.exp(-half / mean), mean * math.exp(half / mean)
    middle = math.log(mean / (1 - mean))
    half = half / (mean * (1 - mean))
    return _expit(middle - half), _expit(middle + half)


def _expit(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))


@lru_cache(maxsize=4096)  # planning asks for the same ones again
def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution.

    Args:
        probability: In 0.5 to 1 - 1e-9; larger ones are taken for that.
        freedom: Degrees of freedom, at least 1; need not be whole.
    """
    if not 0.5 <= probability <= 1 or not freedom >= 1:
        raise ValueError(f"t_quantile needs a probability in 0.5..1 and freedom >= 1, got {probability}, {freedom}")
    return float(t_quantiles(np.array([1 - probability]), np.array([freedom]))[0])

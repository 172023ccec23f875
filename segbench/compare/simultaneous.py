"""Many settings against one, at 95 % for all of them together, also where that one was picked for its score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from segbench.compare.influence import Influence
from segbench.compare.intervals import LEVEL
from segbench.compare.seeds import Layout, SeedSpread, seed_spread
from segbench.compare.student import t_quantiles
from segbench.core.rng import generator

NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
DRAWS = 8000
"""Joint draws of all settings' chance."""
_CELLS = 1_000_000
"""Draws times settings at most: fewer draws for thousands of settings."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The chance in the means of G settings on one split."""

    means: np.ndarray
    """`[G]`, of the runs' scores."""
    seeds: SeedSpread
    """Of a run among those of its setting."""
    shares: np.ndarray
    """`[G]`, what part of a run's variance each mean has: one over its runs."""
    own_seeds: np.ndarray
    """`[G]`, variance that seeds add to each mean: the pooled one over its runs, but for odd groups their own."""
    covariance: np.ndarray
    """`[G, G]`, of the means, from the units."""
    cells: np.ndarray
    """`[G, G]`, the part of the finest cells of units alone, which the whole may not fall below."""
    unit_freedom: float
    """Degrees of freedom of the units' variance."""
    measured: np.ndarray
    """`[G]`, as `own_seeds`, on these images."""
    freedom: np.ndarray
    """`[G]`, degrees of freedom of `measured`."""

    @classmethod
    def of(cls, found: Influence, layout: Layout) -> Spread:
        """Return the spread of the groups of runs in `found`."""
        groups = layout.groups
        join = np.zeros((len(found.scores), len(groups)))
        for number, members in enumerate(groups):
            join[members, number] = 1 / len(members)
        covariance = cells = np.zeros((len(groups), len(groups)))
        for term in found.terms:
            values = term.values @ join
            cells = values.T @ values
            covariance = covariance + term.sign * cells
        seeds = seed_spread(found, layout)
        own = seeds.own * layout.shares
        measured = seeds.measured * layout.shares
        freedom = np.full(len(groups), float(max(seeds.freedom, 1)))
        for number in seeds.odd:
            own[number] = measured[number] = float(found.scores[groups[number]].var(ddof=1)) / len(groups[number])
            freedom[number] = len(groups[number]) - 1
        return cls(found.scores @ join, seeds, layout.shares, own, covariance, cells, found.freedom, measured, freedom)

    def variance(self, first: int, second: np.ndarray) -> np.ndarray:
        """Return the variance of the differences between a setting and others, `[len(second)]`."""
        variance: np.ndarray = self.unit_variance(first, second) + self.own_seeds[first] + self.own_seeds[second]
        return variance

    def unit_variance(self, first: int, second: np.ndarray) -> np.ndarray:
        """Return the part of the units, never below the variance of independent cells: A + B - AB may be, by chance."""
        largest: np.ndarray = np.maximum(
            _between(self.covariance, first, second=second), _between(self.cells, first, second=second)
        )
        return largest

    def of_mean(self, number: int) -> tuple[float | None, float]:
        """Return standard error and degrees of freedom of a setting's mean; None where nothing tells it.

        The seeds are part of it where there are enough of them, else it is that of these trained networks.
        """
        total = max(float(self.covariance[number, number]), float(self.cells[number, number]))
        squares = total**2 / self.unit_freedom
        if self.seeds.enough:
            total += float(self.own_seeds[number])
            squares += float(self.measured[number]) ** 2 / float(self.freedom[number])
        if total <= 0:
            return None, 1.0
        return math.sqrt(total), min(max(total**2 / squares, 1.0), 1e6)

    def repeats(self, first: int, second: int) -> int:
        """Return how many repeats (of seeds, or draws of the data) a word on two settings rests on."""
        odd = [number for number in (first, second) if number in self.seeds.odd]
        return min([self.seeds.freedom, *(int(self.freedom[number]) for number in odd)])

    def degrees(self, first: int, second: np.ndarray) -> np.ndarray:
        """Return Satterthwaite's degrees of freedom of `variance`; those of crossed units are of the scarcest kind."""
        squares = self.unit_variance(first, second) ** 2 / self.unit_freedom + _seed_squares(self, first, second=second)
        total = self.variance(first, second)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(squares > 0, total**2 / squares, 1e6)
        return np.clip(found, 1.0, 1e6)


def _seed_squares(spread: Spread, first: int, *, second: np.ndarray) -> np.ndarray:
    if not spread.seeds.freedom:
        return np.zeros(len(second))
    pooled = np.isin(np.arange(len(spread.means)), spread.seeds.odd, invert=True)
    both = pooled[first] & pooled[second]
    one = spread.measured[first]
    others = spread.measured[second]
    apart = one**2 / spread.freedom[first] + others**2 / spread.freedom[second]
    squares: np.ndarray = np.where(both, (one + others) ** 2 / spread.seeds.freedom, apart)
    return squares


def _between(covariance: np.ndarray, first: int, *, second: np.ndarray) -> np.ndarray:
    between: np.ndarray = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    return between


@dataclass(frozen=True, eq=False)
class Choice:
    """How the control was picked by a score."""

    spread: Spread
    """The chance in the means that it was picked by; that of the reported means where they are the same."""
    settings: np.ndarray | None = None
    """The settings that it was picked from, by their places among the reported ones; all by default."""
    correlation: float = 1.0
    """Of the seeds' effects on both scores."""


@dataclass(frozen=True, eq=False)
class Simultaneous:
    """Every other setting less the control, with intervals that all hold together in 95 of 100 comparisons."""

    spread: Spread
    """The chance in the reported means."""
    control: int
    """The setting that the others are compared with."""
    value: np.ndarray
    """`[G]`; 0 for the control."""
    half: np.ndarray
    """`[G]`, half the width of the interval."""
    error: np.ndarray
    """`[G]`, standard error of the difference."""
    critical: np.ndarray
    """`[G]`, `half / error`."""
    quantile: float
    """Of the largest studentised difference at 95 %, before Student's t."""
    optimism: float
    """How much too good the control's mean looks on average where all settings are equal, for being picked so."""


def against_control(test: Spread, control: int, *, picked_by: Choice | None, sign: int = 1) -> Simultaneous:
    """Return all settings against the control.

    The critical value is the 95 % quantile of the largest studentised difference in joint draws of all settings'
    chance (units and seeds), in which the control is picked anew every time as it was picked: by the best mean of
    `picked_by`. So the luck of the picked one, whose seeds may be lucky on val and test alike, is allowed for. Its tail
    is that of Student's t with Satterthwaite's degrees of freedom for each pair.

    Args:
        test: The chance in the reported means.
        control: The setting to compare with.
        picked_by: How the control was picked, None where it was not picked by a score.
        sign: -1 where small scores are good.
    """
    others = np.arange(len(test.means))
    error = np.sqrt(test.variance(control, others))
    largest, optimism = _largest(test, control, picked_by=picked_by, sign=sign)
    tail = 0.5 * math.erfc(largest / math.sqrt(2))
    critical = t_quantiles(np.full(len(others), tail), test.degrees(control, others))
    value = test.means - test.means[control]
    half = critical * error
    half[control] = 0.0
    return Simultaneous(test, control, value, half, error, critical, largest, optimism)


def _largest(test: Spread, control: int, *, picked_by: Choice | None, sign: int) -> tuple[float, float]:
    """Return the quantile of the largest studentised difference, and the mean luck of the picked setting."""
    settings = len(test.means)
    if settings < 2:
        return NORMAL, 0.0
    draws = max(500, min(DRAWS, _CELLS // settings))
    draw = generator("compare: joint draws", settings, draws)
    seeds = draw.standard_normal((draws, settings))
    chance, root = _draw_units(test, draw, draws=draws)
    chance += seeds * np.sqrt(test.own_seeds)
    picked = np.full(draws, control)
    if picked_by is not None:
        picked = _pick(chance, seeds, test=test, picked_by=picked_by, draw=draw, sign=sign)
    size = np.diag(root) + test.own_seeds
    largest = np.empty(draws)
    for one in np.unique(picked):
        rows = picked == one
        spread = np.sqrt(np.maximum(size[one] + size - 2 * root[one], 0))
        spread[one] = np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.abs(chance[rows] - chance[rows, one][:, None]) / spread
        largest[rows] = np.nan_to_num(ratio, posinf=0.0).max(axis=1)
    luck = 0.0
    if picked_by is not None:
        luck = float(chance[np.arange(draws), picked].mean())
    return float(np.quantile(largest, LEVEL)), luck


def _pick(
    chance: np.ndarray,
    seeds: np.ndarray,
    *,
    test: Spread,
    picked_by: Choice,
    draw: np.random.Generator,
    sign: int,
) -> np.ndarray:
    """Return the setting that is picked in each draw."""
    spread = picked_by.spread
    if spread is test:
        ahead: np.ndarray = (sign * chance).argmax(axis=1)
        return ahead
    if picked_by.settings is None:
        settings = np.arange(len(test.means))
    else:
        settings = picked_by.settings
    other = draw.standard_normal((len(seeds), len(settings)))
    mixed = picked_by.correlation * seeds[:, settings] + math.sqrt(1 - picked_by.correlation**2) * other
    found = _draw_units(spread, draw, draws=len(seeds))[0] + mixed * np.sqrt(spread.own_seeds)
    picked: np.ndarray = settings[(sign * found).argmax(axis=1)]
    return picked


def _draw_units(spread: Spread, draw: np.random.Generator, *, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return draws of the units' chance `[draws, G]` and its covariance, made one where A + B - AB is none."""
    values, vectors = np.linalg.eigh(spread.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = draw.standard_normal((draws, len(values)))
    return normal @ root.T, root @ root.T

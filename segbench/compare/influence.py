"""How much each unit moves each run's score: the jackknife over units, from which all variances follow.

One factor: delete one unit at a time (the cluster jackknife, which holds its level with few and unequal clusters:
MacKinnon, Nielsen and Webb, "Fast and reliable jackknife and bootstrap methods for cluster-robust inference", 2023).
Crossed factors A and B: variance A + B - AB (Cameron, Gelbach and Miller, "Robust inference with multiway clustering",
2011). Within a recording: overlapping blocks in time (Kuensch, "The jackknife and the bootstrap for general stationary
observations", 1989), as long as Andrews (1991) finds best for the measured autocorrelation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from segbench.compare.units import Design, Factor, Scope

Score = Callable[[np.ndarray], np.ndarray]
"""Maps counts summed over images `[..., K]` to scores `[...]`, NaN where there is nothing to score."""

MAX_BLOCK_SHARE = 3
"""A block is at most the n-th part of its recording."""


@dataclass(frozen=True, eq=False)
class Term:
    """One part of the variance: that of a factor, or of the cells of several."""

    sign: int
    """1 where its variance is added, -1 where it is taken off."""
    values: np.ndarray
    """What each unit adds to each run's deviation, `[L, M]`: its squares sum to the variance of the M scores."""
    freedom: float
    """Degrees of freedom of that variance."""


@dataclass(frozen=True, eq=False)
class Influence:
    """The scores of M runs on one split, and what its units do to them."""

    scores: np.ndarray
    """`[M]`, on all images."""
    terms: tuple[Term, ...]
    """The last is that of the finest cells; empty where the tables are unknown."""
    block: int = 0
    """Images in a block in time, 0 where there are none."""

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the units' variance: of the scarcest kind, as crossed ones lean on it most."""
        return min((term.freedom for term in self.terms), default=1.0)


class Jackknife:
    """Scores runs, and measures what each unit of a split does to the scores; runs may come a few at a time.

    Args:
        score: From summed counts to the score.
        design: The units of the images.
    """

    def __init__(self, score: Score, design: Design) -> None:
        self.score = score
        self.design = design
        self._cells = [] if design.scope is not Scope.UNITS else _crossings(design.factors)

    def deviations(self, counts: np.ndarray) -> list[np.ndarray]:
        """Return the scores `[M]` and, for each term, the deviations `[L, M]` of M runs.

        Args:
            counts: `[N, M, K]`, what N images (in the order of time) add to the runs' sums.
        """
        total = counts.sum(axis=0)
        if not self._cells:
            return [self.score(total), _deleted(counts, total, score=self.score)]
        sums = [_sum_by(counts, cells) for _, cells in self._cells]
        return [self.score(total), *(_deleted(one, total, score=self.score) for one in sums)]

    def join(self, found: Sequence[list[np.ndarray]]) -> Influence:
        """Return the influence on all runs, of what `deviations` found for some at a time."""
        scores = np.concatenate([parts[0] for parts in found])
        values = [np.concatenate(parts, axis=1) for parts in zip(*(one[1:] for one in found), strict=True)]
        if self.design.scope is Scope.WITHIN:
            block, term = _blocks(values[0], self.design)
            return Influence(scores, (term,), block)
        if not self._cells:
            return Influence(scores, (Term(1, values[0], self.design.images - 1.0),))
        terms = [
            Term(sign, value, _freedom(np.bincount(cells)))
            for (sign, cells), value in zip(self._cells, values, strict=True)
        ]
        return Influence(scores, tuple(terms))


def influence(counts: np.ndarray, score: Score, *, design: Design) -> Influence:
    """Return the influence on M runs whose counts `[N, M, K]` are at hand at once."""
    found = Jackknife(score, design)
    return found.join([found.deviations(counts)])


def _crossings(factors: Sequence[Factor]) -> list[tuple[int, np.ndarray]]:
    """Return sign and cell of each image for every choice of factors, the finest last."""
    found = []
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            found.append(((-1) ** (size + 1), _joint([factor.levels for factor in chosen])))
    return found


def _joint(levels: Sequence[np.ndarray]) -> np.ndarray:
    """Return a number for each combination of levels that occurs: int `[N]`."""
    return np.unique(np.stack(levels), axis=1, return_inverse=True)[1].ravel()


def _sum_by(counts: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the sums `[L, M, K]` of each cell's images."""
    order = np.argsort(cells, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells))[:-1]])
    return np.add.reduceat(counts[order], starts, axis=0)


def _deleted(sums: np.ndarray, total: np.ndarray, *, score: Score) -> np.ndarray:
    """Return the scaled deviations of the scores without each unit, `[L, M]`."""
    without = score(total - sums)
    unknown = np.isnan(without)
    known = np.where(unknown, 0.0, without)
    mean = known.sum(axis=0) / np.maximum((~unknown).sum(axis=0), 1)
    deviation = np.where(unknown, 0.0, known - mean)
    count = len(sums)
    scaled: np.ndarray = deviation * math.sqrt((count - 1) / count)
    return scaled


def _freedom(sizes: np.ndarray) -> float:
    """Return degrees of freedom of unequal units, units - 1 where they are equal.

    A unit's part of the variance grows as its size squared (Carter, Schnepel and Steigerwald, "Asymptotic behavior of
    a t-test robust to cluster heterogeneity", 2017).
    """
    squares = sizes.astype(float) ** 2
    return max(float(squares.sum() ** 2 / (squares**2).sum()) - 1, 1.0)


def _blocks(deviation: np.ndarray, design: Design) -> tuple[int, Term]:
    """Return the length of the blocks and their sums: overlapping, cut at the ends, inside each unit."""
    cells = _joint([factor.levels for factor in design.few])
    pieces = [deviation[cells == cell] for cell in range(cells.max() + 1)]
    length = max(1, min(_block_length(pieces), min(len(piece) for piece in pieces) // MAX_BLOCK_SHARE))
    sums = []
    for piece in pieces:
        centred = piece - piece.mean(axis=0)
        steps = np.cumsum(np.pad(centred, ((length, length), (0, 0))), axis=0)
        sums.append((steps[length:] - steps[:-length]) / math.sqrt(length))
    freedom = max(sum(len(piece) for piece in pieces) / length - len(pieces), 1.0)
    return length, Term(1, np.concatenate(sums), freedom)


def _block_length(pieces: list[np.ndarray]) -> int:
    """Return Andrews' length for a first-order autoregression, of what the runs do not have in common."""
    before = np.concatenate([piece[:-1] - piece.mean(axis=0) for piece in pieces])
    after = np.concatenate([piece[1:] - piece.mean(axis=0) for piece in pieces])
    if before.shape[1] > 1:
        before = before - before.mean(axis=1, keepdims=True)
        after = after - after.mean(axis=1, keepdims=True)
    scale = float((before**2).sum())
    rho = 0.0
    if scale > 0:
        rho = min(max(float((before * after).sum()) / scale, 0.0), 0.97)
    images = sum(len(piece) for piece in pieces)
    return math.ceil(1.1447 * math.cbrt(4 * rho**2 / (1 - rho**2) ** 2 * images))

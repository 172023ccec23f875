"""How far runs of the same settings lie apart: the variance of seeds, pooled over the groups of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from segbench.compare.influence import Influence
from segbench.core.rng import generator

MIN_FREEDOM = 4
"""Degrees of freedom of seeds that a word needs: 2 seeds in 4 groups, or 3 in 2."""

ODD = 0.01
"""A group whose spread is this unlikely among the others' keeps its own."""

_DRAWS = 4000


@dataclass(frozen=True, eq=False)
class Layout:
    """Which runs belong to which group."""

    groups: tuple[np.ndarray, ...]
    """The runs of each group, by their places among all runs."""
    paired: bool = False
    """Whether the k-th runs of all groups form a block: they share their other settings and seed, or their data."""
    overlap: float = 0.0
    """Test over training images where blocks are draws of the same data: their training sets overlap, so that the mean
    over blocks varies more than its 1 / blocks (Nadeau and Bengio, "Inference for the generalization error", 2003)."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the runs' spread."""
        if self.paired:
            return (len(self.groups) - 1) * (len(self.groups[0]) - 1)
        return sum(len(members) - 1 for members in self.groups)

    def subset(self, groups: np.ndarray) -> tuple[Layout, np.ndarray]:
        """Return the layout of some of the groups alone, and their runs in its order."""
        kept = [self.groups[number] for number in groups]
        ends = np.cumsum([0, *map(len, kept)])
        places = tuple(np.arange(first, last) for first, last in pairwise(ends))
        runs = np.concatenate(kept) if kept else np.arange(0)
        return Layout(places, self.paired and len(kept) > 1, self.overlap), runs

    @property
    def shares(self) -> np.ndarray:
        """`[G]`, what part of a run's variance its group's mean has."""
        return np.array([1 / len(members) + self.overlap for members in self.groups])


@dataclass(frozen=True)
class SeedSpread:
    """The variance of runs that differ in their seed alone."""

    measured: float
    """Of a run's score, on these images; 0 without repeated seeds."""
    own: float
    """The part of it that other images would keep: what chance on these images explains is taken off."""
    freedom: int
    """Degrees of freedom: runs less groups."""
    odd: tuple[int, ...]
    """Groups whose runs lie so far apart that they are left out of it."""

    @property
    def enough(self) -> bool:
        """Whether it carries a word."""
        return self.freedom >= MIN_FREEDOM


def seed_spread(found: Influence, layout: Layout) -> SeedSpread:
    """Return the pooled spread of the groups of runs in `found`."""
    odd = () if layout.paired else odd_groups(found.scores, layout.groups)
    kept = [members for number, members in enumerate(layout.groups) if number not in odd]
    if layout.paired:
        freedom = layout.freedom
    else:
        freedom = sum(len(members) - 1 for members in kept)
    if not freedom:
        return SeedSpread(0.0, 0.0, 0, odd)
    squares = _interaction_squares if layout.paired else _within_squares
    measured = squares(found.scores[None], kept) / freedom
    by_images = sum(term.sign * squares(term.values, kept) / freedom for term in found.terms)
    return SeedSpread(measured, max(measured - max(by_images, 0.0), 0.0), freedom, odd)


def _within_squares(values: np.ndarray, groups: Sequence[np.ndarray]) -> float:
    """Return the sum of squared deviations of `values` `[L, M]` from the mean of their group."""
    return sum(_squares(values[:, members].T) for members in groups if len(members) > 1)


def _interaction_squares(values: np.ndarray, groups: Sequence[np.ndarray]) -> float:
    """Return the sum of squares that neither group nor block explains."""
    table = values[:, np.stack(groups)]
    rows = table.mean(axis=2, keepdims=True)
    columns = table.mean(axis=1, keepdims=True)
    return float(((table - rows - columns + table.mean(axis=(1, 2), keepdims=True)) ** 2).sum())


def _squares(values: np.ndarray) -> float:
    """Return the sum of squared deviations from the mean over the first axis."""
    return float(((values - values.mean(axis=0)) ** 2).sum())


@lru_cache(maxsize=64)  # val and test have the same
def _largest_shares(freedom: tuple[int, ...]) -> np.ndarray:
    """Return draws of the largest variance's share where all are equal, divided by its degrees of freedom."""
    draws = generator("compare: spread", *freedom).chisquare(freedom, (_DRAWS, len(freedom)))
    largest: np.ndarray = (draws / np.array(freedom) / draws.sum(axis=1, keepdims=True)).max(axis=1)
    return largest


def odd_groups(scores: np.ndarray, groups: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Return the groups whose variance is larger than chance allows beside the others', largest first.

    Cochran's test ("The distribution of the largest of a set of estimated variances", 1941), its null drawn, repeated
    without the group that was found.
    """
    left = [number for number, members in enumerate(groups) if len(members) > 1]
    found: list[int] = []
    while len(left) > 2:
        freedom = np.array([len(groups[number]) - 1 for number in left])
        squares = np.array([_squares(scores[groups[number]]) for number in left])
        if squares.sum() <= 0:
            break
        share = squares / freedom / squares.sum()
        null = _largest_shares(tuple(freedom.tolist()))
        if (null >= share.max()).mean() >= ODD:
            break
        found.append(left.pop(int(share.argmax())))
    return tuple(found)

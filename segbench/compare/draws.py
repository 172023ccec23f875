"""Scores of settings on several draws of the data; the pictures of folds are pooled as those of one experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.files import Unusable
from segbench.compare.images import paint_most_frequent, read_tables, scorer
from segbench.compare.pairs import Blocks
from segbench.compare.runs import Run
from segbench.compare.settings import draw_of


@dataclass(frozen=True)
class Pooled:
    """What the pictures of all folds score as those of one experiment."""

    scores: np.ndarray
    """What each fold adds to the score of each group, `[G * D]`."""
    images: int
    """How many pictures there are."""
    trivial: float | None
    """The score of painting the most frequent class of all pictures everywhere, None of depth."""


def draw_scores(members: Sequence[Sequence[Run]], blocks: Blocks, *, metric: str) -> np.ndarray:
    """Return the score of each group on each draw, `[G * D]`, the mean of its runs there."""
    scores = np.array([[run.metrics[metric] for run in runs] for runs in members])
    return _by_draw(scores, blocks)


def pooled_scores(members: Sequence[Sequence[Run]], blocks: Blocks, *, metric: str) -> Pooled | None:
    """Return what each fold adds to the score of all pictures out of all folds.

    Every picture is the test of one fold, so the counts of all folds together are one experiment on all pictures, whose
    score is the mean of what is returned: the folds' pseudo-values of the jackknife (Tukey, 1958), moved to that mean.

    Returns:
        None where runs are no complete folds, or have no tables of images.
    """
    found = np.empty((len(members), len(blocks.draws)))
    images = 0
    trivial = None
    try:
        for number, runs in enumerate(members):
            for places in _experiments(runs):
                values, images, trivial = _pseudo_values([runs[place] for place in places], metric)
                found[number, places] = values
    except Unusable:
        return None
    return Pooled(_by_draw(found, blocks), images, trivial)


def _by_draw(scores: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Return the means `[G * D]` of the columns of each draw."""
    draws = np.array(blocks.draws)
    return np.stack([scores[:, draws == draw].mean(axis=1) for draw in range(draws.max() + 1)], axis=1).ravel()


def _experiments(runs: Sequence[Run]) -> list[list[int]]:
    """Return the places of the runs that are all folds of the same data by the same settings and seed.

    Raises:
        Unusable: if a fold is missing, or runs are no folds.
    """
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, run in enumerate(runs):
        kept = tuple(item for item in run.settings.items() if item[0] not in ("data.fold", "name"))
        found.setdefault(kept, []).append(place)
    for places in found.values():
        folds = sorted(draw_of(runs[place].settings)[-1] for place in places)
        if folds != sorted(map(str, range(len(places)))) or runs[places[0]].settings.get("data.folds") != str(
            len(folds)
        ):
            raise Unusable("they are no complete folds")
    return list(found.values())


def _pseudo_values(folds: Sequence[Run], metric: str) -> tuple[np.ndarray, int, float | None]:
    score = scorer(metric, folds[0].classes)
    if score is None:
        raise Unusable(f"{metric} is not made of sums over images")
    tables = [table.counts for table in read_tables(folds, metric)]
    sums = np.stack([table.sum(axis=0) for table in tables])
    total = sums.sum(axis=0)
    without = score(total - sums)
    if not np.isfinite(without).all():
        raise Unusable("a fold holds all there is to score")
    values = score(total) + (len(folds) - 1) * (without.mean() - without)
    painted = paint_most_frequent(total)
    trivial = None
    if painted is not None:
        trivial = float(score(painted))
    return values, sum(map(len, tables)), trivial

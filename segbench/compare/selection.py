"""Settings are chosen on val and reported on test: what that costs, and what it leaves of a score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segbench.compare.influence import Influence
from segbench.compare.intervals import Summary
from segbench.compare.seeds import Layout
from segbench.compare.simultaneous import Choice, Simultaneous, Spread, against_control
from segbench.core.rng import generator


def chosen_setting(
    test: Influence,
    val: Influence,
    *,
    layout: Layout,
    eligible: np.ndarray | None = None,
    control: int | None = None,
    best: int | None = None,
    sign: int = 1,
) -> Simultaneous:
    """Return all settings on test against the one that is best on val, or against a given one.

    Args:
        test: Scores of the runs that are reported, and what its units do to them.
        val: The same of what is chosen by; `test` itself where they are the same.
        layout: The runs of each setting.
        eligible: The settings that `val` knows, all by default: only they can be chosen.
        control: A setting that was not picked by its score, such as a baseline.
        best: The one that was picked, where that is known; by default the best mean of `val`.
        sign: -1 where small scores are good.
    """
    reported = Spread.of(test, layout)
    if control is not None:
        return against_control(reported, control, picked_by=None)
    if val is test:
        if best is None:
            best = int((sign * reported.means).argmax())
        return against_control(reported, best, picked_by=Choice(reported), sign=sign)
    known = np.arange(len(layout.groups)) if eligible is None else eligible
    inside, runs = layout.subset(known)
    chosen = Spread.of(val, inside)
    scores = test.scores[runs]
    correlation = seed_correlation(val.scores, scores, groups=inside.groups, spreads=(chosen, reported))
    if best is None:
        best = int(known[(sign * chosen.means).argmax()])
    picked_by = Choice(chosen, known, correlation)
    return against_control(reported, best, picked_by=picked_by, sign=sign)


def seed_correlation(
    first: np.ndarray, second: np.ndarray, *, groups: Sequence[np.ndarray], spreads: tuple[Spread, Spread]
) -> float:
    """Return how far a lucky seed is lucky on both splits, 0 to 1; 1 where too few seeds tell.

    Args:
        first: `[M]`, scores of the runs on one split.
        second: `[M]`, on the other, whose images are others: chance on images adds nothing to the covariance.
        groups: The runs of each group.
        spreads: The spread of both.
    """
    one, other = (spread.seeds for spread in spreads)
    if not one.enough:
        return 1.0
    if one.own * other.own <= 0:
        return 0.0
    kept = [members for number, members in enumerate(groups) if number not in {*one.odd, *other.odd}]
    product = sum(float(((first[m] - first[m].mean()) * (second[m] - second[m].mean())).sum()) for m in kept)
    freedom = sum(len(members) - 1 for members in kept)
    if not freedom:
        return 1.0
    return min(max(product / freedom / math.sqrt(one.own * other.own), 0.0), 1.0)


def held_out_score(test: np.ndarray, val: np.ndarray, *, groups: Sequence[np.ndarray], sign: int = 1) -> float | None:
    """Return what the chosen setting may be expected to score with new seeds; None with one seed a setting.

    The mean of the chosen setting's runs is that of runs which won, partly by lucky seeds. So each run in turn is held
    out: the others choose a setting by val, and the held-out run of that setting is scored on test.

    Args:
        test: `[M]`, scores that are reported.
        val: `[M]`, scores that are chosen by.
        groups: The runs of each setting, those of the same seed at the same place.
        sign: -1 where small scores are good.
    """
    if min(len(members) for members in groups) < 2:
        return None
    found = []
    for place in range(min(len(members) for members in groups)):
        means = [sign * np.delete(val[members], place).mean() for members in groups]
        found.append(float(test[groups[int(np.argmax(means))][place]]))
    return math.fsum(found) / len(found)


def picked_luck(counts: Sequence[int], summaries: Sequence[Summary]) -> float:
    """Return how much too good the best of several equal means looks, from the spread of their runs; 0 if unknown.

    Args:
        counts: Runs of each setting.
        summaries: Of the scores of each.
    """
    known = [(one.n - 1, one.sd) for one in summaries if one.sd is not None]
    freedom = sum(count for count, _ in known)
    if not freedom:
        return 0.0
    sd = math.sqrt(sum(count * value**2 for count, value in known) / freedom)
    draws = generator("compare: best of equals", *counts).standard_normal((4000, len(counts)))
    return sd * float((draws / np.sqrt(counts)).max(axis=1).mean())

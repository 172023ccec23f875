"""What settings do to the score: every group with its settings, and the share of the variance that each explains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group
from segbench.compare.labels import shorten_apart
from segbench.core.rng import generator
from segbench.core.text import printable
from segbench.report.html.choice import group_label

LEAST_GROUPS = 6
"""Fewer groups of one data set say nothing of shares."""
RESAMPLES = 400
MAX_GROUPS = 400
"""Groups that are drawn, the best ones."""
MAX_LABEL = 16
"""Characters of a value in a plot."""


@dataclass(frozen=True)
class Share:
    """How much of the variance between groups one setting explains by itself."""

    name: str
    """The setting."""

    share: float
    """Share of the variance, 0..1."""

    low: float
    """Lower end of what resampled groups give."""

    high: float
    """Upper end likewise."""


def effects_data(comparison: Comparison) -> dict[str, object]:
    """Return the settings that differ, and a point for each group with a score: what the plots draw.

    A point has the text of every setting, score and interval; `short` has for each setting its long values with shorter
    texts; `shares` are by the letter of the data.
    """
    labels = comparison.data_labels
    groups = [group for group in comparison.groups if group.summary.mean is not None]
    shares = {
        labels[data]: [vars(share) | {"name": printable(share.name, 80)} for share in variance_shares(same)]
        for data in dict.fromkeys(group.data for group in groups)
        if (same := [group for group in groups if group.data == data])
    }
    texts = [[printable(value, 60) for value in group.settings.values()] for group in groups[:MAX_GROUPS]]
    points = [
        {
            "label": group_label(comparison, group),
            "data": labels[group.data],
            "best": group.best,
            "value": group.summary.mean,
            "low": group.summary.low,
            "high": group.summary.high,
            "at": at,
        }
        for group, at in zip(groups, texts, strict=False)
    ]
    return {
        "metric": printable(comparison.metric, 80),
        "settings": [printable(name, 80) for name in comparison.columns],
        "short": [_short_values(values) for values in zip(*texts, strict=True)],
        "points": points,
        "shares": shares,
    }


def _short_values(values: Iterable[str]) -> dict[str, str]:
    """Return the long ones among the values of a setting, each with a short text that tells it from the others."""
    known = list(dict.fromkeys(values))
    shown = shorten_apart(known, MAX_LABEL)
    return {value: short for value, short in zip(known, shown, strict=True) if short != value}


def variance_shares(groups: Sequence[Group]) -> list[Share]:
    """Return the share of every setting that differs, the largest first; none for fewer than LEAST_GROUPS groups.

    The share is epsilon squared of a one-way analysis of variance of the groups' scores (Kelley, 1935): the variance
    between the values of a setting less what as many random values would have, of all. Settings that were not varied
    independently share what they explain. The interval is the 2.5 and 97.5 percentile over resampled groups.
    """
    scores = np.array([group.summary.mean for group in groups], float)
    if len(groups) < LEAST_GROUPS or np.ptp(scores) == 0:
        return []
    draws = generator("compare: shares", len(groups)).integers(len(groups), size=(RESAMPLES, len(groups)))
    found = []
    for name in groups[0].settings:
        levels = np.unique([group.settings.get(name, "") for group in groups], return_inverse=True)[1]
        if levels.max() == 0 or levels.max() == len(groups) - 1:
            continue
        drawn = [epsilon_squared(scores[draw], levels[draw]) for draw in draws]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        found.append(Share(name, epsilon_squared(scores, levels), float(low), float(high)))
    return sorted(found, key=lambda share: -share.share)


def epsilon_squared(scores: np.ndarray, levels: np.ndarray) -> float:
    """Return the share in 0..1 of the variance of `scores` `[N]` that lies between `levels`, numbers from 0 `[N]`.

    NaN where the scores do not differ, or no level has two of them.
    """
    counts = np.bincount(levels)
    sums = np.bincount(levels, scores)
    used = counts > 0
    total = ((scores - scores.mean()) ** 2).sum()
    between = (sums[used] ** 2 / counts[used]).sum() - scores.sum() ** 2 / len(scores)
    rest = len(scores) - used.sum()
    if total <= 0 or rest < 1:
        return float("nan")
    noise = max(total - between, 0.0) / rest
    return float(np.clip((between - (used.sum() - 1) * noise) / total, 0.0, 1.0))

"""Settings over several data sets: ranks, wins and profiles, as one data set says nothing about others.

Mean ranks with Nemenyi's critical difference: Demsar, "Statistical comparisons of classifiers over multiple data sets",
2006. Ties within a region of practical equivalence: Benavoli et al., "Time for a change", 2017. Performance profiles:
Dolan and More, "Benchmarking optimization software with performance profiles", 2002, of differences instead of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segbench.compare.groups import Group, Measure
from segbench.core.errors import ConfigError

ROPE = 0.01
"""Scores that differ by less are practically equal."""
MARGINS = (0.0, 0.01, 0.02, 0.05)
"""Of the profiles: how far behind the best of a data set."""


@dataclass(frozen=True)
class Contender:
    """One choice of settings, on all data sets."""

    label: str
    """Its settings but for the data."""
    scores: tuple[float, ...]
    """Reported score on each data set."""
    chosen_rank: float
    """Mean rank by the score that is chosen by; 1 is best."""
    rank: float
    """Mean rank by the reported score."""
    record: tuple[int, int, int]
    """Data sets on which it wins, ties and loses against the chosen one."""
    profile: tuple[float, ...]
    """Share of the data sets on which it is at most MARGINS behind the best."""


@dataclass(frozen=True)
class Across:
    """Settings compared over data sets."""

    data: tuple[str, ...]
    """The data sets."""
    contenders: list[Contender]
    """Best first by the mean rank that is chosen by."""
    left_out: tuple[str, ...]
    """Settings that were not run on all data sets."""
    critical: float
    """Mean ranks that differ by less may differ by chance."""
    sentences: list[str]
    """What it comes to."""


def compare_across(groups: Sequence[Group], measure: Measure, *, over: str) -> Across:
    """Return the comparison of groups over the values of a setting such as `data`; raises ConfigError."""
    found: dict[str, dict[str, Group]] = {}
    for group in groups:
        if group.summary.mean is not None and group.chosen.mean is not None:
            name = group.settings.get(over) or group.runs[0].settings.get(over, "")
            found.setdefault(_label(group, over), {}).setdefault(name, group)
    data = tuple(dict.fromkeys(name for ones in found.values() for name in ones))
    complete = {label: ones for label, ones in found.items() if len(ones) == len(data)}
    if len(data) < 2 or len(complete) < 2:
        raise ConfigError(
            f"--over {over}: it takes two settings that were run on each of two or more values of {over}; there are"
            f" {len(complete)} on all of {len(data)} ({', '.join(data)})"
        )
    contenders = _contenders(complete, data, measure=measure)
    critical = critical_difference(len(complete), len(data))
    left_out = tuple(label for label in found if label not in complete)
    return Across(
        data, contenders, left_out, critical, _sentences(contenders, data, critical=critical, left_out=left_out)
    )


def _label(group: Group, over: str) -> str:
    words = [
        f"{name}={value}"
        for name, value in group.settings.items()
        if value and name != over and not name.startswith(f"{over}.")
    ]
    return " ".join(words) or "all others equal"


def _contenders(
    complete: Mapping[str, Mapping[str, Group]], data: Sequence[str], *, measure: Measure
) -> list[Contender]:
    labels = list(complete)
    groups = [[complete[label][name] for name in data] for label in labels]
    reported = np.array([[group.summary.mean for group in row] for row in groups], float)
    chosen = np.array([[group.chosen.mean for group in row] for row in groups], float)
    ranks, chosen_ranks = (mean_ranks(measure.sign * table) for table in (reported, chosen))
    first = int(chosen_ranks.argmin())
    ahead = measure.sign * (reported - reported[first])
    behind = (measure.sign * reported).max(axis=0) - measure.sign * reported
    contenders = [
        Contender(
            label=label,
            scores=tuple(reported[row].tolist()),
            chosen_rank=float(chosen_ranks[row]),
            rank=float(ranks[row]),
            record=(
                int((ahead[row] > ROPE).sum()),
                int((np.abs(ahead[row]) <= ROPE).sum()),
                int((ahead[row] < -ROPE).sum()),
            ),
            profile=tuple(float((behind[row] <= margin + 1e-9).mean()) for margin in MARGINS),
        )
        for row, label in enumerate(labels)
    ]
    return sorted(contenders, key=lambda one: one.chosen_rank)


def mean_ranks(scores: np.ndarray) -> np.ndarray:
    """Return the mean rank of each row over the columns, 1 for the largest; ties share their ranks."""
    larger = (scores[:, None] < scores[None]).sum(axis=1)
    equal = (scores[:, None] == scores[None]).sum(axis=1)
    ranks: np.ndarray = (larger + (equal + 1) / 2).mean(axis=1)
    return ranks


def critical_difference(settings: int, data: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 95 %."""
    return range_quantile(settings) / math.sqrt(2) * math.sqrt(settings * (settings + 1) / (6 * data))


@lru_cache(maxsize=256)
def range_quantile(count: int) -> float:
    """Return the 95 % quantile of the range of `count` standard normal numbers."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    at = 9 * nodes
    density = 9 * weights * np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    low = 0.0
    high = 10.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = np.array([_normal(one + middle) - _normal(one) for one in at])
        if count * float(density @ inside ** (count - 1)) < 0.95:
            low = middle
        else:
            high = middle
    return high


def _normal(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))


def _sentences(
    contenders: Sequence[Contender], data: Sequence[str], *, critical: float, left_out: Sequence[str]
) -> list[str]:
    first = contenders[0]
    equal = [one.label for one in contenders if one.rank - first.rank < critical]
    texts = [
        f"over {len(data)} data sets, {first.label} has the best mean rank by val, and {first.rank:.2f} by test",
        f"{len(equal)} of {len(contenders)} settings may be the best: {', '.join(equal[:10])} (mean ranks that differ"
        f" by less than {critical:.2f} may do so by chance)",
    ]
    if critical >= len(contenders) - 1:
        texts.append(f"{len(data)} data sets are too few: no difference of mean ranks could have been seen")
    if left_out:
        texts.append(f"left out, as not run on all data sets: {', '.join(left_out[:10])}")
    return texts


def across_table(across: Across) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells as text."""
    heads = [
        "settings",
        *across.data,
        "mean rank by val",
        "mean rank",
        "wins / ties / losses",
        *(f"within {margin:g}" for margin in MARGINS),
    ]
    rows = [
        [
            one.label,
            *(f"{score:.4f}" for score in one.scores),
            f"{one.chosen_rank:.2f}",
            f"{one.rank:.2f}",
            " / ".join(map(str, one.record)),
            *(f"{share:.0%}" for share in one.profile),
        ]
        for one in across.contenders
    ]
    return heads, rows

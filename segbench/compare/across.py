"""Settings over several data sets: ranks, wins and profiles, as one data set says nothing about others.

Mean ranks with a critical difference: Demsar, "Statistical comparisons of classifiers over multiple data sets", 2006.
His is Nemenyi's, for many data sets; this one is drawn, as the same holds for few: two settings on four data sets have
the same winner by chance in one of eight comparisons, which Nemenyi's calls a difference at 5 %.
Ties within a region of practical equivalence: Benavoli et al., "Time for a change", 2017. Performance profiles: Dolan
and More, "Benchmarking optimization software with performance profiles", 2002, of differences instead of ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.groups import Group, Measure
from segbench.core.errors import ConfigError
from segbench.core.rng import generator
from segbench.core.text import and_more

ROPE = 0.01
"""Scores that differ by less are practically equal."""
MARGINS = (0.0, 0.01, 0.02, 0.05)
"""Of the profiles: how far behind the best of a data set."""
_DRAWS = 20_000
_AT_ONCE = 2_000_000
"""Random ranks in memory at the same time."""


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
    critical: float | None
    """Mean ranks that differ by less may differ by chance; None where the data sets are too few to tell any apart."""
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


def critical_difference(settings: int, data: int) -> float | None:
    """Return the least difference of mean ranks that equal settings have in at most 5 % of comparisons.

    Between any two of them, so that all differences hold together; None where even the largest difference is more
    frequent than that.
    """
    draw = generator("compare: ranks", settings, data)
    ranges: list[np.ndarray] = []
    for first in range(0, _DRAWS, most := max(1, _AT_ONCE // (settings * data))):
        ranks = draw.random((min(most, _DRAWS - first), data, settings)).argsort(axis=2)
        sums = ranks.sum(axis=1)
        ranges.append(sums.max(axis=1) - sums.min(axis=1))
    found, counts = np.unique(np.concatenate(ranges), return_counts=True)
    rare = counts[::-1].cumsum()[::-1] <= 0.05 * _DRAWS
    return float(found[rare][0]) / data if rare.any() else None


def _sentences(
    contenders: Sequence[Contender], data: Sequence[str], *, critical: float | None, left_out: Sequence[str]
) -> list[str]:
    first = contenders[0]
    texts = [
        f"over {len(data)} data sets, {first.label} has the best mean rank by val ({first.chosen_rank:.2f}), and"
        f" {first.rank:.2f} by test"
    ]
    if critical is None:
        texts.append(
            f"{len(data)} data sets are too few to say which of {len(contenders)} settings may be the best: no"
            " difference of mean ranks could have been seen"
        )
    else:
        equal = [one.label for one in contenders if one is first or one.rank - first.rank < critical - 1e-9]
        verb = "is the best" if len(equal) == 1 else "may be the best"
        more = and_more(len(equal), 10)
        texts.append(
            f"{len(equal)} of {len(contenders)} settings {verb}: {', '.join(equal[:10])}{more} (mean ranks that differ"
            f" by less than {critical:.2f} may do so by chance)"
        )
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

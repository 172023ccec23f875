"""Whether the difference between two groups is real, in a plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.bootstrap import REPLICATES, Difference, Scored, difference, score_resamples
from segbench.compare.files import Unusable
from segbench.compare.groups import Group, lower_is_better
from segbench.compare.images import read_counts, scorer

MAX_VERDICTS = 20
"""Pairs that are judged without a baseline: each reads the image tables of a group."""

BETTER, WORSE, OPEN, REFUSED = "better", "worse", "not distinguishable", "not comparable"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What can be said of one group against another.

    first, second: the groups. word: of the first: better, worse, not distinguishable, or not comparable. images: how
    many of the split. seeds: runs of the first and the second. difference: first minus second, None where not
    comparable. reason: why it is not comparable. sentence: all of it.
    """

    first: Group
    second: Group
    word: str
    images: int
    seeds: tuple[int, int]
    difference: Difference | None
    reason: str
    sentence: str


class Judge:
    """Compares groups by one metric, paired over images; every group's images are read and resampled once.

    Args:
        metric: Such as `test/mean_iou`.
        replicates: Number of resamples.
    """

    def __init__(self, metric: str, replicates: int = REPLICATES) -> None:
        self.metric, self.replicates = metric, replicates
        self._scored: dict[Group, tuple[np.ndarray, Scored] | Unusable] = {}

    def compare(self, first: Group, second: Group) -> Verdict:
        """Return the verdict on the first group against the second."""
        seeds = first.summary.n, second.summary.n
        try:
            images, found = self._difference(first, second)
        except Unusable as refusal:
            reason = str(refusal)
            sentence = f"{first.label} and {second.label} are not comparable: {reason}"
            return Verdict(first, second, REFUSED, 0, seeds, None, reason, sentence)
        sign = -1 if lower_is_better(self.metric) else 1
        low, high = sorted((sign * found.low, sign * found.high))
        word = BETTER if low > 0 else WORSE if high < 0 else OPEN
        sentence = _sentence(first, second, word, self.metric, found, images, seeds)
        return Verdict(first, second, word, images, seeds, found, "", sentence)

    def _difference(self, first: Group, second: Group) -> tuple[int, Difference]:
        split = self.metric.partition("/")[0]
        for group in (first, second):
            if group.summary.mean is None:
                raise Unusable(f"{group.label} has no {self.metric}")
            if group.data is None:
                raise Unusable(f"the runs of {group.label} have different {split} data, or do not say which")
        if first.data != second.data:
            prints = f"fingerprints {first.data} and {second.data}"
            raise Unusable(f"they were scored on different {split} data ({prints}), so neither number says more")
        if first.runs[0].classes != second.runs[0].classes:
            raise Unusable("they were scored on different classes, so means over classes are not the same number")
        (index, one), (other_index, other) = self._group(first), self._group(second)
        if not np.array_equal(index, other_index):
            both = len(np.intersect1d(index, other_index))
            raise Unusable(f"they were scored on different images: {len(index)} and {len(other_index)}, {both} in both")
        found = difference(one, other)
        if not np.isfinite([found.value, found.low, found.high]).all():
            raise Unusable(f"{self.metric} has no value on these images")
        return len(index), found

    def _group(self, group: Group) -> tuple[np.ndarray, Scored]:
        if group not in self._scored:
            try:
                self._scored[group] = self._read(group)
            except Unusable as refusal:
                self._scored[group] = refusal
        found = self._scored[group]
        if isinstance(found, Unusable):
            raise found
        return found

    def _read(self, group: Group) -> tuple[np.ndarray, Scored]:
        runs = [run for run in group.runs if self.metric in run.metrics]
        score = scorer(self.metric, runs[0].classes)
        if score is None:
            raise Unusable(f"{self.metric} is not made of sums over images, which the tables of images would give")
        if any(run.classes != runs[0].classes for run in runs):
            raise Unusable(f"the runs of {group.label} have different classes")
        tables = []
        for run in runs:
            try:
                tables.append(read_counts(run, self.metric))
            except Unusable as unusable:
                raise Unusable(f"{run.name}: {unusable}") from None
        if any(not np.array_equal(table.index, tables[0].index) for table in tables):
            raise Unusable(f"the runs of {group.label} were scored on different images")
        if len(tables[0].index) < 2:
            raise Unusable("one image says nothing about others")
        return tables[0].index, score_resamples([table.counts for table in tables], score, self.replicates)


def judge(groups: Sequence[Group], metric: str, baseline: Group | None = None) -> list[Verdict]:
    """Return each group against the baseline, or, without one, the best of each data set against the next best.

    Args:
        groups: As `group_runs` returns them.
        metric: Such as `test/mean_iou`.
        baseline: One of the groups.
    """
    judging = Judge(metric)
    if baseline is not None:
        return [judging.compare(group, baseline) for group in groups if group is not baseline]
    pairs = []
    for data in dict.fromkeys(group.data for group in groups):
        same = [group for group in groups if group.data == data and group.summary.mean is not None]
        pairs += [(same[0], other) for other in same[1 : 1 + MAX_VERDICTS]]
    return [judging.compare(best, other) for best, other in pairs]


def _sentence(
    first: Group, second: Group, word: str, metric: str, found: Difference, images: int, seeds: tuple[int, int]
) -> str:
    count = f"{seeds[0]} seeds each" if seeds[0] == seeds[1] else f"{seeds[0]} and {seeds[1]} seeds"
    if seeds == (1, 1):
        count = "1 seed each, so of these two trained networks only"
    size = f"{found.value:+.4f} {metric}, 95 % interval {found.low:+.4f} to {found.high:+.4f}"
    if word == OPEN:
        joined = f"{images} images and {count}"
        return f"{first.label} and {second.label} are not distinguishable with {joined}: {size}"
    return f"{first.label} is {word} than {second.label}: {size} ({images} images, {count})"

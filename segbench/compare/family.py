"""Groups that can be compared with each other, and what the tables of images say of all their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from segbench.compare.draws import draw_scores, pooled_scores
from segbench.compare.files import Unusable
from segbench.compare.groups import Group, Measure
from segbench.compare.images import ImageTable, read_tables, scorer
from segbench.compare.influence import Influence, Jackknife
from segbench.compare.pairs import Blocks, pair_runs
from segbench.compare.runs import Run
from segbench.compare.seeds import Layout
from segbench.compare.units import Design

MAX_JUDGED = 300
"""Groups of the same data that are judged, the best of val: each reads the tables of images of its runs."""


AT_ONCE = 8
"""Runs whose tables of images are in memory at the same time."""


@dataclass(frozen=True, eq=False)
class Family:
    """Groups that were scored on the same images of the same classes."""

    groups: list[Group]
    """G of them, in the order in which they were chosen."""
    layout: Layout
    """Which of the runs below belong to which."""
    reported: Influence
    """Of all runs, by the reported metric."""
    chosen: Influence
    """Of the runs of the eligible groups, by the metric that is chosen by; `reported` itself where the images are the
    same."""
    eligible: np.ndarray
    """Places of the groups that have a score to be chosen by: masks of another program may have none of val."""
    design: Design | None
    """The units of the reported split, None where there is no table of images."""
    blocks: Blocks | None = None
    """How runs are paired, None where seeds are repeats of the same settings."""
    refused: dict[Group, str] = field(default_factory=dict)
    """Groups of the same data that cannot be compared, and why."""
    pooled: int = 0
    """How many pictures of all folds together are scored as one experiment; 0 where they are not."""
    trivial: float | None = None
    """What painting the most frequent class everywhere scores on them."""


def read_family(groups: Sequence[Group], measure: Measure, *, by: Sequence[str] = ()) -> Family:
    """Return what is known of groups of the same data; those that do not fit the first that can be read are refused.

    Args:
        groups: Groups with a score, the one to compare with first.
        measure: What is reported and what is chosen by.
        by: The settings that groups differ in; their runs are paired where they differ in other settings as well.
    """
    refused: dict[Group, str] = {}
    usable = []
    for group in groups:
        reason = _unfit(group, groups[0], measure=measure)
        if reason:
            refused[group] = reason
        else:
            usable.append(group)
    try:
        members, blocks = pair_runs(usable, measure, by=by)
    except Unusable as reason:
        return _unread([], [], measure=measure, blocks=None, refused={**refused, **dict.fromkeys(groups, str(reason))})
    if blocks and blocks.draws:
        return _of_draws(usable, members, measure=measure, blocks=blocks, refused=refused)
    if not usable or scorer(measure.metric, usable[0].runs[0].classes) is None:
        return _unread(usable, members, measure=measure, blocks=blocks, refused=refused)
    reader = _Reader(measure.metric)
    kept = []
    for group, runs in zip(usable, members, strict=True):
        try:
            reader.read(runs)
            kept.append((group, runs))
        except Unusable as reason:
            refused[group] = str(reason)
    if not kept:
        return _unread(usable, members, measure=measure, blocks=blocks, refused=refused)
    groups_kept = [group for group, _ in kept]
    runs_kept = [runs for _, runs in kept]
    layout = _layout(runs_kept, paired=blocks is not None)
    reported = reader.join()
    eligible = _eligible(groups_kept, measure)
    chosen = reported
    if not _same(groups_kept, measure):
        chosen = _read_chosen([runs_kept[number] for number in eligible], measure)
    return Family(groups_kept, layout, reported, chosen, eligible, reader.design, blocks, refused)


def _eligible(groups: Sequence[Group], measure: Measure) -> np.ndarray:
    known = [number for number, group in enumerate(groups) if group.chosen.mean is not None]
    return np.array(known if known and not _same(groups, measure) else range(len(groups)), int)


def _same(groups: Sequence[Group], measure: Measure) -> bool:
    """Whether settings are chosen by the very scores that are reported, or by their images."""
    if measure.chosen_by == measure.metric or all(group.chosen.mean is None for group in groups):
        return True
    return bool(groups[0].flattered)


def _unfit(group: Group, first: Group, *, measure: Measure) -> str:
    """Return why a group cannot be compared with the first, "" where it may be."""
    if group.summary.mean is None:
        return f"{group.short_label} has no {measure.metric}"
    if group.apart:
        return group.apart
    if any(run.classes != group.runs[0].classes for run in group.runs):
        return f"the runs of {group.short_label} have different classes"
    if group.runs[0].classes != first.runs[0].classes:
        return "they were scored on different classes, so means over classes are not the same number"
    return ""


def _layout(runs: Sequence[Sequence[object]], *, paired: bool, overlap: float = 0.0) -> Layout:
    ends = np.cumsum([0, *map(len, runs)])
    groups = tuple(np.arange(first, last) for first, last in pairwise(ends))
    return Layout(groups, paired=paired and len(groups) > 1, overlap=overlap)


def _of_draws(
    groups: list[Group],
    members: list[list[Run]],
    *,
    measure: Measure,
    blocks: Blocks,
    refused: dict[Group, str],
) -> Family:
    """Return the family of groups on several draws of the data, each draw taken as one score of every group."""
    draws = max(blocks.draws) + 1
    overlap = 0.0
    if draws > 1:
        overlap = _overlap(members[0], measure.split, draws=draws)
    layout = _layout([range(draws)] * len(groups), paired=True, overlap=overlap)
    pooled = pooled_scores(members, blocks, metric=measure.metric)
    scores = draw_scores(members, blocks, metric=measure.metric)
    if pooled is not None:
        scores = pooled.scores
        words = f"over {draws} folds of {pooled.images} pictures pooled, {blocks.words.partition(', ')[2]}"
        blocks = replace(blocks, words=words)
    reported = Influence(scores, ())
    eligible = _eligible(groups, measure)
    chosen = reported
    if not _same(groups, measure):
        kept = [members[number] for number in eligible]
        chosen = Influence(draw_scores(kept, blocks, metric=measure.chosen_by), ())
    family = Family(groups, layout, reported, chosen, eligible, None, blocks, refused)
    if pooled is None:
        return family
    return replace(family, pooled=pooled.images, trivial=pooled.trivial)


def _overlap(runs: Sequence[Run], split: str, *, draws: int) -> float:
    """Return test over training images; as in cross-validation where a run does not say how many it had."""
    known = [run.images[split] / run.images["train"] for run in runs if run.images.get("train") and split in run.images]
    if known:
        return sum(known) / len(known)
    return 1 / (draws - 1)


def _unread(
    groups: list[Group],
    members: list[list[Run]],
    *,
    measure: Measure,
    blocks: Blocks | None,
    refused: dict[Group, str],
) -> Family:
    """Return the family as far as the scores of whole runs carry it."""
    layout = _layout(members, paired=blocks is not None)
    reported = Influence(_scores(members, measure.metric), ())
    eligible = _eligible(groups, measure)
    chosen = reported
    if groups and not _same(groups, measure):
        chosen = Influence(_scores([members[number] for number in eligible], measure.chosen_by), ())
    return Family(groups, layout, reported, chosen, eligible, None, blocks, refused)


def _scores(members: Sequence[Sequence[Run]], metric: str) -> np.ndarray:
    return np.array([run.metrics[metric] for runs in members for run in runs])


def _read_chosen(runs: Sequence[Sequence[Run]], measure: Measure) -> Influence:
    """Return the influence of the split that is chosen by; without its tables the luck of seeds alone is allowed for,
    which is the more cautious.
    """  # noqa: D205
    reader = _Reader(measure.chosen_by)
    try:
        for members in runs:
            reader.read(members)
    except Unusable:
        return Influence(_scores(runs, measure.chosen_by), ())
    return reader.join()


class _Reader:
    """Reads the tables of images of runs and keeps what their units do to the scores."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.design: Design | None = None
        self._index: np.ndarray | None = None
        self._jackknife: Jackknife | None = None
        self._found: list[list[np.ndarray]] = []

    def read(self, runs: Sequence[Run]) -> None:
        """Add the runs of a group, all or none; raises Unusable."""
        self._found += list(self._deviations(runs))

    def join(self) -> Influence:
        """Return the influence on all runs that were read, in their order."""
        assert self._jackknife is not None
        return self._jackknife.join(self._found)

    def _deviations(self, runs: Sequence[Run]) -> Iterator[list[np.ndarray]]:
        for first in range(0, len(runs), AT_ONCE):
            some = runs[first : first + AT_ONCE]
            tables = read_tables(some, self.metric, units=self._jackknife is None)
            fitting = [self._fitting(run, table) for run, table in zip(some, tables, strict=True)]
            yield fitting[0].deviations(np.stack([table.counts for table in tables], axis=1))

    def _fitting(self, run: Run, table: ImageTable) -> Jackknife:
        if self._jackknife is None or self._index is None:
            score = scorer(self.metric, run.classes)
            if score is None or len(table.index) < 2:
                raise Unusable("one image says nothing about others")
            self._index = table.index
            self.design = Design.of(len(table.index), table.units)
            self._jackknife = Jackknife(score, self.design)
        if not np.array_equal(self._index, table.index):
            both = len(np.intersect1d(self._index, table.index))
            sizes = f"{len(self._index)} and {len(table.index)}, {both} in both"
            raise Unusable(f"they were scored on different images: {sizes}")
        return self._jackknife

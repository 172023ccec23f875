"""What a reader of the numbers should know: runs that were left out, lost or changed, and scores that flatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segbench.compare.groups import Group, Measure, families, identify, setting
from segbench.compare.runs import Run
from segbench.compare.selection import picked_luck
from segbench.compare.settings import differing
from segbench.core.score_names import AT_INPUT, without_size
from segbench.core.states import RunState
from segbench.core.text import and_more

MOST = 5
"""Runs or settings that a note names."""


def notes_on(
    groups: Sequence[Group], others: Sequence[Run], *, measure: Measure, by: Sequence[str], asked: bool
) -> list[str]:
    """Return the sentences that a reader of the numbers should know.

    Args:
        groups: As they are shown.
        others: Runs without final numbers.
        measure: What is reported and what is chosen by.
        by: The settings that groups differ in, where `--by` named some.
        asked: Whether `--metric` named the metric.
    """
    notes = []
    if measure.chosen_by == measure.metric and measure.split == "test":
        notes.append(
            f"no run has a score of val: the best is named by {measure.metric} itself, which flatters it; the words"
            " allow for that"
        )
    elif asked and measure.split == "test":
        notes += [note for same in families(groups) if len(same) > 1 for note in _chosen_on_test(same, measure)]
    notes += _other_size(groups, measure)
    known = {group.data for group in groups if group.summary.n}
    if len(known) > 1 or None in known:
        count = len(known - {None})
        notes.append(
            f"numbers of different {measure.split} data stand side by side ({count} known by fingerprint): they are"
            " ranked and judged only within the same data"
        )
    repeats = sum(len(group.repeats) for group in groups)
    if repeats:
        notes.append(f"left out as repeats of the same settings and seed: {repeats}; the newest of each counts")
    if by:
        notes += _mixed(groups, by)
    notes += _lost(groups, others, by=by)
    skipped = [run for group in groups for run in group.runs if run.skipped_steps]
    if skipped:
        names = ", ".join(f"{run.name} ({run.skipped_steps})" for run in skipped[:5])
        notes.append(f"steps of training were skipped for a loss or gradient that is no number: {names}")
    forced = [run for group in groups for run in group.runs if run.forced]
    if forced:
        names = "; ".join(f"{run.name}: {', '.join(run.forced[:3])}" for run in forced[:5])
        more = and_more(len(forced), 5)
        notes.append(
            f"resumed by force as another experiment, so that their settings hold for a part of them: {names}{more}"
        )
    return notes


def _other_size(groups: Sequence[Group], measure: Measure) -> list[str]:
    """Say where runs have the score at another size only: of the network's input, or of the pictures."""
    plain = without_size(measure.metric)
    other = plain if plain != measure.metric else f"{plain}{AT_INPUT}"
    missing = [run for group in groups for run in group.runs if measure.metric not in run.metrics]
    count = sum(other in run.metrics for run in missing)
    if not count:
        return []
    words = "1 run has"
    if count != 1:
        words = f"{count} runs have"
    return [f"{words} no {measure.metric}, but {other}, which is another score; --metric {other} compares those"]


def _chosen_on_test(same: Sequence[Group], measure: Measure) -> list[str]:
    """Say what it would mean to choose by the test."""
    means = [measure.sign * group.summary.mean for group in same if group.summary.mean is not None]
    best = same[means.index(max(means))]
    luck = picked_luck([len(group.runs) for group in same], [group.summary for group in same])
    size = ""
    if luck:
        size = f", by {luck:.4f} on average for its seeds alone where settings are equal"
    return [
        f"settings are chosen by {measure.chosen_by}; choosing by {measure.metric} would name {best.label} and report"
        f" {best.summary.mean:.4f}",
        f"a score that was chosen by itself is flattered{size}",
    ]


def _mixed(groups: Sequence[Group], by: Sequence[str]) -> list[str]:
    """Say which settings differ that `--by` does not name: within groups, or between them and so mixed up."""
    within: dict[str, None] = {}
    between: dict[str, None] = {}
    for same in families(groups):
        for name in differing([run.settings for group in same for run in group.runs]):
            if name not in by:
                (within if _varies(same, name) else between)[name] = None
    notes = []
    if within:
        notes.append(f"groups join runs that differ in more than the seed: {', '.join(within)}")
    if between:
        names = ", ".join(between)
        notes.append(
            f"settings of {', '.join(by)} were run with other values of {names}: differences may be due to either"
        )
    return notes


def _varies(groups: Sequence[Group], name: str) -> bool:
    return any(len({run.settings.get(name) for run in group.runs}) > 1 for group in groups)


def _lost(groups: Sequence[Group], others: Sequence[Run], *, by: Sequence[str]) -> list[str]:
    """Count the runs that failed or were pruned, also those of settings that have no others."""
    some = [f"{group.label} ({_counted(group.lost)})" for group in groups if group.lost]
    notes = []
    if some:
        notes.append(f"runs without numbers are missing in the scores of {_first(some)}")
    known = {identify(group.runs[0], by) for group in groups}
    names = list(groups[0].settings) if groups else []
    silent: dict[str, dict[str, int]] = {}
    for run in others:
        if run.state in (RunState.FAILED, RunState.PRUNED) and identify(run, by) not in known:
            label = " ".join(f"{name}={setting(run, name)}" for name in names if setting(run, name)) or run.name
            counts = silent.setdefault(label, {})
            counts[run.state] = counts.get(run.state, 0) + 1
    if silent:
        some = [f"{label} ({_counted(counts)})" for label, counts in silent.items()]
        notes.append(f"settings without any numbers take no part: {_first(some)}")
    return notes


def _counted(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(lost.items()))


def _first(some: Sequence[str]) -> str:
    return f"{', '.join(some[:MOST])}{and_more(len(some), MOST)}"

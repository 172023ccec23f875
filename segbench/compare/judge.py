"""Judges groups: each against the one of its data that val chose, or against a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np

from segbench.compare.answer import Answer, give_answer
from segbench.compare.family import MAX_JUDGED, Family, read_family
from segbench.compare.groups import Group, Measure, families
from segbench.compare.images import is_share
from segbench.compare.influence import Influence
from segbench.compare.intervals import LEVEL, score_interval
from segbench.compare.seeds import Layout
from segbench.compare.selection import chosen_setting
from segbench.compare.simultaneous import Spread
from segbench.compare.student import t_quantiles
from segbench.compare.verdict import Judged, Verdict, elsewhere, refuse, verdict_on_pair


def judge(
    groups: Sequence[Group], measure: Measure, *, by: Sequence[str] = (), baseline: Group | None = None
) -> tuple[list[Verdict], list[Answer]]:
    """Return every group's verdict against the chosen one of its data, or against the baseline; gives groups intervals.

    Args:
        groups: As `group_runs` returns them.
        measure: What is reported and what is chosen by.
        by: The settings that groups differ in, where `--by` named some.
        baseline: One of the groups.
    """
    verdicts: list[Verdict] = []
    answers: list[Answer] = []
    for same in families(groups):
        if baseline is not None and baseline in same:
            same = [baseline, *(group for group in same if group is not baseline)]
        said, answer = _judge_family(same, measure, by=by, baseline=baseline if baseline in same else None)
        if baseline is None or baseline in same:
            verdicts += said
            answers += [answer] if answer else []
    if baseline is not None:
        judged = {verdict.first for verdict in verdicts}
        others = [group for group in groups if group is not baseline and group not in judged]
        verdicts += [refuse(group, baseline, reason=elsewhere(group, baseline, measure=measure)) for group in others]
    return verdicts, answers


def _judge_family(
    same: Sequence[Group], measure: Measure, *, by: Sequence[str], baseline: Group | None
) -> tuple[list[Verdict], Answer | None]:
    family = read_family(same[:MAX_JUDGED], measure, by=by)
    if not family.groups:
        return [refuse(group, same[0], reason=family.refused[group]) for group in same[1:]], None
    control = None
    if baseline in family.groups:
        control = family.groups.index(baseline)
    found = chosen_setting(
        family.reported,
        family.chosen,
        layout=family.layout,
        eligible=family.eligible,
        control=control,
        best=0,  # groups come in the order of their choice
        sign=measure.sign,
    )
    judged = Judged(family, found, measure, chosen=baseline is None)
    _mark_best(same, family, measure=measure)
    _give_intervals(judged)
    against = baseline or judged.control
    refused = [
        refuse(group, against, reason=reason) for group, reason in family.refused.items() if group is not against
    ]
    if against in family.refused:
        reason = family.refused[against]
        return [refuse(group, against, reason=reason) for group in same if group is not against], None
    if family.design is None and "+" not in (against.data or ""):
        reason = f"{measure.metric} is not made of sums over images, which the tables of images would give"
        return [*(refuse(g, against, reason=reason) for g in family.groups if g is not against), *refused], None
    numbers = range(len(family.groups))
    said = [verdict_on_pair(judged, number) for number in numbers if number != found.control]
    return [*said, *refused], give_answer(judged, said, unjudged=len(same) - len(family.groups) - len(refused))


def _mark_best(same: Sequence[Group], family: Family, *, measure: Measure) -> None:
    """Mark the group that the score of choice names among those that can be compared, also beside a baseline."""
    scores = {group: group.chosen.mean for group in family.groups if group.chosen.mean is not None}
    best = max(scores, key=lambda group: measure.sign * scores[group], default=None)
    for group in same:
        group.best = group is best


def _give_intervals(judged: Judged) -> None:
    """Give each group the interval of its score: of other seeds and units, as far as the runs carry it.

    The score of folds is that of all their pictures together.
    """
    spread = judged.found.spread
    share = is_share(judged.measure.metric)
    means = map(spread.of_mean, range(len(judged.family.groups)))
    if judged.family.blocks and judged.family.blocks.draws:
        means = map(
            _of_draws,
            judged.family.reported.scores[np.stack(judged.family.layout.groups)],
            repeat(judged.family.layout.overlap),
        )
    errors, freedoms = zip(*means, strict=True)
    reach = t_quantiles(np.full(len(freedoms), 0.5 - LEVEL / 2), np.array(freedoms))
    for number, group in enumerate(judged.family.groups):
        if judged.family.pooled:
            group.summary = replace(group.summary, mean=float(spread.means[number]))
            group.images = str(judged.family.pooled)
            group.trivial = judged.family.trivial
        error = errors[number]
        if error is None or group.summary.mean is None:
            continue
        low, high = score_interval(group.summary.mean, float(reach[number]) * error, share=share)
        group.summary = replace(group.summary, low=low, high=high)


def _of_draws(scores: np.ndarray, overlap: float) -> tuple[float | None, float]:
    """Return standard error and degrees of freedom of the mean of a setting's scores `[D]` on draws of the data.

    What makes a draw hard for all settings alike is no part of their differences, but of each score.
    """
    alone = Layout((np.arange(len(scores)),), overlap=overlap)
    return Spread.of(Influence(scores, ()), alone).of_mean(0)

"""What can be said of settings that were scored on the same images, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from segbench.compare.family import MAX_JUDGED, Family, families, read_family
from segbench.compare.groups import Group, Measure
from segbench.compare.images import MASK_SCORES
from segbench.compare.intervals import score_interval
from segbench.compare.selection import chosen_setting, held_out_score
from segbench.compare.simultaneous import Simultaneous
from segbench.compare.units import Scope

POWER_QUANTILE = 0.8416212335729143
"""Of the normal distribution at 0.8: a difference that is seen in 80 of 100 comparisons."""


class Word(StrEnum):
    """What is said of a setting beside the one that it is compared with."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "may be as good"
    FEW_SEEDS = "too few seeds"
    REFUSED = "not comparable"


@dataclass(frozen=True)
class Difference:
    """A setting less the one that it is compared with."""

    value: float
    low: float | None
    """Of the interval that holds together with those of all other settings in 95 of 100 comparisons; None where there
    are too few seeds for one."""
    high: float | None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What can be said of one group beside another."""

    first: Group
    """The group that the word is of."""
    second: Group
    """The chosen one, or the baseline."""
    word: Word
    images: str
    """What was resampled: `24 foregrounds x 13 backgrounds`; "" where not comparable."""
    seeds: tuple[int, int]
    """Runs of the first and the second."""
    difference: Difference | None
    """None where not comparable."""
    reason: str
    """Why it is not comparable, or what is missing."""
    sentence: str
    """All of it."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a comparison of the groups of one data set comes to."""

    control: Group
    """The chosen group, or the baseline."""
    judged: int
    """How many groups were compared, the control among them."""
    may_be_best: list[Group]
    """The chosen one and all that may be as good; empty with a baseline, or where seeds are too few."""
    expected: float | None
    """Score of the chosen setting on test with new seeds; None where one seed each does not tell."""
    detectable: float | None
    """The smallest difference that is seen in 80 of 100 such comparisons; None where seeds are too few."""
    scope: Scope
    """What the intervals speak of."""
    basis: str
    """What the intervals of scores rest on, such as `other seeds and 24 foregrounds x 13 backgrounds`."""
    sentences: list[str]
    """All of it, the answer first."""
    family: Family
    """What it was read from."""
    found: Simultaneous
    """The figures behind it."""


@dataclass(frozen=True, eq=False)
class _Judged:
    """A family and the figures of its comparison."""

    family: Family
    found: Simultaneous
    measure: Measure
    chosen: bool
    """Whether the control was chosen by its score, and is no baseline."""

    @property
    def control(self) -> Group:
        return self.family.groups[self.found.control]

    @property
    def scope(self) -> Scope:
        return self.family.design.scope if self.family.design else Scope.NETWORKS


def judge(
    groups: Sequence[Group], measure: Measure, by: Sequence[str] = (), baseline: Group | None = None
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
        said, answer = _judge_family(same, measure, by, baseline=baseline if baseline in same else None)
        if baseline is None or baseline in same:
            verdicts += said
            answers += [answer] if answer else []
    if baseline is not None:
        judged = {verdict.first for verdict in verdicts}
        others = [group for group in groups if group is not baseline and group not in judged]
        verdicts += [_refuse(group, baseline, _elsewhere(group, baseline, measure)) for group in others]
    return verdicts, answers


def _judge_family(
    same: Sequence[Group], measure: Measure, by: Sequence[str], *, baseline: Group | None
) -> tuple[list[Verdict], Answer | None]:
    family = read_family(same[:MAX_JUDGED], measure, by)
    if not family.groups:
        return [_refuse(group, same[0], family.refused[group]) for group in same[1:]], None
    control = family.groups.index(baseline) if baseline in family.groups else None
    found = chosen_setting(
        family.reported,
        family.chosen,
        family.layout,
        eligible=family.eligible,
        control=control,
        sign=measure.sign,
    )
    judged = _Judged(family, found, measure, chosen=baseline is None)
    _give_intervals(judged)
    against = baseline or judged.control
    refused = [_refuse(group, against, reason) for group, reason in family.refused.items() if group is not against]
    if against in family.refused:
        reason = family.refused[against]
        return [_refuse(group, against, reason) for group in same if group is not against], None
    if family.design is None and "+" not in (against.data or ""):
        reason = f"{measure.metric} is not made of sums over images, which the tables of images would give"
        return [*(_refuse(g, against, reason) for g in family.groups if g is not against), *refused], None
    numbers = range(len(family.groups))
    said = [_verdict(judged, number) for number in numbers if number != found.control]
    return [*said, *refused], _answer(judged, said, len(same) - len(family.groups) - len(refused))


def _refuse(first: Group, second: Group, reason: str) -> Verdict:
    sentence = f"{first.label} and {second.label} are not comparable: {reason}"
    seeds = first.summary.n, second.summary.n
    return Verdict(first, second, Word.REFUSED, "", seeds, None, reason, sentence)


def _elsewhere(group: Group, baseline: Group, measure: Measure) -> str:
    """Return why a group is not in the baseline's family."""
    for one in (group, baseline):
        if one.summary.mean is None:
            return f"{one.label} has no {measure.metric}"
        if one.data is None:
            return f"the runs of {one.label} have different {measure.split} data, or do not say which"
    prints = f"fingerprints {group.data} and {baseline.data}"
    return f"they were scored on different {measure.split} data ({prints}), so neither number says more"


def _verdict(judged: _Judged, number: int) -> Verdict:
    family, found = judged.family, judged.found
    first, second = family.groups[number], judged.control
    seeds = len(family.layout.groups[number]), len(family.layout.groups[found.control])
    value, half = float(found.value[number]), float(found.half[number])
    missing = found.spread.missing(number, found.control)
    images = family.design.words if family.design else ""
    if missing:
        difference = Difference(value, None, None)
        sentence = f"{first.label} and {second.label}: {value:+.4f} {judged.measure.metric}, too few seeds: {missing}"
        return Verdict(first, second, Word.FEW_SEEDS, images, seeds, difference, missing, sentence)
    difference = Difference(value, value - half, value + half)
    good = judged.measure.sign * value
    word = Word.OPEN if abs(value) <= half else Word.BETTER if good > 0 else Word.WORSE
    middle = "may be as good as" if word is Word.OPEN else f"is {word} than"
    if judged.scope is Scope.WITHIN and word is not Word.OPEN:
        middle = f"is {word} here than"
    size = f"{value:+.4f} {judged.measure.metric}, {_interval_name(judged)} {value - half:+.4f} to {value + half:+.4f}"
    sentence = f"{first.label} {middle} {second.label}: {size} ({_evidence(judged, seeds)})"
    return Verdict(first, second, word, images, seeds, difference, "", sentence)


def _interval_name(judged: _Judged) -> str:
    name = "within-unit interval" if judged.scope is Scope.WITHIN else "interval"
    several = len(judged.family.groups) > 2
    return f"simultaneous 95 % {name}" if several else f"95 % {name}"


def _evidence(judged: _Judged, seeds: tuple[int, int]) -> str:
    family = judged.family
    if family.blocks:
        count = family.blocks.words
    else:
        count = f"{seeds[0]} seeds each" if seeds[0] == seeds[1] else f"{seeds[0]} and {seeds[1]} seeds"
        count = count.replace("1 seeds each", "1 seed each")
    return f"{family.design.words}, {count}" if family.design else count


def _give_intervals(judged: _Judged) -> None:
    """Give each group the interval of its score: of other seeds and units, as far as the runs carry it."""
    spread = judged.found.spread
    share = judged.measure.metric.partition("/")[2].partition("/")[0] in MASK_SCORES
    for number, group in enumerate(judged.family.groups):
        error, freedom = spread.of_mean(number)
        if error is None or group.summary.mean is None:
            continue
        low, high = score_interval(group.summary.mean, error, freedom, share=share)
        group.summary = replace(group.summary, low=low, high=high)


def _basis(judged: _Judged) -> str:
    seeds = judged.found.spread.seeds.enough
    design = judged.family.design
    parts = ["other seeds" if seeds else "these trained networks"]
    if judged.scope is Scope.UNITS and design:
        parts.append("other " + " and ".join(f"{factor.plural}" for factor in design.factors))
    elif judged.scope is Scope.IMAGES:
        parts.append("other images")
    elif judged.scope is Scope.WITHIN:
        parts.append("other moments of the same recordings")
    elif "+" in (judged.control.data or ""):
        parts.append("other draws of the data")
    else:
        parts.append("these images")
    return " on ".join(parts)


def _answer(judged: _Judged, said: Sequence[Verdict], unjudged: int) -> Answer:
    family, found = judged.family, judged.found
    open_ones = [verdict.first for verdict in said if verdict.word in (Word.OPEN, Word.BETTER)]
    few = any(verdict.word is Word.FEW_SEEDS for verdict in said)
    may_be_best = [judged.control, *open_ones] if judged.chosen and said and not few else []
    expected = _expected(judged)
    detectable = None if few or not said else _detectable(found)
    sentences = [*_choice(judged, expected), *_best_of(judged, may_be_best, unjudged)]
    if judged.chosen:
        sentences += _disagreement(judged)
    if detectable is not None:
        sentences.append(f"a difference of {detectable:.4f} or more is seen in 8 of 10 such comparisons")
    sentences += _limits(judged)
    return Answer(
        control=judged.control,
        judged=len(family.groups),
        may_be_best=may_be_best,
        expected=expected,
        detectable=detectable,
        scope=judged.scope,
        basis=_basis(judged),
        sentences=sentences,
        family=family,
        found=found,
    )


def _expected(judged: _Judged) -> float | None:
    """Return the score of the choice for new seeds; where val is the test, it is held out likewise."""
    family = judged.family
    if not judged.chosen or family.blocks or len(family.groups) < 2:
        return None
    layout, runs = family.layout.subset(family.eligible)
    return held_out_score(family.reported.scores[runs], family.chosen.scores, layout.groups, judged.measure.sign)


def _detectable(found: Simultaneous) -> float:
    others = np.arange(len(found.value)) != found.control
    return float(np.median((found.critical + POWER_QUANTILE)[others] * found.error[others]))


def _choice(judged: _Judged, expected: float | None) -> list[str]:
    group, measure = judged.control, judged.measure
    if not judged.chosen or group.chosen.mean is None or group.summary.mean is None:
        return []
    runs = f"{group.summary.n} run{'s' * (group.summary.n != 1)}"
    score = f"{measure.metric} {group.summary.mean:.4f} of its {runs}"
    if measure.chosen_by == measure.metric:
        text = f"best by {measure.metric}: {group.label}, {group.summary.mean:.4f} of its {runs}"
    else:
        text = f"chosen by {measure.chosen_by} ({group.chosen.mean:.4f}): {group.label}, {score}"
    if expected is not None:
        text += f"; {expected:.4f} is to be expected of new seeds, as a choice favours lucky ones"
    elif group.summary.n == 1 and len(judged.family.groups) > 1:
        text += "; one seed, whose luck is in it"
    return [text]


def _best_of(judged: _Judged, may_be_best: Sequence[Group], unjudged: int) -> list[str]:
    total = len(judged.family.groups)
    texts = []
    if may_be_best:
        names = ", ".join(group.label for group in may_be_best[:10])
        more = f" and {len(may_be_best) - 10} more" if len(may_be_best) > 10 else ""
        verb = "is the best" if len(may_be_best) == 1 else "may be the best"
        texts.append(f"{len(may_be_best)} of {total} settings {verb}: {names}{more}")
    elif total > 1 and judged.chosen:
        texts.append(f"too few seeds to say which of {total} settings may be the best: {_missing(judged)}")
    if unjudged:
        texts.append(f"only the {total} best by {judged.measure.chosen_by} are judged, {unjudged} others are not")
    return texts


def _missing(judged: _Judged) -> str:
    spread = judged.found.spread
    numbers = [number for number in range(len(judged.family.groups)) if number != judged.found.control]
    return next((text for text in (spread.missing(n, judged.found.control) for n in numbers) if text), "")


def _disagreement(judged: _Judged) -> list[str]:
    """Say where the reported split would have named another."""
    found, measure = judged.found, judged.measure
    ahead = measure.sign * found.value
    best = int(ahead.argmax())
    if measure.chosen_by == measure.metric or ahead[best] <= 0:
        return []
    group = judged.family.groups[best]
    within = ahead[best] <= found.half[best]
    if found.spread.missing(best, found.control):
        chance = "with too few seeds to say whether by chance"
    else:
        chance = "within what chance does" if within else "more than chance does"
    return [f"on {measure.split}, {group.label} is {found.value[best]:+.4f} ahead of the choice, {chance}"]


def _limits(judged: _Judged) -> list[str]:
    """Say what the figures do not carry."""
    family, spread = judged.family, judged.found.spread
    texts = []
    if family.design and family.design.silence:
        texts.append(family.design.silence)
    if family.reported.block:
        texts.append(
            f"within-unit intervals are of blocks of {family.reported.block} images in time: a lower bound of what"
            " other units would do"
        )
    if judged.control.same_data:
        texts.append(
            "val is the test here (the same images): settings and epochs were chosen by the very images that are"
            f" reported, so the chosen score is flattered, by {judged.found.optimism:+.4f} for the choice of the"
            " setting if all are equal"
        )
    for number in spread.seeds.odd:
        sd = math.sqrt(spread.measured[number] * len(family.layout.groups[number]))
        texts.append(
            f"the seeds of {family.groups[number].label} lie further apart (sd {sd:.4f}) than chance allows beside the"
            f" others' {math.sqrt(spread.seeds.measured):.4f}: it keeps its own spread, the others share theirs"
        )
    if family.blocks and family.blocks.left_out:
        shown = "; ".join(family.blocks.left_out[:5])
        more = f" and {len(family.blocks.left_out) - 5} more" if len(family.blocks.left_out) > 5 else ""
        texts.append(f"left out of the pairs, as not every setting was run there: {shown}{more}")
    return texts

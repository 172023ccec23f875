"""What the comparison of the groups of one data set comes to, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.family import Family
from segbench.compare.groups import Group
from segbench.compare.lacking import lacking
from segbench.compare.selection import held_out_score
from segbench.compare.simultaneous import Simultaneous
from segbench.compare.student import t_quantiles
from segbench.compare.units import Scope
from segbench.compare.verdict import Judged, Verdict, Word
from segbench.core.text import and_more

POWER = 0.8
"""How often a difference is seen that is called the smallest one."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a comparison of the groups of one data set comes to."""

    control: Group
    """The chosen group, or the baseline."""
    judged: int
    """How many groups were compared, the control among them."""
    may_be_best: list[Group]
    """The chosen one and all that are not worse for certain; empty with a baseline, or where seeds are too few."""
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


def give_answer(judged: Judged, said: Sequence[Verdict], *, unjudged: int) -> Answer:
    """Return the answer of a family.

    Args:
        judged: The family and its figures.
        said: The verdicts on all its groups but the control.
        unjudged: How many more groups there are, beyond those that are judged.
    """
    family = judged.family
    found = judged.found
    open_ones = [verdict.first for verdict in said if verdict.word is not Word.WORSE]
    few = all(verdict.word is Word.FEW_SEEDS for verdict in said)
    may_be_best = []
    if judged.chosen and said and not few:
        may_be_best = [judged.control, *open_ones]
    expected = _expected(judged)
    detectable = None if few or not said else _detectable(found)
    sentences = [*_choice(judged, expected), *_ahead_but_refused(judged)]
    sentences += _best_of(judged, may_be_best, unjudged=unjudged)
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


def _expected(judged: Judged) -> float | None:
    """Return the score of the choice for new seeds, None where it was chosen by the images that are reported."""
    family = judged.family
    if not judged.chosen or family.blocks or len(family.groups) < 2 or family.chosen is family.reported:
        return None
    layout, runs = family.layout.subset(family.eligible)
    return held_out_score(
        family.reported.scores[runs], family.chosen.scores, groups=layout.groups, sign=judged.measure.sign
    )


def _detectable(found: Simultaneous) -> float:
    others = np.flatnonzero(np.arange(len(found.value)) != found.control)
    freedoms = found.spread.degrees(found.control, others)
    reach = found.critical[others] + t_quantiles(np.full(len(others), 1 - POWER), freedoms)
    return float(np.median(reach * found.error[others]))


def _choice(judged: Judged, expected: float | None) -> list[str]:
    group = judged.control
    measure = judged.measure
    if not judged.chosen or group.chosen.mean is None or group.summary.mean is None:
        return []
    runs = f"{group.summary.n} run{'s' * (group.summary.n != 1)}"
    score = f"{measure.metric} {group.summary.mean:.4f} of its {runs}"
    if len(judged.family.groups) == 1:
        return [f"{group.short_label} has nothing to be compared with: {score}"]
    if measure.chosen_by == measure.metric:
        text = f"best by {measure.metric}: {group.short_label}, {group.summary.mean:.4f} of its {runs}"
    else:
        text = f"chosen by {measure.chosen_by} ({group.chosen.mean:.4f}): {group.short_label}, {score}"
    if expected is not None:
        text += f"; {expected:.4f} is to be expected of new seeds"
        if measure.sign * (group.summary.mean - expected) >= 5e-5:
            text += ", as a choice favours lucky ones"
    elif group.summary.n == 1 and len(judged.family.groups) > 1:
        text += "; one seed, whose luck is in it"
    return [text]


def _best_of(judged: Judged, may_be_best: Sequence[Group], *, unjudged: int) -> list[str]:
    total = len(judged.family.groups)
    texts = []
    if may_be_best:
        names = ", ".join(group.short_label for group in may_be_best[:10])
        more = and_more(len(may_be_best), 10)
        verb = "is the best" if len(may_be_best) == 1 else "may be the best"
        texts.append(f"{len(may_be_best)} of {total} settings {verb}: {names}{more}")
    elif total > 1 and judged.chosen:
        texts.append(f"too few seeds to say which of {total} settings may be the best: {_missing(judged)}")
    if unjudged:
        texts.append(f"only the {total} best by {judged.measure.chosen_by} are judged, {unjudged} others are not")
    return texts


def _missing(judged: Judged) -> str:
    family = judged.family
    numbers = [number for number in range(len(family.groups)) if number != judged.found.control]
    return next((text for text in (lacking(family, judged.found, number=number) for number in numbers) if text), "")


def _disagreement(judged: Judged) -> list[str]:
    """Say where the reported split would have named another."""
    found = judged.found
    measure = judged.measure
    ahead = measure.sign * found.value
    best = int(ahead.argmax())
    if measure.chosen_by == measure.metric or ahead[best] <= 0:
        return []
    group = judged.family.groups[best]
    within = ahead[best] <= found.half[best]
    if lacking(judged.family, found, number=best):
        chance = "with too few seeds to say whether by chance"
    else:
        chance = "within what chance does" if within else "more than chance does"
    return [f"on {measure.split}, {group.short_label} is {found.value[best]:+.4f} ahead of the choice, {chance}"]


def _limits(judged: Judged) -> list[str]:
    """Say what the figures do not carry."""
    family = judged.family
    spread = judged.found.spread
    texts = []
    if family.design and family.design.silence:
        texts.append(family.design.silence)
    if family.reported.block:
        texts.append(
            f"within-unit intervals are of {_blocks(family.reported.block)}: a lower bound of what other units would do"
        )
    texts += _flattery(judged)
    for number in spread.seeds.odd:
        sd = math.sqrt(spread.measured[number] * len(family.layout.groups[number]))
        others = math.sqrt(spread.seeds.measured)
        texts.append(
            f"the seeds of {family.groups[number].short_label} lie further apart than chance allows, sd {sd:.4f} beside"
            f" {others:.4f}: it keeps its own spread"
        )
    left_out = list(dict.fromkeys(words for group in family.groups for words in group.left_out))
    if left_out:
        shown = "; ".join(left_out[:5])
        more = and_more(len(left_out), 5)
        texts.append(f"left out, as not every setting was run there: {shown}{more}")
    return texts


def _blocks(images: int) -> str:
    if images == 1:
        return "the images one by one"
    return f"blocks of {images} images in their order"


def _flattery(judged: Judged) -> list[str]:
    """Say what it means that the images that are reported were chosen by."""
    said = judged.control.flattered
    if not said:
        return []
    if len(judged.family.groups) == 1:
        return [
            f"{said} here: the epochs of its runs were chosen by images that are reported, which flatters the score"
        ]
    texts = [f"{said} here: settings and epochs were chosen by images that are reported, which flatters the score"]
    if judged.chosen:
        texts.append(f"if all settings were equal, the choice of one alone would add {judged.found.optimism:+.4f}")
    return texts


def _ahead_but_refused(judged: Judged) -> list[str]:
    """Name the settings that a choice by val alone would prefer, but that cannot be compared."""
    measure = judged.measure
    chosen = judged.control.chosen.mean
    if not judged.chosen or chosen is None:
        return []
    ahead = [
        f"{group.short_label} ({group.chosen.mean:.4f}): {reason}"
        for group, reason in judged.family.refused.items()
        if group.chosen.mean is not None and measure.sign * (group.chosen.mean - chosen) > 0
    ]
    if not ahead:
        return []
    more = and_more(len(ahead), 5)
    return [f"better by {measure.chosen_by}, but not comparable: {'; '.join(ahead[:5])}{more}"]


def _basis(judged: Judged) -> str:
    seeds = judged.found.spread.seeds.enough
    design = judged.family.design
    parts = ["other seeds" if seeds else "these trained networks"]
    if judged.scope is Scope.UNITS and design:
        parts.append("other " + " and ".join(f"{factor.plural}" for factor in design.factors))
    elif judged.scope is Scope.IMAGES:
        parts.append("other images")
    elif judged.scope is Scope.WITHIN and design:
        parts.append("other images of the same " + " and ".join(factor.plural for factor in design.few))
    elif "+" in (judged.control.data or ""):
        parts.append("other draws of the data")
    else:
        parts.append("these images")
    return " on ".join(parts)

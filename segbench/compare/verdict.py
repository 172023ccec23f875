"""What can be said of a group beside the one that it is compared with, in a plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from segbench.compare.family import Family
from segbench.compare.groups import Group, Measure, labels_apart
from segbench.compare.lacking import lacking
from segbench.compare.simultaneous import Simultaneous
from segbench.compare.units import Scope


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
    """The setting's score less the other's."""

    low: float | None
    """Of the interval that holds together with those of all other settings in 95 of 100 comparisons; None where there
    are too few seeds for one."""
    high: float | None
    """The upper end of its interval; None where there is none."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What can be said of one group beside another."""

    first: Group
    """The group that the word is of."""
    second: Group
    """The chosen one, or the baseline."""
    word: Word
    """Better, worse, or why neither can be said."""

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
class Judged:
    """A family and the figures of its comparison."""

    family: Family
    """The settings that are compared together."""

    found: Simultaneous
    """Their differences and intervals."""

    measure: Measure
    """The score that is reported, and the one that settings are chosen by."""

    chosen: bool
    """Whether the control was chosen by its score, and is no baseline."""

    @property
    def control(self) -> Group:
        """The group that the others are compared with."""
        return self.family.groups[self.found.control]

    @property
    def scope(self) -> Scope:
        """What the intervals speak of."""
        if not self.family.design:
            return Scope.NETWORKS
        return self.family.design.scope


def refuse(first: Group, second: Group, *, reason: str) -> Verdict:
    """Return the verdict on groups that cannot be compared, and why."""
    sentence = f"{' and '.join(labels_apart(first, second))} are not comparable: {reason}"
    seeds = first.summary.n, second.summary.n
    return Verdict(first, second, Word.REFUSED, "", seeds, None, reason, sentence)


def elsewhere(group: Group, baseline: Group, *, measure: Measure) -> str:
    """Return why a group is not in the baseline's family."""
    for one in (group, baseline):
        if one.summary.mean is None:
            return f"{one.label} has no {measure.metric}"
        if one.data is None:
            return f"the runs of {one.label} have different {measure.split} data, or do not say which"
    prints = f"fingerprints {group.data} and {baseline.data}"
    return f"they were scored on different {measure.split} data ({prints}), so neither number says more"


def verdict_on_pair(judged: Judged, number: int) -> Verdict:
    """Return the verdict on a group of a family beside the control."""
    family = judged.family
    found = judged.found
    first = family.groups[number]
    second = judged.control
    seeds = len(family.layout.groups[number]), len(family.layout.groups[found.control])
    value = float(found.value[number])
    half = float(found.half[number])
    missing = lacking(family, found, number=number)
    images = family.design.words if family.design else ""
    if missing:
        difference = Difference(value, None, None)
        both = " and ".join(labels_apart(first, second))
        sentence = f"{both}: {value:+.4f} {judged.measure.metric}, too few seeds: {missing}"
        return Verdict(first, second, Word.FEW_SEEDS, images, seeds, difference, missing, sentence)
    difference = Difference(value, value - half, value + half)
    word = _word(judged.measure.sign * value, half)
    middle = "may be as good as"
    if word is not Word.OPEN:
        middle = f"is {word} than"
    if judged.scope is Scope.WITHIN and word is not Word.OPEN:
        middle = f"is {word} here than"
    size = f"{value:+.4f} {judged.measure.metric}, {_interval_name(judged)} {value - half:+.4f} to {value + half:+.4f}"
    one, other = labels_apart(first, second)
    sentence = f"{one} {middle} {other}: {size} ({_evidence(judged, seeds)})"
    return Verdict(first, second, word, images, seeds, difference, "", sentence)


def _word(ahead: float, half: float) -> Word:
    if abs(ahead) <= half:
        return Word.OPEN
    if ahead > 0:
        return Word.BETTER
    return Word.WORSE


def _interval_name(judged: Judged) -> str:
    name = "within-unit interval" if judged.scope is Scope.WITHIN else "interval"
    several = len(judged.family.groups) > 2
    if several:
        return f"simultaneous 95 % {name}"
    return f"95 % {name}"


def _evidence(judged: Judged, seeds: tuple[int, int]) -> str:
    family = judged.family
    if family.blocks:
        count = family.blocks.words
    else:
        if seeds[0] == seeds[1]:
            count = f"{seeds[0]} seeds each"
        else:
            count = f"{seeds[0]} and {seeds[1]} seeds"
        count = count.replace("1 seeds each", "1 seed each")
    if not family.design:
        return count
    return f"{family.design.words}, {count}"

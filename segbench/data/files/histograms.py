"""What all masks of a data set hold together, and what that says about how they were saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.index import Facts
from segbench.data.problems import Problems, first_names

ENOUGH = 20
"""Masks from which on a class that few of them have is worth a word."""

FEW = 0.02
"""Share of the masks, and at most two of them, that is few."""

BINARY = "give data.masks=binary if 255 is the foreground, data.labels={255:ignore,...} if it is not"

FactsByName = Mapping[str, Facts]


def check_binary(facts: FactsByName, threshold: int | None, problems: Problems) -> None:
    """Note binary masks in which nothing is foreground."""
    if facts and not any(1 in found.labels for found in facts.values()):
        problems.add(
            "label",
            f"no mask has a value of at least data.threshold={threshold or 1}, so that nothing is foreground; give a"
            " smaller threshold, or masks that are drawn in their values",
        )


def check_black_and_white(facts: FactsByName, problems: Problems) -> None:
    """Note masks of ids that are 0 and 255, some or all of them: 255 would silently be ignored."""
    kinds = Counter(frozenset(found.labels) for found in facts.values())
    both = kinds[frozenset({0, IGNORE_INDEX})]
    if not both:
        return
    labelled = sum(count for kind, count in kinds.items() if kind - {0, IGNORE_INDEX})
    if not labelled:
        problems.add("label", f"all masks hold nothing but 0 and 255, and 255 means unlabelled; {BINARY}")
        return
    unlike = sum(count for kind, count in kinds.items() if kind <= {0, 1} and 1 in kind)
    if unlike == labelled:
        problems.add(
            "label",
            f"{both:,} masks hold 0 and 255, the {unlike:,} others 0 and 1, and 255 means unlabelled; {BINARY}",
        )


def rare_classes(facts: FactsByName, classes: Sequence[str]) -> list[str]:
    """Return a sentence for classes that occur in hardly any mask: a stray value is often a slip of the pen."""
    if len(facts) < ENOUGH:
        return []
    masks = Counter(value for found in facts.values() for value in found.labels)
    most = max(1, min(2, int(FEW * len(facts))))
    rare = [(place, name) for place, name in enumerate(classes) if 0 < masks[place] <= most]
    if not rare:
        return []
    where = {place: next(name for name, found in facts.items() if place in found.labels) for place, _ in rare}
    told = [f"{name} in {masks[place]} ({where[place]})" for place, name in rare]
    return [f"classes that occur in hardly any of the {len(facts):,} masks: {first_names(told)}"]

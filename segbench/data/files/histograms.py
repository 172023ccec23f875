"""What all masks of a data set hold together, and what that says about how they were saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.facts import FactTable
from segbench.data.files.masks import MaskReader
from segbench.data.files.outlines import OutlineReader
from segbench.data.problems import Problems, first_names

ENOUGH = 20
"""Masks from which on a class that few of them have is worth a word."""

FEW = 0.02
"""Share of the masks, and at most two of them, that is few."""

BINARY = "give data.masks=binary if 255 is the foreground, data.labels={255:ignore,...} if it is not"


def check_values(table: FactTable, reader: MaskReader | OutlineReader, *, problems: Problems) -> None:
    """Note masks that look as if their values meant something else: 0 and 255, or a mix of both."""
    if isinstance(reader, MaskReader) and reader.mode == "binary":
        check_binary(table, reader.threshold, problems=problems)
    elif reader.has_plain_ids:
        check_black_and_white(table, problems)


def check_binary(table: FactTable, threshold: int | None, *, problems: Problems) -> None:
    """Note binary masks in which nothing is foreground."""
    if len(table) and not table.holds(1).any():
        problems.add(
            "label",
            f"no mask has a value of at least data.threshold={threshold or 1}, so that nothing is foreground; give a"
            " smaller threshold, or masks that are drawn in their values",
        )


def check_black_and_white(table: FactTable, problems: Problems) -> None:
    """Note masks of ids that are 0 and 255, some or all of them: 255 would silently be ignored."""
    zero, one, ignored = (table.holds(value) for value in (0, 1, IGNORE_INDEX))
    ids = table.labels.lengths
    both = int((zero & ignored & (ids == 2)).sum())
    if not both:
        return
    labelled = int((ids > zero.astype(int) + ignored).sum())
    if not labelled:
        problems.add("label", f"all masks hold nothing but 0 and 255, and 255 means unlabelled; {BINARY}")
        return
    unlike = int((one & (ids == zero.astype(int) + one)).sum())
    if unlike == labelled:
        hold = "mask holds" if both == 1 else "masks hold"
        problems.add(
            "label",
            f"{both:,} {hold} 0 and 255, the {unlike:,} others 0 and 1, and 255 means unlabelled; {BINARY}",
        )


def rare_classes(table: FactTable, names: Sequence[str], *, classes: Sequence[str]) -> list[str]:
    """Return a sentence for classes that occur in hardly any mask: a stray value is often a slip of the pen."""
    if len(table) < ENOUGH:
        return []
    masks = np.bincount(table.labels.values["id"], minlength=256)
    most = max(1, min(2, int(FEW * len(table))))
    rare = [(place, name) for place, name in enumerate(classes) if 0 < masks[place] <= most]
    if not rare:
        return []
    told = [f"{name} in {masks[place]} ({names[int(table.holds(place).argmax())]})" for place, name in rare]
    return [f"classes that occur in hardly any of the {len(table):,} masks: {first_names(told)}"]

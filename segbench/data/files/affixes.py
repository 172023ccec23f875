"""Pairing pictures and masks whose names differ in what all of them begin or end with: image_7.png and mask_7.png."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

Key = tuple[str, str]


def by_affixes(images: Mapping[Key, Path], masks: Mapping[Key, Path]) -> tuple[dict[Key, Path], list[str]]:
    """Return the masks by the keys of their pictures, and a sentence that says so.

    What all pictures, or all masks, have in common is taken off their names; digits are not, since 001..099 beside
    101..199 are not the same pictures. Only if every picture then has exactly one mask, and every mask a picture, are
    they paired; otherwise the masks are returned as they are, with nothing to say.
    """
    ours = _affixes(images)
    theirs = _affixes(masks)
    ours, theirs = _without_shared(ours, theirs)
    cores = {(split, _core(name, ours)): (split, name) for split, name in images}
    found = {(split, _core(name, theirs)): path for (split, name), path in masks.items()}
    if len(cores) < len(images) or len(found) < len(masks) or cores.keys() != found.keys():
        return dict(masks), []
    paired = {cores[core]: path for core, path in found.items()}
    what = f"pictures are called {'*'.join(ours)} and masks {'*'.join(theirs)}: they are paired by what * stands for"
    return paired, [what]


def _affixes(keys: Iterable[Key]) -> tuple[str, str]:
    """Return what all names begin and end with."""
    names = [name for _, name in keys]
    start = _common_start(names)
    end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
    return start, end


def _without_shared(ours: tuple[str, str], theirs: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return both without what they have in common beside the core, and without digits there."""
    shared_start = len(_common_start([ours[0][::-1], theirs[0][::-1]]))
    shared_end = len(_common_start([ours[1], theirs[1]]))
    return _trimmed(ours, shared_start, shared_end=shared_end), _trimmed(theirs, shared_start, shared_end=shared_end)


def _trimmed(affixes: tuple[str, str], shared_start: int, *, shared_end: int) -> tuple[str, str]:
    start = affixes[0][: len(affixes[0]) - shared_start]
    return re.sub(r"\d+$", "", start), re.sub(r"^\d+", "", affixes[1][shared_end:])


def _core(name: str, affixes: tuple[str, str]) -> str:
    return name[len(affixes[0]) : len(name) - len(affixes[1])]


def common_ending(images: Collection[str], masks: Collection[str]) -> str:
    """Return what most masks are called like an image with; empty where that holds for less than half of them."""
    cuts = (name[place:] for name in masks for place in range(1, len(name)) if name[:place] in images)
    ending, count = next(iter(Counter(cuts).most_common(1)), ("", 0))
    if 2 * count >= len(masks):
        return ending
    return ""


def _common_start(texts: Sequence[str]) -> str:
    """Return what all texts begin with; the first and the last in order differ earliest."""
    first = min(texts, default="")
    last = max(texts, default="")
    same = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(same, min(len(first), len(last)))]

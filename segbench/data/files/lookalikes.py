"""Pictures of different splits that show nearly the same: copies, and neighbours in a numbered sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from segbench.data.files.items import Item
from segbench.data.problems import NAMED, shown_name

GRID = 8
"""Cells a side of a difference hash; it has twice the square of that in bits, 128."""

NEAR = 7
"""Bits in which copies differ at most: saved anew, resized, a little brighter. Others differ in about 64."""

ALIKE = 20
"""Bits in which neighbours in a sequence differ at most."""

BANDS = 8
"""Parts of a hash; of two that differ in at most 7 bits, one part is equal."""

LARGEST = 1000
"""Pictures with an equal part of the hash, of which more have too little in them to tell them apart."""

LEAST = 8
"""Bits that a picture with anything in it has set, and unset."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, so that a grey copy looks like its original."""

NUMBERED = re.compile(r"(.*?)(\d{1,18})(\D*)")
"""A name and its last number."""

Pair = tuple[str, str]


def look(image: np.ndarray) -> str:
    """Return the difference hash of a picture `[H,W,C]` as 32 hexadecimal digits.

    Each bit says whether a cell of a coarse grid is brighter than its neighbour, to the right or below (N. Krawetz,
    "Kind of Like That", 2013).
    """
    step = max(1, min(image.shape[:2]) // 128)
    grey = image[::step, ::step].astype(np.float32)
    if grey.ndim == 3:
        grey = grey @ np.float32(LUMA) if grey.shape[2] == 3 else grey.mean(axis=2)
    cells = np.asarray(Image.fromarray(grey).resize((GRID + 1, GRID + 1), Image.Resampling.BOX))
    across, down = cells[:-1, 1:] > cells[:-1, :-1], cells[1:, :-1] > cells[:-1, :-1]
    return np.packbits(np.concatenate([across.ravel(), down.ravel()])).tobytes().hex()


def remarks(splits: Mapping[str, Sequence[Item]], looks: Mapping[str, str]) -> list[str]:
    """Return a sentence on copies, and one on neighbours, that are in different splits.

    Args:
        splits: The pictures of each split.
        looks: The hash of each by its item's name.
    """
    home = {item.name: split for split, items in splits.items() for item in items if item.name in looks}
    names = sorted(home)
    if not names:
        return []
    bits = np.stack([np.frombuffer(bytes.fromhex(looks[name]), np.uint8) for name in names])
    near = {(names[one], names[other]) for one, other in _near(bits)}
    copies = sorted((one, other) for one, other in near if home[one] != home[other])
    known = {name for pair in copies for name in pair}
    place = {name: number for number, name in enumerate(names)}
    neighbours = [
        (one, other)
        for one, other in _neighbours(names)
        if home[one] != home[other]
        and not {one, other} <= known
        and _distance(bits[place[one]], bits[place[other]]) <= ALIKE
    ]
    what = "of different splits show nearly the same"
    after = "of different splits follow each other in a sequence and look alike"
    return [_told(pairs, home, words) for pairs, words in ((copies, what), (neighbours, after)) if pairs]


def _told(pairs: Sequence[Pair], home: Mapping[str, str], what: str) -> str:
    shown = [f"{shown_name(one)} ({home[one]}) and {shown_name(other)} ({home[other]})" for one, other in pairs[:NAMED]]
    more = f" and {len(pairs) - NAMED:,} more" if len(pairs) > NAMED else ""
    number = f"{len(pairs):,} pair{'s' * (len(pairs) > 1)} of pictures"
    return f"{number} {what}, which flatters scores: {'; '.join(shown)}{more}"


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.bitwise_count(one ^ other).sum(axis=-1)


def _near(bits: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the places of all pairs of hashes, uint8 `[N, 16]`, that differ in at most 7 bits."""
    ones = np.bitwise_count(bits).sum(axis=1)
    told_apart = np.flatnonzero((ones >= LEAST) & (ones <= 8 * bits.shape[1] - LEAST))
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for number in told_apart.tolist():
            buckets[bits[number, 2 * band : 2 * band + 2].tobytes()].append(number)
        for found in buckets.values():
            if 1 < len(found) <= LARGEST:
                yield from _near_in(bits, np.array(found))


def _near_in(bits: np.ndarray, found: np.ndarray) -> Iterator[tuple[int, int]]:
    for place, number in enumerate(found[:-1].tolist()):
        others = found[place + 1 :]
        for other in others[_distance(bits[others], bits[number]) <= NEAR].tolist():
            yield number, other


def _neighbours(names: Sequence[str]) -> Iterator[Pair]:
    """Yield pairs of names that follow each other in a sequence: they differ in their last number alone."""
    sequences: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        if match := NUMBERED.fullmatch(name.rpartition("/")[2]):
            sequences[match[1], match[3]].append((int(match[2]), name))
    for found in sequences.values():
        yield from ((one, other) for (_, one), (_, other) in pairwise(sorted(found)))

"""Pictures of different splits that show nearly the same: copies, and neighbours in a numbered sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from segbench.core.text import and_more
from segbench.data.problems import NAMED, shown_name

GRID = 8
"""Cells a side of a difference hash; it has twice the square of that in bits, 128."""

NEAR = 7
"""Bits in which copies differ at most: saved anew, resized, a little brighter. Others differ in about 64."""

ALIKE = 20
"""Bits in which neighbours in a sequence differ at most."""

LARGEST = 1000
"""Pictures with an equal part of the hash, of which more have too little in them to tell them apart."""

LEAST = 8
"""Bits that a picture with anything in it has set, and unset."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, so that a grey copy looks like its original."""

NUMBERED = re.compile(r"(.*?)(\d{1,18})(\D*)")
"""A name and its last number."""


def look(image: np.ndarray) -> str:
    """Return the difference hash of a picture `[H,W,C]` as 32 hexadecimal digits.

    Each bit says whether a cell of a coarse grid is brighter than its neighbour, to the right or below (N. Krawetz,
    "Kind of Like That", 2013).
    """
    step = max(1, min(image.shape[:2]) // 128)
    grey = image[::step, ::step].astype(np.float32)
    if grey.ndim == 3:
        grey = grey @ np.array(LUMA, np.float32) if grey.shape[2] == 3 else grey.mean(axis=2)
    cells = np.asarray(Image.fromarray(grey).resize((GRID + 1, GRID + 1), Image.Resampling.BOX))
    across = cells[:-1, 1:] > cells[:-1, :-1]
    down = cells[1:, :-1] > cells[:-1, :-1]
    return np.packbits(np.concatenate([across.ravel(), down.ravel()])).tobytes().hex()


def remarks(names: Sequence[str], homes: Sequence[str], *, bits: np.ndarray) -> list[str]:
    """Return a sentence on copies, and one on neighbours, that are in different splits.

    Args:
        names: Of the pictures, sorted.
        homes: The split of each.
        bits: The hash of each, uint8 `[N, 16]`.
    """
    splits = np.asarray(homes)
    copies = _apart(_near(bits), splits)
    is_copy = np.zeros(len(names), bool)
    is_copy[copies] = True
    neighbours = _apart(_neighbours(names), splits)
    neighbours = neighbours[~is_copy[neighbours].all(axis=1)]
    neighbours = neighbours[_distance(bits[neighbours[:, 0]], bits[neighbours[:, 1]]) <= ALIKE]
    what = "of different splits show nearly the same"
    after = "of different splits follow each other in a sequence and look alike"
    return [
        _told(pairs, names, homes=splits, what=words)
        for pairs, words in ((copies, what), (neighbours, after))
        if len(pairs)
    ]


def _apart(pairs: np.ndarray, homes: np.ndarray) -> np.ndarray:
    """Return the pairs, int64 `[P, 2]`, of which each one is of another split."""
    apart: np.ndarray = pairs[homes[pairs[:, 0]] != homes[pairs[:, 1]]]
    return apart


def _told(pairs: np.ndarray, names: Sequence[str], *, homes: np.ndarray, what: str) -> str:
    shown = [" and ".join(f"{shown_name(names[n])} ({homes[n]})" for n in pair) for pair in pairs[:NAMED].tolist()]
    more = and_more(len(pairs), NAMED)
    number = f"{len(pairs):,} pair{'s' * (len(pairs) > 1)} of pictures"
    return f"{number} {what}, which flatters scores: {'; '.join(shown)}{more}"


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    bits: np.ndarray = np.bitwise_count(one ^ other).sum(axis=-1)
    return bits


def _near(bits: np.ndarray) -> np.ndarray:
    """Return the places of all pairs of hashes, uint8 `[N, 16]`, that differ in at most 7 bits, as int64 `[P, 2]`."""
    ones = np.bitwise_count(bits).sum(axis=1)
    told_apart = np.flatnonzero((ones >= LEAST) & (ones <= 8 * bits.shape[1] - LEAST))
    parts = bits[told_apart].view(np.uint16).T  # eight of them: of two hashes that are near, one is equal
    pairs = [told_apart[pair] for part in parts for pair in _equal(part)]
    near = [pair[_distance(bits[pair[:, 0]], bits[pair[:, 1]]) <= NEAR] for pair in pairs]
    return np.unique(np.sort(np.concatenate([np.zeros((0, 2), np.int64), *near]), axis=1), axis=0)


def _equal(part: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places of all pairs of equal values, uint16 `[N]`, of values that are not too common."""
    order = np.argsort(part, kind="stable")
    order = order[np.bincount(part, minlength=1 << 16)[part[order]] <= LARGEST]
    values = part[order]
    first = np.arange(len(order))
    for lag in range(1, LARGEST):
        first = first[first + lag < len(order)]
        first = first[values[first] == values[first + lag]]
        if not len(first):
            return
        yield np.stack([order[first], order[first + lag]], axis=1)


def _neighbours(names: Sequence[str]) -> np.ndarray:
    """Return places of names that follow each other in a sequence, `[P, 2]`: they differ in their last number alone."""
    sequences: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for place, name in enumerate(names):
        if match := NUMBERED.fullmatch(name.rpartition("/")[2]):
            sequences[match[1], match[3]].append((int(match[2]), place))
    pairs = [(one, other) for found in sequences.values() for (_, one), (_, other) in pairwise(sorted(found))]
    return np.array(pairs, np.int64).reshape(-1, 2)

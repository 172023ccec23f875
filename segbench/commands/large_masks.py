"""Masks of pictures too large to be held: tiled TIFFs, written row of tiles by row of tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from segbench.report.palette import palette

SIDE = 512
"""Height and width of the tiles that are written."""


def write_large_mask(
    path: Path, size: tuple[int, int], *, blocks: Iterable[tuple[int, int, np.ndarray]], classes: int
) -> None:
    """Write class ids as a palette TIFF of tiles, compressed with deflate.

    Args:
        path: The file; it appears once it is whole.
        size: Height and width of the picture.
        blocks: (top, left, ids uint8 `[h,w]`), row by row, from left to right, which cover each pixel once.
        classes: Number of classes, each of which has its colour.
    """
    import tifffile

    colours = palette(classes).astype(np.uint16) * 257  # a TIFF's palette has 16 bit
    half = path.with_name(f".{path.name}.part")
    try:
        tifffile.imwrite(
            half,
            _tiles(_rows(blocks, size[1]), size),
            shape=size,
            dtype=np.uint8,
            tile=(SIDE, SIDE),
            compression="zlib",
            photometric="palette",
            colormap=colours.T,
            bigtiff=size[0] * size[1] > 2**31,
        )
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _rows(blocks: Iterable[tuple[int, int, np.ndarray]], width: int) -> Iterator[np.ndarray]:
    """Yield the blocks that lie beside each other as one array `[h, width]`."""
    beside: list[np.ndarray] = []
    for _, left, ids in blocks:
        beside.append(ids)
        if left + ids.shape[1] == width:
            yield np.concatenate(beside, axis=1)
            beside = []


def _tiles(rows: Iterable[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield tiles of SIDE x SIDE, row by row, from rows of any height; the last ones are filled up with zeros."""
    height, width = size
    band = np.zeros((SIDE, -(-width // SIDE) * SIDE), np.uint8)
    filled = done = 0
    for row in rows:
        while len(row):
            taken = min(len(row), SIDE - filled)
            band[filled : filled + taken, :width] = row[:taken]
            row = row[taken:]
            filled += taken
            done += taken
            if filled == SIDE or done == height:
                yield from (band[:, left : left + SIDE].copy() for left in range(0, width, SIDE))
                band[:] = 0
                filled = 0

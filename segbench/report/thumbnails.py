"""Small pictures of what a network does worst on: picture, truth, prediction and errors of each in one."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.report.panels import BACKGROUND

SHOWN = ("input", "truth", "prediction", "errors")
SIDE = 128
"""Pixels of the longer side of each of the four."""
LINE = 2
"""Pixels between them."""
COUNT = 8

Row = Mapping[str, np.ndarray]


class WorstPictures:
    """Keeps the pictures of lowest mean IoU that it is told of, the first ones of those that are equal."""

    def __init__(self, count: int = COUNT) -> None:
        self._count = count
        self._kept: list[tuple[float, int, Image.Image]] = []

    def consider(self, iou: float, index: int, *, row: Callable[[], Row]) -> None:
        """Keep a picture if it is one of the worst so far.

        Args:
            iou: Its mean IoU; NaN is left out.
            index: Its number in the split.
            row: Makes its pictures by title, as `panels.sample_row` does.
        """
        rank = (-iou, -index)
        if iou != iou or (len(self._kept) == self._count and rank <= self._kept[0][:2]):
            return
        self._keep((*rank, thumbnail(row())))

    def join(self, others: WorstPictures) -> None:
        """Keep the worst of these and of others, such as those of another process."""
        for candidate in others._kept:
            self._keep(candidate)

    def _keep(self, candidate: tuple[float, int, Image.Image]) -> None:
        heapq.heappush(self._kept, candidate)
        if len(self._kept) > self._count:
            heapq.heappop(self._kept)

    def write(self, folder: Path) -> None:
        """Write each picture as `<number>.png`, instead of those that are there; nothing where there are none."""
        if not self._kept:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        for _, number, picture in self._kept:
            picture.save(folder / thumbnail_name(-number))


def thumbnail_name(index: int) -> str:
    """Return the file that shows a picture."""
    return f"{index:06d}.png"


def thumbnail(row: Row) -> Image.Image:
    """Return input and truth above prediction and errors, each at most SIDE pixels wide and high."""
    tiles = [_small(row[title]) for title in SHOWN]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (2 * width + LINE, 2 * height + LINE), BACKGROUND)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, ((number % 2) * (width + LINE), (number // 2) * (height + LINE)))
    return sheet


def _small(picture: np.ndarray) -> Image.Image:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    filtering = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return Image.fromarray(picture).resize(size, filtering)

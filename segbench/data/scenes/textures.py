"""Pictures prepared for rendering: cut-outs as mip levels of premultiplied RGBA, backgrounds at one size.

Their channels lie one after another in memory, as those of tensors do: a scene is then laid out row by row in long
runs, and becomes a tensor without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image

SMALLEST_LEVEL = 8
MOST_KEPT = 64 << 20
"""Bytes of scaled cut-outs that a process keeps; all that 96 x 96 scenes of the shipped pictures ask for are 35 MB."""


class Kept:
    """Scaled cut-outs that were asked for lately, of all textures of a data set, as long as they fit."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.most = most
        self.bytes = 0
        self._copies: dict[tuple[Texture, int, int], np.ndarray] = {}

    def get(self, key: tuple[Texture, int, int]) -> np.ndarray | None:
        """Return the copy of a texture at a height and width; None where it is not kept."""
        copy = self._copies.pop(key, None)
        if copy is not None:
            self._copies[key] = copy  # the latest is the last
        return copy

    def put(self, key: tuple[Texture, int, int], copy: np.ndarray) -> None:
        """Keep a copy, and let go of those that were not asked for the longest."""
        self._copies[key] = copy
        self.bytes += copy.nbytes
        while self.bytes > self.most:
            self.bytes -= self._copies.pop(next(iter(self._copies))).nbytes


@dataclass(frozen=True, eq=False)
class Texture:
    """A cut-out at full, half, quarter ... size, so that a small copy of it averages over all of its pixels."""

    levels: tuple[np.ndarray, ...]
    """uint8 arrays `[4, h, w]`, red, green and blue already multiplied by alpha / 255."""

    kept: Kept = field(default_factory=Kept)
    """Where its scaled copies are kept."""

    def level_for(self, height: int, width: int) -> int:
        """Return the number of the smallest level that is at least `height` x `width`, or 0."""
        best = 0
        for number, level in enumerate(self.levels):
            if level.shape[1] >= height and level.shape[2] >= width:
                best = number
        return best

    def scaled(self, height: int, width: int) -> np.ndarray:
        """Return it at a size, premultiplied, uint8 `[4, height, width]`; not to be written into."""
        key = (self, height, width)
        copy = self.kept.get(key)
        if copy is None:
            copy = resample(self.levels[self.level_for(height, width)], height=height, width=width)
            self.kept.put(key, copy)
        return copy


def make_texture(cutout: Image.Image, longest: int, *, kept: Kept | None = None) -> Texture:
    """Return the texture of an RGBA picture, first shrunk so that its longer side is at most `longest` pixels.

    Args:
        cutout: The picture.
        longest: See above.
        kept: Where its scaled copies are kept together with those of others; None for a place of its own.
    """
    levels = []
    ratio = min(1.0, longest / max(cutout.size))
    width, height = (max(1, round(side * ratio)) for side in cutout.size)
    while True:
        # "RGBa" is Pillow's premultiplied mode: averaging in it leaves no dark or coloured halo
        small = cutout.convert("RGBa").resize((width, height), Image.Resampling.BOX)
        level = in_planes(np.asarray(small))
        level[:3] = np.minimum(level[:3], level[3:])  # rounding must not exceed alpha
        levels.append(level)
        if min(width, height) // 2 < SMALLEST_LEVEL:
            return Texture(tuple(levels), kept or Kept())
        width = (width + 1) // 2
        height = (height + 1) // 2


def in_planes(picture: np.ndarray) -> np.ndarray:
    """Return a copy `[C, H, W]` of a picture `[H, W, C]`, one channel after another in memory."""
    return picture.transpose(2, 0, 1).copy(order="C")


def resample(level: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Return a picture uint8 `[C, h, w]` at another size, uint8 `[C, height, width]`: bilinear with 8-bit weights."""
    y0, y1, fy = _all_taps(height, level.shape[1])
    x0, x1, fx = _all_taps(width, level.shape[2])
    down = fy.astype(np.uint16)[:, None]
    right = fx.astype(np.uint32)
    # 255 * 256 is within 16 bits, and both directions together within 32
    rows = level.take(y0, axis=1) * (np.uint16(256) - down)
    rows += level.take(y1, axis=1) * down
    pixels: np.ndarray = rows.take(x0, axis=2) * (np.uint32(256) - right)
    pixels += rows.take(x1, axis=2) * right
    pixels += np.uint32(32768)
    pixels >>= np.uint32(16)
    return pixels.astype(np.uint8)


def taps(position: np.ndarray, size: int, *, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two source positions and the 8-bit weight of the second, for each of `size` pixel centres."""
    place = ((2 * position + 1) * source * 256) // (2 * size) - 128
    first = place >> 8
    return np.clip(first, 0, source - 1), np.clip(first + 1, 0, source - 1), (place & 255).astype(np.int32)


@lru_cache(maxsize=2048)
def _all_taps(size: int, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return taps(np.arange(size), size, source=source)


def make_background(photo: Image.Image, *, height: int, width: int) -> np.ndarray:
    """Return an RGB photo as uint8 `[height, width, 3]`: its centre at that aspect ratio, resized by area averaging."""
    scale = min(photo.width / width, photo.height / height)
    # rounding must not lead out of the photo, which Pillow would refuse
    cut_width = min(width * scale, photo.width)
    cut_height = min(height * scale, photo.height)
    left = (photo.width - cut_width) / 2
    top = (photo.height - cut_height) / 2
    box = (left, top, min(left + cut_width, photo.width), min(top + cut_height, photo.height))
    filter_ = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    return np.array(photo.resize((width, height), filter_, box=box))

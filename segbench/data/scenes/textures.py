"""Pictures prepared for rendering: cut-outs as mip levels of premultiplied RGBA, backgrounds at one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

SMALLEST_LEVEL = 8


@dataclass(frozen=True)
class Texture:
    """A cut-out at full, half, quarter ... size, so that a small copy of it averages over all of its pixels."""

    levels: tuple[np.ndarray, ...]
    """uint8 arrays `[h, w, 4]`, red, green and blue already multiplied by alpha / 255."""

    @property
    def height(self) -> int:
        """Height of the full level in pixels."""
        return int(self.levels[0].shape[0])

    @property
    def width(self) -> int:
        """Width of the full level in pixels."""
        return int(self.levels[0].shape[1])

    def level_for(self, height: int, width: int) -> int:
        """Return the number of the smallest level that is at least `height` x `width`, or 0."""
        best = 0
        for number, level in enumerate(self.levels):
            if level.shape[0] >= height and level.shape[1] >= width:
                best = number
        return best


def make_texture(cutout: Image.Image, longest: int) -> Texture:
    """Return the texture of an RGBA picture, first shrunk so that its longer side is at most `longest` pixels."""
    levels = []
    ratio = min(1.0, longest / max(cutout.size))
    width, height = (max(1, round(side * ratio)) for side in cutout.size)
    while True:
        # "RGBa" is Pillow's premultiplied mode: averaging in it leaves no dark or coloured halo
        small = cutout.convert("RGBa").resize((width, height), Image.Resampling.BOX)
        level = np.array(small)
        level[..., :3] = np.minimum(level[..., :3], level[..., 3:])  # rounding must not exceed alpha
        levels.append(level)
        if min(width, height) // 2 < SMALLEST_LEVEL:
            return Texture(tuple(levels))
        width = (width + 1) // 2
        height = (height + 1) // 2


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

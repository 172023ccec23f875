"""Bringing pictures of any size to the size of a data set, the mask by the very same geometry as the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from segbench.core.errors import ConfigError, nearest
from segbench.core.tasks import IGNORE_INDEX

POLICIES = ("stretch", "crop", "pad")


@dataclass(frozen=True)
class Fitting:
    """How a picture comes to a size. Images are filtered bilinearly over the area that a pixel covers; masks nearest.

    A picture that has the size already is left as it is, bit for bit.

    Args:
        size: Height and width in pixels.
        policy: `stretch` changes the aspect ratio; `crop` keeps it and cuts off what is too much, evenly on both
            sides; `pad` keeps it and puts the picture in the middle of black (image) and ignored (mask) bars.
    """

    size: tuple[int, int]
    policy: str = "stretch"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"data.fit={self.policy} is no way to fit{nearest(self.policy, POLICIES)}")

    def image(self, image: np.ndarray) -> np.ndarray:
        """Return an image uint8 or float32 `[h, w, C]` as `[H, W, C]` of the same type."""
        return self._fit(image, Image.Resampling.BILINEAR, 0)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask uint8 `[h, w]` as uint8 `[H, W]`; it holds no id that it did not hold, but 255 for bars."""
        return self._fit(mask, Image.Resampling.NEAREST, IGNORE_INDEX)

    def _fit(self, array: np.ndarray, resampling: Image.Resampling, fill: int) -> np.ndarray:
        own = array.shape[:2]
        if own == self.size:
            return np.array(array)
        if self.policy != "pad":
            return resized(array, self.size, resampling, self._covering(*own) if self.policy == "crop" else None)
        height, width = self.size
        scale = min(width / own[1], height / own[0])
        inner = (max(1, round(own[0] * scale)), max(1, round(own[1] * scale)))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        canvas = np.full((height, width, *array.shape[2:]), fill, array.dtype)
        canvas[top : top + inner[0], left : left + inner[1]] = resized(array, inner, resampling)
        return canvas

    def _covering(self, height: int, width: int) -> tuple[float, float, float, float]:
        scale = max(self.size[1] / width, self.size[0] / height)
        inner_width, inner_height = min(self.size[1] / scale, width), min(self.size[0] / scale, height)
        left, top = (width - inner_width) / 2, (height - inner_height) / 2
        return left, top, left + inner_width, top + inner_height


def resized(
    array: np.ndarray,
    size: tuple[int, int],
    resampling: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Return an array uint8 or float32 `[h, w]` or `[h, w, C]` resized to `size`, each band by itself.

    Args:
        array: The picture.
        size: Height and width.
        resampling: Pillow's filter.
        box: Left, top, right and bottom of the part that is taken, in pixels; None for all of it.
    """
    if array.ndim == 2 or (array.dtype == np.uint8 and array.shape[2] == 3):
        return np.array(Image.fromarray(array).resize(size[::-1], resampling, box=box))
    bands = [resized(array[..., band], size, resampling, box) for band in range(array.shape[2])]
    return np.stack(bands, axis=-1)

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

    def image(self, image: Image.Image) -> np.ndarray:
        """Return an RGB picture as uint8 `[H, W, 3]`."""
        return self._fit(image, Image.Resampling.BILINEAR, 0)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask uint8 `[h, w]` as uint8 `[H, W]`; it holds no id that it did not hold, but 255 for bars."""
        return self._fit(Image.fromarray(mask), Image.Resampling.NEAREST, IGNORE_INDEX)

    def _fit(self, picture: Image.Image, resampling: Image.Resampling, fill: int) -> np.ndarray:
        height, width = self.size
        if picture.size == (width, height):
            return np.array(picture)
        if self.policy != "pad":
            box = self._covering(picture.size) if self.policy == "crop" else None
            return np.array(picture.resize((width, height), resampling, box=box))
        scale = min(width / picture.width, height / picture.height)
        inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        canvas = Image.new(picture.mode, (width, height), (fill,) * 3 if picture.mode == "RGB" else fill)
        canvas.paste(picture.resize(inner, resampling), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return np.array(canvas)

    def _covering(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        scale = max(self.size[1] / size[0], self.size[0] / size[1])
        width, height = min(self.size[1] / scale, size[0]), min(self.size[0] / scale, size[1])
        left, top = (size[0] - width) / 2, (size[1] - height) / 2
        return left, top, left + width, top + height

"""Random crops of pictures at their own size: what a training step sees of a picture with `data.view=crop`.

A crop is drawn by a generator that is keyed by (seed, epoch, index), so that it is the same in every process and after
every resume. It is cut from the picture's own pixels first and brought to its size afterwards: a large picture is never
resized as a whole, and at scale 1 the pixels are the picture's own, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segbench.core.choices import check_word
from segbench.core.errors import ConfigError
from segbench.core.rng import generator
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.loading.views import Size, resized
from segbench.data.windows import Window

TRIES = 10
"""Most crops that are drawn until one is not nearly all of one class; the last one is taken."""

BILINEAR = Image.Resampling.BILINEAR
NEAREST = Image.Resampling.NEAREST

SCALES = (1 / 16, 16.0)
"""Least and greatest scale of a crop."""

VIEWS = ("whole", "crop")
USUAL_SCALE = (0.5, 2.0)


@dataclass(frozen=True)
class TrainingCrops:
    """The settings of `data.view=crop` as they were given; None where they were not."""

    view: str = "whole"
    """`whole`: training sees whole pictures; `crop`: random crops at the picture's own scale."""

    scale: Sequence[float] | None = None
    """Least and greatest magnification; None for 0.5 and 2."""

    crop_class_share: float | None = None
    """Most of a crop that one class may have, 0..1; None for any share."""

    crop_balanced: bool = False
    """Whether crops are laid around pixels of classes that are drawn evenly."""

    def crop(self, size: Size, fit: str = "stretch") -> RandomCrop | None:
        """Return what draws crops of a size; None for whole pictures.

        Raises:
            ConfigError: for a view that there is none of, or a setting that this view has no use for.
        """
        check_word("data.view", self.view, valid=VIEWS)
        if self.view == "whole":
            given = {
                "scale": self.scale,
                "crop_class_share": self.crop_class_share,
                "crop_balanced": self.crop_balanced,
            }
            for name, value in given.items():
                if value not in (None, False):
                    raise ConfigError(
                        f"data.{name} is about crops, which data.view=whole has none of; add data.view=crop"
                    )
            return None
        if fit != "stretch":
            raise ConfigError(
                f"data.fit={fit} is about whole pictures, but data.view=crop trains on crops, and scores pictures at"
                " their own scale; leave data.fit out"
            )
        share = 1.0
        if self.crop_class_share is not None:
            share = self.crop_class_share
        return RandomCrop(size, tuple(self.scale or USUAL_SCALE), share, self.crop_balanced)


@dataclass(frozen=True)
class RandomCrop:
    """Draws a scale and a place, and cuts that out of a picture and of its mask."""

    size: Size
    """Height and width of the crop in pixels."""

    scale: tuple[float, ...] = (1.0, 1.0)
    """Least and greatest magnification; drawn so that halving is as likely as doubling (evenly in the logarithm)."""

    class_share: float = 1.0
    """No crop in which one class has more than this share of the labelled pixels, as far as ten draws find one."""

    balanced: bool = False
    """Whether a crop is laid around a pixel of a class that is drawn evenly from those of the picture."""

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not SCALES[0] <= self.scale[0] <= self.scale[1] <= SCALES[1]:
            raise ConfigError(
                f"data.scale must be the least and the greatest scale of a crop, from {SCALES[0]:g} to {SCALES[1]:g},"
                f" such as [0.5,2.0], got {list(self.scale)}"
            )
        if not 0 < self.class_share <= 1:
            raise ConfigError(
                f"data.crop_class_share must be a share above 0, and at most 1 for any crop, got {self.class_share}"
            )

    def __call__(
        self, arrays: dict[str, np.ndarray], mean: tuple[float, ...], *, seed: int, epoch: int, index: int
    ) -> dict[str, np.ndarray]:
        """Return a crop of a training sample, `size` in height and width.

        Where the picture is smaller than the crop, the rest is the mean colour, ignored (255) and of unknown depth.

        Args:
            arrays: `image` uint8 or float32 `[H,W,C]`, `mask` uint8 `[H,W]`, and `background`, `depth` where there are.
            mean: Mean of each band in 0..1.
            seed: Key of the draw, together with the next two.
            epoch: The epoch.
            index: The sample's number.
        """
        window = self.window(arrays["mask"], generator("crop", seed, epoch, index))
        return {name: self._cut(name, array, window=window, mean=mean) for name, array in arrays.items()}

    def window(self, mask: np.ndarray, draw: np.random.Generator) -> Window:
        """Return where to crop, in pixels of a picture with this mask."""
        for _ in range(TRIES):
            window = self._draw(mask, draw)
            if self.class_share == 1 or _largest_share(_inside(mask, window)) <= self.class_share:
                break
        return window

    def _draw(self, mask: np.ndarray, draw: np.random.Generator) -> Window:
        low, high = self.scale
        scale = math.exp(draw.uniform(math.log(low), math.log(high)))
        height, width = (max(1, round(length / scale)) for length in self.size)
        target = None
        if self.balanced:
            target = _pixel_of_a_class(mask, draw)
        top = _start(mask.shape[0], height, target=None if target is None else target[0], draw=draw)
        left = _start(mask.shape[1], width, target=None if target is None else target[1], draw=draw)
        return Window(top, left, height, width)

    def _cut(self, name: str, array: np.ndarray, *, window: Window, mean: tuple[float, ...]) -> np.ndarray:
        part = _inside(array, window)
        rows = _scaled(part.shape[0], window.height, size=self.size[0])
        columns = _scaled(part.shape[1], window.width, size=self.size[1])
        part = resized(part, (rows, columns), resampling=NEAREST if name in ("mask", "depth") else BILINEAR)
        if (rows, columns) == self.size:
            return part.copy()
        top = _scaled_start(window.top, window.height, size=self.size[0], length=rows)
        left = _scaled_start(window.left, window.width, size=self.size[1], length=columns)
        canvas = np.empty((*self.size, *array.shape[2:]), array.dtype)
        canvas[:] = _blank(name, array.dtype, mean=mean)
        canvas[top : top + rows, left : left + columns] = part
        return canvas


def _start(length: int, window: int, *, target: int | None, draw: np.random.Generator) -> int:
    """Return where a window begins: within the picture, or around it where the window is larger; over the target."""
    low, high = sorted((0, length - window))
    if target is not None and window < length:
        low = max(low, target - window + 1)
        high = min(high, target)
    return int(draw.integers(low, high, endpoint=True))


def _pixel_of_a_class(mask: np.ndarray, draw: np.random.Generator) -> tuple[int, int] | None:
    counts = np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
    classes = np.flatnonzero(counts)
    if not classes.size:
        return None
    chosen = classes[draw.integers(classes.size)]
    places = np.flatnonzero(mask == chosen)
    row, column = divmod(int(places[draw.integers(places.size)]), mask.shape[1])
    return row, column


def _largest_share(mask: np.ndarray) -> float:
    """Return the share of the most frequent class among the labelled pixels; 1 where there is none."""
    counts = np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
    if not counts.any():
        return 1.0
    return float(counts.max() / counts.sum())


def _inside(array: np.ndarray, window: Window) -> np.ndarray:
    rows = slice(max(window.top, 0), max(window.top, 0) + min(window.height, array.shape[0]))
    columns = slice(max(window.left, 0), max(window.left, 0) + min(window.width, array.shape[1]))
    return array[rows, columns]


def _scaled(length: int, window: int, *, size: int) -> int:
    return min(size, max(1, round(length * size / window)))


def _scaled_start(start: int, window: int, *, size: int, length: int) -> int:
    return min(max(0, round(-start * size / window)), size - length)


def _blank(name: str, dtype: np.dtype, *, mean: tuple[float, ...]) -> np.ndarray:
    if name == "mask":
        return np.array(IGNORE_INDEX, dtype)
    if name == "depth":
        return np.array(np.nan, dtype)
    colour = np.asarray(mean, np.float64)
    if dtype == np.uint8:
        return np.rint(colour * 255).astype(dtype)
    return colour.astype(dtype)

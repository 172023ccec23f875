"""Which digit lies where on which photo: a pure function of (seed, split, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import ConfigError
from segbench.core.rng import generator

CANVAS = 32
DIGIT_SIDE = 14
BLENDS = ("add", "alpha")
COLOURS = ("white", "random")
OFFSETS = ("original", "all")


@dataclass(frozen=True)
class DigitScene:
    """One scene, in whole pixels."""

    digit: int
    """Number of the digit."""

    photo: int
    """Number of the photo."""

    x: int
    """Left of the digit's box."""

    y: int
    """Top of the digit's box."""

    red: int
    """Of the digit's colour, 0..255."""

    green: int
    """Likewise."""

    blue: int
    """Likewise."""


@dataclass(frozen=True)
class DigitLayout:
    """The settings that plans and pixels depend on."""

    canvas: tuple[int, int]
    """Height and width in pixels."""

    blend: str
    """`add` or `alpha`."""

    gain: int
    """What a full digit value adds, for `add`."""

    threshold: float
    """Share of the full value above which a pixel is digit."""

    colour: str
    """`white` or `random`, for `alpha`."""

    offsets: str
    """`original` leaves out the last place in each direction (0..17 of 0..18 at 32 pixels), `all` does not."""

    def __post_init__(self) -> None:
        for name, valid in (("blend", BLENDS), ("colour", COLOURS), ("offsets", OFFSETS)):
            check_word(f"data.{name}", getattr(self, name), valid=valid)
        if not 0 <= self.threshold < 1 or not 0 <= self.gain <= 255:
            raise ConfigError(
                f"data.mask_threshold must be in [0, 1) and data.gain in 0..255, got {self.threshold} and {self.gain}"
            )

    @property
    def box(self) -> tuple[int, int]:
        """Height and width of the digit: 14 of 32 pixels."""
        height, width = (max(1, round(side * DIGIT_SIDE / CANVAS)) for side in self.canvas)
        return height, width

    @property
    def least(self) -> int:
        """The smallest value of 0..255 that is above the threshold."""
        return int(np.floor(self.threshold * 255 + 1e-9)) + 1


class DigitPlanner:
    """Plans the scenes of one split from the numbers of the digits and photos it may use."""

    def __init__(
        self, seed: int, split: Split, *, layout: DigitLayout, digits: Sequence[int] | np.ndarray, photos: np.ndarray
    ) -> None:
        self.seed = seed
        self.split = split
        self.layout = layout
        self.digits = digits
        self.photos = photos
        last = 1 if layout.offsets == "all" else 0
        self.places = [max(1, side - part + last) for side, part in zip(layout.canvas, layout.box, strict=True)]

    def scene(self, epoch: int, index: int) -> DigitScene:
        """Return scene `index` of `epoch`."""
        # one call for all numbers; a number below 1 times a small count is always rounded to below the count
        draw = generator("digit", self.seed, self.split, epoch, index).random(7).tolist()
        colour = [255, 255, 255]
        if self.layout.colour == "random":
            colour = [int(share * 256) for share in draw[4:]]
        return DigitScene(
            int(self.digits[int(draw[0] * len(self.digits))]),
            int(self.photos[int(draw[1] * len(self.photos))]),
            int(draw[2] * self.places[1]),
            int(draw[3] * self.places[0]),
            *colour,
        )


def official_splits(count: int, training: int, *, val_share: float, seed: int, what: str) -> dict[str, np.ndarray]:
    """Return the numbers of the pictures of each split: val is held out of the official training pictures.

    Args:
        count: Pictures in all; those from `training` on are official test pictures.
        training: Official training pictures.
        val_share: Share of the training pictures kept for val.
        seed: Key of the choice.
        what: Name of the pictures, part of the key.
    """
    order = generator("held out", seed, what).permutation(training)
    held = min(max(1, round(val_share * training)), training - 1)
    parts = (np.sort(order[held:]), np.sort(order[:held]), np.arange(training, count))
    return dict(zip(SPLITS, parts, strict=True))

"""Which foreground lies where on which background: a pure function of (seed, split, epoch, index).

A plan is a few integers. Nothing is enumerated or stored, so 400,000 plans start as fast as 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.core.choices import Split, check_word
from segbench.core.errors import ConfigError
from segbench.core.rng import Bijection, generator

GRID_COLUMNS = 5
GRID_ROWS = 4
CELLS = GRID_COLUMNS * GRID_ROWS
GRID_STEP = 28 / 192
POSITIONS = ("random", "grid")


@dataclass(frozen=True)
class Scene:
    """One scene, in whole pixels. The foreground's box may reach beyond the canvas and is clipped there."""

    foreground: int
    """Number of the foreground's picture."""

    background: int
    """Number of the background's picture."""

    flip: int
    """1 mirrors the foreground left to right."""

    x: int
    """Left of the box."""

    y: int
    """Top of the box."""

    width: int
    """Of the box."""

    height: int
    """Of the box."""

    background_x: int
    """Left of the canvas on the larger background."""

    background_y: int
    """Top of the canvas on the larger background."""

    background_flip: int
    """1 mirrors the background."""


@dataclass(frozen=True)
class Layer:
    """One of several cut-outs of a scene, with the meanings of `Scene`."""

    foreground: int
    """Number of the cut-out's picture."""

    flip: int
    """1 mirrors it left to right."""

    x: int
    """Left of its box."""

    y: int
    """Top of its box."""

    width: int
    """Of its box."""

    height: int
    """Of its box."""


@dataclass(frozen=True)
class Layout:
    """The settings that a plan depends on."""

    canvas: tuple[int, int]
    """Height and width of a scene in pixels."""

    scale: tuple[float, float]
    """Smallest and largest longer side of a foreground, as a share of the canvas's shorter side."""

    position: str
    """Where foregrounds lie.

    `random`: the centre lies anywhere on the canvas that keeps at least half of each side inside. `grid`: the older
    projects' 5 x 4 places, one scale, every combination once.
    """

    flip: bool
    """Also use mirrored foregrounds."""

    margin: tuple[int, int]
    """Height and width of the background beyond the canvas, in pixels."""

    def __post_init__(self) -> None:
        check_word("data.position", self.position, valid=POSITIONS)
        low, high = self.scale
        if not 0 < low <= high:
            raise ConfigError(f"data.scale must be [smallest, largest] with 0 < smallest <= largest, got {[low, high]}")
        if high > 1:
            raise ConfigError(
                f"data.scale={[low, high]} makes a foreground larger than the canvas; the largest scale is 1.0"
            )


class Planner:
    """Plans the scenes of one split.

    Args:
        seed: `data.seed`: which scenes exist.
        split: `train`, `val` or `test`.
        layout: Canvas, scale, position.
        foregrounds: Numbers of the foregrounds this split may use.
        backgrounds: Numbers of the backgrounds this split may use.
        sizes: Height and width of every foreground picture, by number; only their ratio matters.
        offset: For `position=grid`: how many of the combinations the splits before this one have taken.
    """

    def __init__(
        self,
        seed: int,
        split: Split,
        *,
        layout: Layout,
        foregrounds: Sequence[int],
        backgrounds: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        offset: int = 0,
    ) -> None:
        self.seed = seed
        self.split = split
        self.layout = layout
        self.offset = offset
        self.foregrounds = list(foregrounds)
        self.backgrounds = list(backgrounds)
        self.sizes = sizes
        self._flips = 2 if layout.flip else 1
        self._order = Bijection(self.combinations, "grid", seed, *self.foregrounds, "on", *self.backgrounds)

    @property
    def combinations(self) -> int:
        """Number of different scenes of `position=grid`: foregrounds x backgrounds x 20 places x flips."""
        return len(self.foregrounds) * len(self.backgrounds) * CELLS * self._flips

    def scene(self, epoch: int, index: int) -> Scene:
        """Return scene `index` of `epoch`; the grid's scenes are the same in every epoch."""
        if self.layout.position == "grid":
            return self._grid_scene(self._order(self.offset + index))
        return self._random_scene(generator("scene", self.seed, self.split, epoch, index))

    def _random_scene(self, draw: np.random.Generator) -> Scene:
        layout = self.layout
        foreground = self.foregrounds[draw.integers(len(self.foregrounds))]
        background = self.backgrounds[draw.integers(len(self.backgrounds))]
        low, high = layout.scale
        height, width = self._box(foreground, low + (high - low) * draw.random())
        flips = draw.integers(0, self._flips), draw.integers(0, 2)
        canvas_height, canvas_width = layout.canvas
        return Scene(
            foreground=foreground,
            background=background,
            flip=int(flips[0]),
            x=int(draw.integers(-(width // 4), canvas_width - width + width // 4 + 1)),
            y=int(draw.integers(-(height // 4), canvas_height - height + height // 4 + 1)),
            width=width,
            height=height,
            background_x=int(draw.integers(layout.margin[1] + 1)),
            background_y=int(draw.integers(layout.margin[0] + 1)),
            background_flip=int(flips[1]) if max(layout.margin) else 0,
        )

    def _grid_scene(self, combination: int) -> Scene:
        rest, flip = divmod(combination, self._flips)
        rest, cell = divmod(rest, CELLS)
        background, foreground = divmod(rest, len(self.foregrounds))
        row, column = divmod(cell, GRID_COLUMNS)
        number = self.foregrounds[foreground]
        height, width = self._box(number, self.layout.scale[1])
        canvas_height, canvas_width = self.layout.canvas
        return Scene(
            foreground=number,
            background=self.backgrounds[background],
            flip=flip,
            x=round(GRID_STEP * column * canvas_width),
            y=round(GRID_STEP * (GRID_ROWS - row) * canvas_height),
            width=width,
            height=height,
            background_x=self.layout.margin[1] // 2,
            background_y=self.layout.margin[0] // 2,
            background_flip=0,
        )

    def _box(self, foreground: int, scale: float) -> tuple[int, int]:
        height, width = self.sizes[foreground]
        longest = scale * min(self.layout.canvas)
        ratio = longest / max(height, width)
        return max(1, round(height * ratio)), max(1, round(width * ratio))

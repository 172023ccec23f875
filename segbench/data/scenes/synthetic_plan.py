"""Which cut-outs lie where in a `synthetic` scene, back to front: a pure function of (seed, split, epoch, index)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segbench.core.choices import Split, check_word
from segbench.core.errors import ConfigError
from segbench.core.rng import generator
from segbench.data.scenes.depth import DepthModel
from segbench.data.scenes.plan import Layer
from segbench.data.scenes.synthetic_backdrops import BACKGROUNDS

PLACEMENTS = ("random", "original")
STEP = 0.98
"""A cut-out is at most this share of the depth of the one that was painted before it."""

# The rule of gnouhp/Synthetic-Segmentation on its canvas of 256 x 256, by paint order: farther and smaller first
CANVAS = 256
JITTER = 20
ORDER_SCALES = (0.8, 1.0, 1.3, 1.8)
ANCHORS_X = (-50, 125, 20, 80)
ANCHORS_Y = (10, 40, 80, 140)
BASE_SIZES = {"ostrich": (90, 100), "cheetah": (100, 70), "elephant": (140, 110), "lion": (120, 80)}
OTHER_BASE = 110  # the longer side of a species that the rule does not know, which keeps its picture's shape

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Backdrop:
    """What is behind the cut-outs, in whole numbers; the kind says which of them count."""

    colour: Colour
    """Red, green and blue of a flat colour, and of one end of a gradient."""

    other: Colour
    """Red, green and blue of the other end of a gradient."""

    dx: int
    """Direction of the gradient, to the right."""

    dy: int
    """Direction of the gradient, downwards."""

    key: int
    """Of the noise."""

    background: int
    """As in `Scene`, for a photograph."""

    background_x: int
    """Likewise."""

    background_y: int
    """Likewise."""

    background_flip: int
    """Likewise."""


@dataclass(frozen=True)
class Painting:
    """A scene: a backdrop and the cut-outs on it in painter's order, the farthest first."""

    backdrop: Backdrop
    """What is behind."""

    layers: tuple[Layer, ...]
    """The cut-outs, the farthest first."""


@dataclass(frozen=True)
class PaintingLayout:
    """The settings that a plan depends on."""

    canvas: tuple[int, int]
    """Height and width of a scene in pixels."""

    placement: str
    """Where cut-outs lie.

    `random`: any place that keeps at least half of each side inside; painted from far to near by the depth model.
    `original`: the rule above.
    """

    objects: tuple[int, int]
    """Fewest and most cut-outs."""

    scale: tuple[float, float]
    """Smallest and largest longer side as a share of the canvas's shorter side, for `random` only."""

    flip: bool
    """Also use mirrored cut-outs, for `random` only."""

    background: str
    """Kind of backdrop."""

    colours: tuple[Colour, ...] | None
    """To draw from; None for any."""

    margin: tuple[int, int]
    """Height and width of photographs beyond the canvas, in pixels."""

    def __post_init__(self) -> None:
        check_word("data.placement", self.placement, valid=PLACEMENTS)
        check_word("data.background", self.background, valid=BACKGROUNDS)
        most = 100
        if self.placement == "original":
            most = len(ORDER_SCALES)
        if not 1 <= self.objects[0] <= self.objects[1] <= most:
            raise ConfigError(
                f"data.objects must be [fewest, most] with 1 <= fewest <= most <= {most} for"
                f" data.placement={self.placement}, got {list(self.objects)}"
            )
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ConfigError(
                f"data.scale must be [smallest, largest] with 0 < smallest <= largest <= 1, got {list(self.scale)}"
            )
        wrong = [c for c in self.colours or () if len(c) != 3 or not all(0 <= v <= 255 for v in c)]
        if wrong or (self.colours is not None and not self.colours):
            raise ConfigError(
                "data.colours must be null or a list of [red, green, blue] in 0..255, got"
                f" {[list(colour) for colour in wrong or self.colours or ()]}"
            )


class PaintingPlanner:
    """Plans the scenes of one split.

    Args:
        seed: `data.seed`: which scenes exist.
        split: `train`, `val` or `test`.
        layout: Canvas, placement, backdrop.
        species: Name of each class of cut-outs and the numbers of its pictures that this split may use.
        backgrounds: Numbers of the photographs this split may use.
        sizes: Height and width of every cut-out, by number; only their ratio matters.
        depth: Says what is farther, for the painter's order of `random`.
    """

    def __init__(
        self,
        seed: int,
        split: Split,
        *,
        layout: PaintingLayout,
        species: dict[str, list[int]],
        backgrounds: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        depth: DepthModel,
    ) -> None:
        self.seed = seed
        self.split = split
        self.layout = layout
        self.depth = depth
        self.species = list(species.items())
        self.backgrounds = list(backgrounds)
        self.sizes = sizes
        self._draws = 16 + 8 * layout.objects[1]

    def scene(self, epoch: int, index: int) -> Painting:
        """Return scene `index` of `epoch`."""
        # one call for all numbers of a scene: each call to the generator costs as much as a hundred of its numbers
        draw = iter(generator("painting", self.seed, self.split, epoch, index).random(self._draws).tolist())
        backdrop = self._backdrop(draw)
        fewest, most = self.layout.objects
        count = fewest + _pick(draw, most - fewest + 1)
        if self._is_original:
            return Painting(backdrop, self._original(draw, count))
        return Painting(backdrop, self._random(draw, count))

    @property
    def _is_original(self) -> bool:
        return self.layout.placement == "original"

    def _backdrop(self, draw: Iterator[float]) -> Backdrop:
        colour, other = self._colours(draw)
        dx = _pick(draw, 17) - 8
        dy = _pick(draw, 17) - 8
        key = _pick(draw, 1 << 31)
        margin = self.layout.margin
        return Backdrop(
            colour=colour,
            other=other,
            dx=dx if dx or dy else 1,
            dy=dy,
            key=key,
            background=self.backgrounds[_pick(draw, len(self.backgrounds))] if self.backgrounds else 0,
            background_x=_pick(draw, margin[1] + 1),
            background_y=_pick(draw, margin[0] + 1),
            background_flip=_pick(draw, 2) if max(margin) else 0,
        )

    def _colours(self, draw: Iterator[float]) -> tuple[Colour, Colour]:
        choices = self.layout.colours
        if choices is None:
            red, green, blue, *other = (_pick(draw, 256) for _ in range(6))
            return (red, green, blue), (other[0], other[1], other[2])
        first = _pick(draw, len(choices))
        further = 0
        if len(choices) > 1:
            further = 1 + _pick(draw, len(choices) - 1)
        return choices[first], choices[(first + further) % len(choices)]

    def _choose(self, draw: Iterator[float]) -> tuple[str, int]:
        name, numbers = self.species[_pick(draw, len(self.species))]
        return name, numbers[_pick(draw, len(numbers))]

    def _random(self, draw: Iterator[float], count: int) -> tuple[Layer, ...]:
        height, width = self.layout.canvas
        low, high = self.layout.scale
        layers = []
        for _ in range(count):
            _, number = self._choose(draw)
            tall, wide = _fit(self.sizes[number], (low + (high - low) * next(draw)) * min(height, width))
            flip = _pick(draw, 2) if self.layout.flip else 0
            x = _pick(draw, width - wide + 2 * (wide // 4) + 1) - wide // 4
            y = _pick(draw, height - tall + 2 * (tall // 4) + 1) - tall // 4
            layers.append(Layer(number, flip, x, y, wide, tall))
        return tuple(sorted(layers, key=lambda layer: (-self.depth.foreground(layer, height), layer.y + layer.height)))

    def _original(self, draw: Iterator[float], count: int) -> tuple[Layer, ...]:
        keys = [next(draw) for _ in ANCHORS_X]
        across = [x for _, x in sorted(zip(keys, ANCHORS_X, strict=True))]
        down, right = (side / CANVAS for side in self.layout.canvas)
        layers = []
        for order in range(count):
            name, number = self._choose(draw)
            tall, wide = _fit(self.sizes[number], OTHER_BASE)
            wide, tall = BASE_SIZES.get(name, (wide, tall))
            x = across[order] + _pick(draw, 2 * JITTER) - JITTER
            y = ANCHORS_Y[order] + _pick(draw, 2 * JITTER) - JITTER
            wide = round(wide * ORDER_SCALES[order])
            tall = round(tall * ORDER_SCALES[order])
            size = max(1, round(wide * right)), max(1, round(tall * down))
            layers.append(Layer(number, 0, round(x * right), round(y * down), *size))
        return tuple(layers)


def _pick(draw: Iterator[float], count: int) -> int:
    """Return one of `range(count)`; a number below 1 times a count below 2**52 is always rounded to below the count."""
    return int(next(draw) * count)


def _fit(size: tuple[int, int], longest: float) -> tuple[int, int]:
    ratio = longest / max(size)
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def layer_depths(painting: Painting, model: DepthModel, *, height: int) -> np.ndarray:
    """Return the depth of each layer in painter's order, float32 `[layers]`, strictly decreasing.

    The model says how far a cut-out of this size, standing at this row, is; but each is at least 2 % nearer than the
    one that was painted before it, so that what hides something is always in front of it.
    """
    depths: list[float] = []
    for layer in painting.layers:
        depth = model.foreground(layer, height)
        depths.append(min(depth, STEP * depths[-1]) if depths else depth)
    return np.array(depths, dtype=np.float32)

"""What annotation tools draw, in one form, and the mask of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.data.files.items import Item
from segbench.data.files.labels import UNKNOWN
from segbench.data.files.outlines import CIRCLE, OutlineReader, Points, inside
from segbench.data.problems import FileError


@dataclass(frozen=True)
class Shape:
    """A labelled part of a picture."""

    label: str
    """Its name in the tool."""

    kind: str
    """`polygon`, `runs`, or what the tool calls something without an outline, such as `box`."""

    points: Points
    """x and y in pixels: the corners of a polygon, opposite corners of a box, the upper left corner of runs."""

    size: tuple[int, int] = (0, 0)
    """Height and width of the part that runs describe."""

    runs: tuple[int, ...] = ()
    """Numbers of pixels along the rows, outside and inside in turn."""

    def __post_init__(self) -> None:
        """Raise a ValueError for points that lie nowhere, which would be drawn without end."""
        if not all(math.isfinite(number) for point in self.points for number in point):
            raise ValueError(f"{self.kind}: a number in it is not finite")


@dataclass(frozen=True)
class Annotated:
    """A picture in a file of annotations."""

    name: str
    """Its path, as the tool knows it."""

    size: tuple[int, int]
    """Height and width."""

    shapes: tuple[Shape, ...]
    """In the order in which they lie on each other."""

    split: str = ""
    """What the tool calls its part of the data; empty where it has none."""


class ShapeReader(OutlineReader):
    """Draws the mask of a picture whose item's label is an `Annotated`."""

    mode = "shapes"
    suffixes = ()

    def of(self, item: Item) -> np.ndarray:
        """Return the mask of an item."""
        found: Annotated = item.label
        unknown = (shape.label for shape in found.shapes if self.map.name(shape.label) == UNKNOWN)
        self._refuse_unknown(unknown, "labels")
        mask = np.zeros(found.size, np.uint8)
        for shape in found.shapes:
            self._draw(mask, shape, value=self.map.name(shape.label))
        return mask

    def _draw(self, mask: np.ndarray, shape: Shape, *, value: int) -> None:
        if shape.kind == "polygon" and len(shape.points) >= 3:
            mask[inside(shape.points, mask.shape)] = value
        elif shape.kind == "runs":
            _paste(mask, shape, value=value)
        else:
            self._without_area(mask, shape.points or [(0.0, 0.0)], what=f"a shape of the kind {shape.kind:.30}")


def ellipse(middle: tuple[float, float], radii: tuple[float, float], *, degrees: float = 0.0) -> Points:
    """Return the corners of the polygon that stands for an ellipse, turned clockwise."""
    angles = [2 * math.pi * number / CIRCLE for number in range(CIRCLE)]
    corners = [(middle[0] + radii[0] * math.cos(a), middle[1] + radii[1] * math.sin(a)) for a in angles]
    return turned(corners, middle, degrees=degrees)


def turned(points: Points, middle: tuple[float, float], *, degrees: float) -> Points:
    """Return points turned clockwise around another one."""
    if not degrees:
        return points
    sine = math.sin(math.radians(degrees))
    cosine = math.cos(math.radians(degrees))
    away = [(x - middle[0], y - middle[1]) for x, y in points]
    return [(middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine) for x, y in away]


def runs_of(values: np.ndarray) -> tuple[int, ...]:
    """Return the runs of a mask, bool in any shape, along its rows."""
    flat = np.concatenate([[False], values.ravel().astype(bool)])
    edges = np.flatnonzero(np.diff(flat)).tolist()
    return tuple(np.diff([0, *edges, values.size]).tolist())


def _paste(mask: np.ndarray, shape: Shape, *, value: int) -> None:
    height, width = shape.size
    left, top = (round(side) for side in shape.points[0])
    fits = 0 <= left <= left + width <= mask.shape[1] and 0 <= top <= top + height <= mask.shape[0]
    if not fits or min(shape.runs, default=-1) < 0 or sum(shape.runs) != height * width:
        raise FileError("a brushed mask whose runs do not fill its box within the picture")
    is_inside = np.arange(len(shape.runs)) % 2 == 1
    part = np.repeat(is_inside, shape.runs).reshape(height, width)
    mask[top : top + height, left : left + width][part] = value


def as_plain(found: Annotated) -> Sequence[object]:
    """Return an annotated picture as plain data, which is the same for equal shapes."""
    shapes = [[shape.label, shape.kind, shape.points, shape.size, shape.runs] for shape in found.shapes]
    return [found.size, shapes]

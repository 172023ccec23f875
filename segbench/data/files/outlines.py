"""Masks drawn from the outlines that annotation tools write beside each picture: LabelMe's JSON and YOLO's text."""

from __future__ import annotations

import base64
import io
import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle_tools

from segbench.core.choices import check_word
from segbench.core.plain import Json
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.items import Item
from segbench.data.files.labels import UNKNOWN, label_map
from segbench.data.files.texts import read_text
from segbench.data.pictures import load_picture, upright
from segbench.data.problems import FileError, LabelError, first_names

MAX_BYTES = 1 << 28
"""Of a file of outlines, which may hold its picture as well."""

BOXES = ("refuse", "skip")
CIRCLE = 64
"""Corners of the polygon that stands for a circle."""

Points = list[tuple[float, float]]


class OutlineReader:
    """Draws masks: class 0 where there is no outline; later outlines lie on earlier ones.

    Args:
        classes: Names of the classes; the first is the background.
        labels: What the labels mean (see `label_map`); None for classes of their names.
        boxes: What has a box or a line and no outline: `refuse`, or `skip`, whose box becomes 255.
    """

    mode: str
    suffixes: tuple[str, ...]
    is_mapped = True
    has_plain_ids = False

    def __init__(self, classes: Sequence[str], labels: Mapping[object, object] | None, *, boxes: str) -> None:
        check_word("data.boxes", boxes, valid=BOXES)
        self.map = label_map(labels, classes)
        self.classes = list(classes)
        self.boxes = boxes

    def prepare(self) -> None:
        """There is no file for all of them that would have to be read first."""
        return

    def settings(self) -> dict[str, object]:
        """Return what decides how outlines become ids."""
        values = {int(place): int(value) for place, value in enumerate(self.map.values) if value != UNKNOWN}
        return {"masks": self.mode, "boxes": self.boxes, "names": dict(self.map.names), "ids": values}

    @abstractmethod
    def of(self, item: Item) -> np.ndarray:
        """Return the mask of an item, uint8 `[H, W]`; a LabelError says what means nothing."""

    def _refuse_unknown(self, labels: Iterable[str], what: str) -> None:
        unknown = first_names(sorted(set(labels)))
        if unknown:
            cure = "add them to one of them, or give data.labels={other: ignore}"
            raise LabelError(f"{what} {{}} are neither in data.classes nor in data.labels", detail=unknown, cure=cure)

    def _without_area(self, mask: np.ndarray, points: Points, *, what: str) -> None:
        if self.boxes == "refuse":
            raise LabelError(f"{what} has no outline", cure="data.boxes=skip ignores what lies in its box")
        columns, rows = zip(*points, strict=True)
        mask[_from_to(rows), _from_to(columns)] = IGNORE_INDEX


class LabelMe(OutlineReader):
    """JSON as LabelMe writes it: polygons, rectangles, circles and masks with names (github.com/wkentaro/labelme)."""

    mode = "labelme"
    suffixes = (".json",)

    def of(self, item: Item) -> np.ndarray:
        """Return the mask of an item."""
        path = Path(item.label)
        content = _object(path)
        height = content.get("imageHeight")
        width = content.get("imageWidth")
        if not isinstance(height, int) or not isinstance(width, int):
            height, width = _size_of(item.image)
        shapes = [shape for shape in content.get("shapes", []) if isinstance(shape, dict)]
        names = [str(shape.get("label")) for shape in shapes]
        self._refuse_unknown((name for name in names if self.map.name(name) == UNKNOWN), "labels")
        mask = np.zeros((height, width), np.uint8)
        for shape in shapes:
            self._draw(mask, shape, value=self.map.name(str(shape.get("label"))))
        return mask

    def _draw(self, mask: np.ndarray, shape: Json, *, value: int) -> None:
        kind = shape.get("shape_type") or "polygon"
        points = _points(shape.get("points"))
        if kind == "mask" and points:
            _paste(mask, shape, corner=points[0], value=value)
        elif kind == "rectangle" and len(points) >= 2:
            left, top = points[0]
            right, bottom = points[2 if len(points) == 4 else 1]
            mask[inside([(left, top), (right, top), (right, bottom), (left, bottom)], mask.shape)] = value
        elif kind == "circle" and len(points) == 2:
            x, y = points[0]
            radius = math.dist(*points)
            turns = [2 * math.pi * k / CIRCLE for k in range(CIRCLE)]
            mask[inside([(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns], mask.shape)] = value
        elif kind == "polygon" and len(points) >= 3:
            mask[inside(points, mask.shape)] = value
        else:
            self._without_area(mask, points or [(0, 0)], what=f"a shape of the kind {kind:.30}")


class Yolo(OutlineReader):
    """Text as YOLO's segmentation has it: a class's number and x y x y ... in shares of width and height, a line.

    Without `data.labels`, number k is the class after the k-th: the first of the classes is the background.
    """

    mode = "yolo"
    suffixes = (".txt",)

    def __init__(self, classes: Sequence[str], labels: Mapping[object, object] | None, *, boxes: str) -> None:
        numbered: dict[object, object] = {str(number): name for number, name in enumerate(classes[1:])}
        super().__init__(classes, numbered if labels is None else labels, boxes=boxes)

    def of(self, item: Item) -> np.ndarray:
        """Return the mask of an item."""
        path = Path(item.label)
        rows = [_numbers(line, path) for line in read_text(path, "the outlines in", limit=MAX_BYTES).splitlines()]
        rows = [row for row in rows if row]
        numbers = {int(row[0]) for row in rows}
        self._refuse_unknown((str(number) for number in numbers if self._id(number) == UNKNOWN), "numbers")
        height, width = _size_of(item.image)
        mask = np.zeros((height, width), np.uint8)
        for number, *values in rows:
            points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=False)]
            if len(values) == 4:
                x, y, wide, high = values
                box = [((x + k * wide / 2) * width, (y + k * high / 2) * height) for k in (-1, 1)]
                self._without_area(mask, box, what="a line of four numbers, which is a box,")
            elif len(values) < 6 or len(values) % 2:
                raise FileError("a line that is no class with at least three points x y")
            else:
                mask[inside(points, mask.shape)] = self._id(int(number))
        return mask

    def _id(self, number: int) -> int:
        if 0 <= number < len(self.map.values):
            return int(self.map.values[number])
        return UNKNOWN


def _object(path: Path) -> Json:
    try:
        content = json.loads(read_text(path, "the outlines in", limit=MAX_BYTES))
    except (ValueError, RecursionError):
        raise FileError("no JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("shapes", []), list):
        raise FileError("no file of LabelMe: it has no list of shapes")
    return content


def _points(found: Any) -> Points:
    pairs = found if isinstance(found, list) else []
    good = all(isinstance(p, list) and len(p) == 2 and all(isinstance(v, int | float) for v in p) for p in pairs)
    if not good or not all(math.isfinite(v) for pair in pairs for v in pair):
        raise FileError("a shape whose points are no pairs of numbers")
    return [(float(x), float(y)) for x, y in pairs]


def _numbers(line: str, path: Path) -> list[float]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        raise FileError("a line that is not all numbers") from None
    if not all(-1 <= value <= 2 for value in values[1:]) or (values and values[0] != int(values[0])):
        raise FileError("a line that is no class and shares of width and height, 0 to 1")
    return values


def _from_to(places: Iterable[float]) -> slice:
    """Return the pixels from the smallest to the largest place, at least the one in which they lie."""
    numbers = [round(place, 6) for place in places]  # a turn by 90 degrees leaves a trace of rounding
    first = math.floor(min(numbers))
    return slice(max(0, first), max(0, first + 1, math.ceil(max(numbers))))


def inside(points: Points, size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels within a polygon, bool `[H, W]`, as COCO draws it: a pixel belongs to where its middle lies."""
    height, width = size
    flat = [min(max(v, -side), 2 * side) for point in points for v, side in zip(point, (width, height), strict=True)]
    found: np.ndarray = rle_tools.decode(rle_tools.merge(rle_tools.frPyObjects([flat], height, width)))
    return found.astype(bool)


def _paste(mask: np.ndarray, shape: Json, *, corner: tuple[float, float], value: int) -> None:
    """Draw a shape that LabelMe holds as a small PNG and the place of its corner."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=["PNG"]) as picture:
            inside = np.asarray(picture).astype(bool)
    except Exception:  # whatever it is, no PNG in base64
        raise FileError("a shape of the kind mask that holds no PNG") from None
    left, top = (round(side) for side in corner)
    part = mask[max(top, 0) : top + inside.shape[0], max(left, 0) : left + inside.shape[1]]
    part[inside[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]] = value


def _size_of(image: Path) -> tuple[int, int]:
    picture = upright(load_picture(image))
    return picture.height, picture.width


READERS: dict[str, type[OutlineReader]] = {reader.mode: reader for reader in (LabelMe, Yolo)}
"""By the word of `data.masks`."""

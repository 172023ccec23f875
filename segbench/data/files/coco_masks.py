"""Drawing class masks from COCO annotations: polygons, run lengths, crowds and overlaps (Lin et al., 2014)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pycocotools import mask as rle_tools

from segbench.core.plain import Json
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.masks import check_depth
from segbench.data.pictures import load_picture, upright
from segbench.data.problems import LabelError

Annotation = Json
"""An object of the annotation file, or a segment of a panoptic picture; `coco_index` has checked what is used of it."""


def decode(annotation: Annotation, *, height: int, width: int) -> np.ndarray:
    """Return the pixels of an object as bool `[H, W]`; the polygons of one object are united.

    Run lengths go down the columns, as COCO defines them.

    Raises:
        LabelError: if there is no outline, or it does not fit the picture.
    """
    outline = annotation.get("segmentation")
    where = f"annotation {annotation.get('id')}"
    cure = ""
    if has_no_outline(annotation):
        cure = "data.boxes=skip ignores the boxes of objects without an outline"
    if isinstance(outline, list):
        # two points are taken for a box by pycocotools
        if not outline or any(not isinstance(p, list) or len(p) < 6 or len(p) % 2 for p in outline):
            raise LabelError(f"{where} has no polygon of at least three points", cure=cure)
        if not all(_is_near(p[0::2], width) and _is_near(p[1::2], height) for p in outline):
            raise LabelError(f"{where} has a polygon far outside of the picture, or of something else than numbers")
        inside: np.ndarray = rle_tools.decode(rle_tools.merge(rle_tools.frPyObjects(outline, height, width)))
        return inside.astype(bool)
    if not isinstance(outline, Mapping) or list(outline.get("size", ())) != [height, width]:
        raise LabelError(f"{where} has no outline of the picture's {height} x {width} pixels", cure=cure)
    runs = outline.get("counts")
    if isinstance(runs, str):
        runs = _unpacked(runs.encode())
    if not isinstance(runs, list) or any(type(run) is not int or run < 0 for run in runs):
        raise LabelError(f"{where} has no run lengths")
    if sum(runs) != height * width:  # not checked by pycocotools, which would leave pixels as the memory was
        raise LabelError(f"{where} has run lengths of {sum(runs)} pixels, not {height * width}")
    packed = rle_tools.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    found: np.ndarray = rle_tools.decode(packed)
    return found.astype(bool)


def has_no_outline(annotation: Annotation) -> bool:
    """Return whether there is only a box, as detectors and some tools write it: nothing, null, [] or [[]]."""
    outline = annotation.get("segmentation")
    return not outline or (isinstance(outline, list) and not any(outline))


def _is_near(coordinates: list[object], side: int) -> bool:
    # pycocotools walks along every edge, and crashes where there is no end to it
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and -side <= value <= 2 * side
        for value in coordinates
    )


def _unpacked(text: bytes) -> list[int] | None:
    """Return the run lengths of COCO's compressed form: 5 bits a character, each run relative to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        return None
    return runs


def draw(
    annotations: list[Annotation],
    class_of: Mapping[int, int],
    *,
    size: tuple[int, int],
    min_area: float = 0.0,
    overlap: str = "ignore",
    crowd: str = "ignore",
    boxes: str = "refuse",
) -> np.ndarray:
    """Return the class mask of a picture, uint8 `[H, W]`.

    Class 0 where there is no chosen object. 255 in crowds, in objects smaller than `min_area`, and where objects
    overlap.

    Args:
        annotations: The picture's annotations of chosen categories.
        class_of: Class id by category id.
        size: Height and width of the picture.
        min_area: Smallest `area` of an object that counts, in pixels of the original picture.
        overlap: `ignore`: 255 wherever two objects overlap. `class`: only where their classes differ.
        crowd: `ignore`: 255 in crowds. `object`: they are objects.
        boxes: `refuse` objects without outline, or `skip`: 255 in their boxes.
    """
    height, width = size
    mask = np.zeros(size, np.uint8)
    covered = np.zeros(size, bool)
    doubtful = np.zeros(size, bool)
    for annotation in annotations:
        if boxes == "skip" and has_no_outline(annotation):
            doubtful[_box(annotation)] = True
            continue
        inside = decode(annotation, height=height, width=width)
        value = class_of[annotation["category_id"]]
        if not counts(annotation, min_area, crowd=crowd):
            doubtful |= inside
            continue
        doubtful |= inside & covered & ((mask != value) if overlap == "class" else True)
        covered |= inside
        mask[inside] = value
    mask[doubtful] = IGNORE_INDEX
    return mask


def _box(annotation: Annotation) -> tuple[slice, slice]:
    """Return the rows and columns of an object's box; none of them where it has no box."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
        return slice(0), slice(0)
    left, top, width, height = box
    rows = slice(max(0, math.floor(top)), max(0, math.ceil(top + height)))
    return rows, slice(max(0, math.floor(left)), max(0, math.ceil(left + width)))


def counts(annotation: Annotation, min_area: float, *, crowd: str = "ignore") -> bool:
    """Return whether an object is labelled: of at least `min_area` by the file's `area`, and no ignored crowd."""
    is_ignored = crowd == "ignore" and annotation.get("iscrowd", 0)
    return not is_ignored and annotation.get("area", min_area) >= min_area


def draw_panoptic(
    path: Path, annotations: list[Annotation], *, class_of: Mapping[int, int], size: tuple[int, int], min_area: float
) -> np.ndarray:
    """Return the class mask of a picture from a panoptic PNG, whose colours number the segments.

    A segment's number is red + 256 green + 65536 blue; 0 is unlabelled and becomes 255, as do crowds and segments
    smaller than `min_area`. Segments of categories that are not chosen are class 0.

    Raises:
        LabelError: if the PNG has another size, or segments that the JSON does not list.
    """
    picture = load_picture(path)
    if picture.info["lossy"]:
        raise LabelError(f"{path.name} does not keep its colours exactly; save it as PNG")
    check_depth(picture)
    picture = upright(picture)
    if picture.mode != "RGB" or (picture.height, picture.width) != size:
        raise LabelError(f"{path.name} is no RGB picture of {size[0]} x {size[1]} pixels")
    colours = np.asarray(picture).astype(np.int64)
    numbers = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    values = {0: IGNORE_INDEX}
    for segment in annotations:
        chosen = segment["category_id"] in class_of
        value = class_of[segment["category_id"]] if chosen else 0
        values[segment["id"]] = value if not chosen or counts(segment, min_area) else IGNORE_INDEX
    found, inverse = np.unique(numbers, return_inverse=True)
    unknown = [number for number in found.tolist() if number not in values]
    if unknown:
        raise LabelError(f"{path.name} has segments that the JSON does not list: {unknown[:8]}")
    mask: np.ndarray = np.array([values[number] for number in found.tolist()], np.uint8)[inverse.reshape(size)]
    return mask

"""Drawing class masks from COCO annotations: polygons, run lengths, crowds and overlaps (Lin et al., 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle_tools

from segbench.core.classes import IGNORE_INDEX
from segbench.data.files.items import LabelError
from segbench.data.pictures import open_picture

Annotation = Mapping[str, Any]


def decode(annotation: Annotation, height: int, width: int) -> np.ndarray:
    """Return the pixels of an object as bool `[H, W]`; the polygons of one object are united.

    Run lengths go down the columns, as COCO defines them.

    Raises:
        LabelError: if there is no outline, or it does not fit the picture.
    """
    outline, where = annotation.get("segmentation"), f"annotation {annotation.get('id')}"
    if isinstance(outline, list):
        # two points are taken for a box by pycocotools
        if not outline or any(not isinstance(p, list) or len(p) < 6 or len(p) % 2 for p in outline):
            raise LabelError(f"{where} has no polygon of at least three points")
        return rle_tools.decode(rle_tools.merge(rle_tools.frPyObjects(outline, height, width))).astype(bool)
    if not isinstance(outline, Mapping) or list(outline.get("size", ())) != [height, width]:
        raise LabelError(f"{where} has no outline of the picture's {height} x {width} pixels")
    if isinstance(outline["counts"], list):
        if sum(outline["counts"]) != height * width:  # not checked by pycocotools, which would read beyond the end
            raise LabelError(f"{where} has run lengths of {sum(outline['counts'])} pixels, not {height * width}")
        outline = rle_tools.frPyObjects(dict(outline), height, width)
    return rle_tools.decode(outline).astype(bool)


def draw(
    annotations: list[Annotation], class_of: Mapping[int, int], size: tuple[int, int], min_area: float, overlap: str
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
    """
    mask = np.zeros(size, np.uint8)
    covered, doubtful = np.zeros(size, bool), np.zeros(size, bool)
    for annotation in annotations:
        inside, value = decode(annotation, *size), class_of[annotation["category_id"]]
        if not counts(annotation, min_area):
            doubtful |= inside
            continue
        doubtful |= inside & covered & ((mask != value) if overlap == "class" else True)
        covered |= inside
        mask[inside] = value
    mask[doubtful] = IGNORE_INDEX
    return mask


def counts(annotation: Annotation, min_area: float) -> bool:
    """Return whether an object is labelled: no crowd, and of at least `min_area` by the file's `area`."""
    return not annotation.get("iscrowd", 0) and annotation.get("area", min_area) >= min_area


def draw_panoptic(
    path: Path, annotations: list[Annotation], class_of: Mapping[int, int], size: tuple[int, int], min_area: float
) -> np.ndarray:
    """Return the class mask of a picture from a panoptic PNG, whose colours number the segments.

    A segment's number is red + 256 green + 65536 blue; 0 is unlabelled and becomes 255, as do crowds and segments
    smaller than `min_area`. Segments of categories that are not chosen are class 0.

    Raises:
        LabelError: if the PNG has another size, or segments that the JSON does not list.
    """
    picture = open_picture(path)
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
    return np.array([values[number] for number in found.tolist()], np.uint8)[inverse.reshape(size)]

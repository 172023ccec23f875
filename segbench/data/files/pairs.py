"""Reading an image that must lie exactly on its mask, whatever its EXIF orientation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segbench.core.errors import DataError
from segbench.data.files.items import Item
from segbench.data.files.masks import MaskReader
from segbench.data.files.outlines import OutlineReader
from segbench.data.pictures import load_picture, to_rgb, upright
from segbench.data.problems import FileError, SizeMismatch

QUARTER_TURNS = (5, 6, 7, 8)
"""EXIF orientations that swap height and width, so that the mask's shape tells whether it was turned as well."""


def read_pair(item: Item, reader: MaskReader | OutlineReader) -> tuple[np.ndarray, np.ndarray]:
    """Return an item's RGB picture uint8 `[H,W,3]` and the class ids of its mask file, uint8 `[H, W]`.

    Raises:
        DataError: if one of them cannot be used, or they do not fit; a FileError names the mask where it is to blame.
    """
    if item.label is None:  # a picture without a mask, of background alone
        image = upright(load_picture(item.image))
        return np.asarray(to_rgb(image)), np.zeros((image.height, image.width), np.uint8)
    try:
        mask = reader.of(item)
    except FileError as error:
        error.file = item.label
        raise
    return read_image(item.image, mask.shape, item.label), mask


def read_image(path: Path, size: tuple[int, int], mask_file: Path | None = None) -> np.ndarray:
    """Return the image as uint8 `[H,W,3]`, lying as its mask lies.

    An image with an EXIF orientation is turned if its mask's size says that the mask was drawn on the upright picture,
    and left as it is stored if the size says that. Where the size cannot tell (a half turn, a mirror, a square), the
    picture is refused: a guess could put every label in the wrong place.

    Args:
        path: The image file.
        size: Height and width of its mask.
        mask_file: The mask's file, if there is one; one with an EXIF orientation of its own was turned by that.

    Raises:
        SizeMismatch: if the sizes differ.
        DataError: if the image cannot be used.
    """
    stored = load_picture(path)
    orientation = stored.info["orientation"]
    turned = upright(stored)
    wanted = (size[1], size[0])
    if orientation in QUARTER_TURNS and stored.format != "TIFF" and stored.size == wanted != turned.size:
        return np.asarray(to_rgb(stored))
    if turned.size != wanted:
        raise SizeMismatch(
            "the image has {}",
            detail=f"{turned.height} x {turned.width} pixels (height x width), the mask {size[0]} x {size[1]}",
        )
    unclear = orientation not in (0, 1) and (orientation not in QUARTER_TURNS or size[0] == size[1])
    if unclear and not (mask_file and _is_turned(mask_file)):
        raise DataError(
            f"its EXIF orientation {orientation} leaves open whether the mask is turned too; save it upright without it"
        )
    return np.asarray(to_rgb(turned))


def _is_turned(path: Path) -> bool:
    return load_picture(path).info["orientation"] not in (0, 1)

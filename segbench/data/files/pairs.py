"""Reading an image that must lie exactly on its mask, whatever its EXIF orientation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segbench.core.errors import DataError
from segbench.data.files.items import Item
from segbench.data.files.masks import MaskReader
from segbench.data.files.outlines import OutlineReader
from segbench.data.pictures import Source, load_picture
from segbench.data.problems import FileError, SizeMismatch
from segbench.data.rasters import NPY, Raster, read_raster

QUARTER_TURNS = (5, 6, 7, 8)
"""EXIF orientations that swap height and width, so that the mask's shape tells whether it was turned as well."""


def read_pair(item: Item, reader: MaskReader | OutlineReader) -> tuple[Raster, np.ndarray]:
    """Return an item's picture and the class ids of its mask file, uint8 `[H, W]`.

    Raises:
        DataError: if one of them cannot be used, or they do not fit; a FileError names the mask where it is to blame.
    """
    if item.label is None:  # a picture without a mask, of background alone
        image = read_raster(item.image).upright()
        return image, np.zeros(image.values.shape[:2], np.uint8)
    try:
        mask = reader.of(item)
    except DataError as error:
        fault = error if isinstance(error, FileError) else FileError(str(error))
        fault.file = item.label
        raise fault from None
    return read_image(item.image, mask.shape, mask_file=item.label), mask


def read_image(path: Source, size: tuple[int, int], *, mask_file: Source | None = None) -> Raster:
    """Return the picture in a file, lying as its mask lies.

    An image with an EXIF orientation is turned if its mask's size says that the mask was drawn on the upright picture,
    and left as it is stored if the size says that. Where the size cannot tell (a half turn, a mirror, a square), the
    picture is refused: a guess could put every label in the wrong place.

    Args:
        path: The image file, or its content.
        size: Height and width of its mask.
        mask_file: The mask's file, if there is one; one with an EXIF orientation of its own was turned by that.

    Raises:
        SizeMismatch: if the sizes differ.
        DataError: if the image cannot be used.
    """
    stored = read_raster(path)
    orientation = stored.orientation
    turned = stored.upright()
    if orientation in QUARTER_TURNS and stored.values.shape[:2] == size != turned.values.shape[:2]:
        return stored
    height, width = turned.values.shape[:2]
    if (height, width) != size:
        raise SizeMismatch(
            "the image has {}",
            detail=f"{height} x {width} pixels (height x width), the mask {size[0]} x {size[1]}",
        )
    unclear = orientation not in (0, 1) and (orientation not in QUARTER_TURNS or size[0] == size[1])
    if unclear and not (mask_file and _is_turned(mask_file)):
        raise DataError(
            f"its EXIF orientation {orientation} leaves open whether the mask is turned too; save it upright without it"
        )
    return turned


def _is_turned(path: Source) -> bool:
    is_array = isinstance(path, Path) and path.suffix.lower() == NPY
    return not is_array and load_picture(path).info["orientation"] not in (0, 1)

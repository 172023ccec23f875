"""Bringing arrays to another size: images over the area that a pixel covers, ids and depth by their nearest pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image `[h,w,C]`, uint8 or float32, as `[H,W,C]`: bilinear, averaged where it shrinks (Pillow).

    An image that has the size already is returned as it is, bit for bit.

    Args:
        image: Any number of bands C.
        size: Height and width in pixels.
    """
    if image.shape[:2] == size:
        return image
    if image.dtype == np.uint8 and image.shape[2] in (3, 4):
        return _resized(image, size, Image.Resampling.BILINEAR)
    bands = [_resized(image[..., band], size, Image.Resampling.BILINEAR) for band in range(image.shape[2])]
    return np.stack(bands, axis=-1)


def resize_nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ids or depth `[h,w]` as `[H,W]`; no value appears that was not there."""
    return values if values.shape == size else _resized(values, size, Image.Resampling.NEAREST)


def _resized(array: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    height, width = size
    return np.array(Image.fromarray(np.ascontiguousarray(array)).resize((width, height), resampling))

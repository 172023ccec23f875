"""Whatever a user has for a picture, as the array that a network is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segbench.core.errors import DataError
from segbench.data.pictures import read_rgb, to_rgb

Picture = str | Path | Image.Image | np.ndarray
"""A file, a PIL picture, or an array `[H,W]`, `[H,W,1]`, `[H,W,3]` or `[H,W,4]` of uint8 or of floats in 0..1."""


def as_rgb(picture: Picture) -> np.ndarray:
    """Return a picture as uint8 `[H,W,3]`, converted as files are: transparency is laid on black.

    Raises:
        DataError: for a file that cannot be read, another shape or type, or floats outside of 0..1.
    """
    if isinstance(picture, str | Path):
        try:
            return np.array(read_rgb(Path(picture).expanduser()))
        except DataError as error:
            raise DataError(f"{picture}: {error}") from None
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_as_bytes(picture))
    if not isinstance(picture, Image.Image):
        raise DataError(f"a picture must be a path, a PIL picture or a numpy array, got {type(picture).__name__}")
    return np.array(to_rgb(picture))


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Return an array as uint8, `[H,W]` or `[H,W,3]` or `[H,W,4]`."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or not array.size:
        raise DataError(f"an array must be [H,W], [H,W,1], [H,W,3] or [H,W,4], got {list(array.shape)}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"an array must be uint8, or floats from 0 to 1, got {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise DataError(f"an array of floats must lie in 0..1, got {low:.6g} to {high:.6g}")
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)

"""Whatever a user has for a picture, as the array that a network is given, and what comes of it. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.core.errors import DataError
from segbench.data.channels import Channels
from segbench.data.rasters import Raster, as_stored, of_picture, read_raster

Picture = str | Path | Image.Image | np.ndarray
"""A file, a PIL picture, or an array `[H,W]` or `[H,W,C]`: of uint8 or of floats in 0..1 for a run that was trained on
8 bit, else with the values of its files."""

COLOURS = 4
"""Most bands of an array where a run chose none: red, green, blue and alpha."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says about a picture, at the picture's own height and width."""

    mask: np.ndarray | None
    """Class ids, uint8 `[H,W]`; None for a network without a mask head."""

    probabilities: np.ndarray | None
    """Probability of every class, float32 `[C,H,W]`, background first; None for a network without a mask head."""

    depth: np.ndarray | None
    """Depth, float32 `[H,W]`; None for a network without a depth head."""


def as_image(picture: Picture, channels: Channels, *, convert: Callable[[Raster], np.ndarray]) -> np.ndarray:
    """Return a picture as the network of a run is given it, `[H,W,C]`, converted as the files of its data are.

    Args:
        picture: The picture.
        channels: What of a picture the run takes.
        convert: What the run makes of a picture that was read.

    Raises:
        DataError: for a file that cannot be read, another shape or type, or values that the run does not know.
    """
    if isinstance(picture, str | Path):
        try:
            return convert(read_raster(Path(picture).expanduser()).upright())
        except DataError as error:
            raise DataError(f"{picture}: {error}") from None
    if isinstance(picture, np.ndarray):
        if picture.ndim == 3 and picture.shape[2] > COLOURS and channels.bands is None:
            raise DataError(f"an array must be [H,W] or [H,W,C] with at most 4 bands, got {list(picture.shape)}")
        return convert(_of_array(picture, in_8_bit=channels.levels is None))
    if not isinstance(picture, Image.Image):
        raise DataError(f"a picture must be a path, a PIL picture or a numpy array, got {type(picture).__name__}")
    return convert(as_stored(of_picture(picture)))


def _of_array(array: np.ndarray, *, in_8_bit: bool) -> Raster:
    if array.ndim not in (2, 3) or not array.size:
        raise DataError(f"an array must be [H,W] or [H,W,C], got {list(array.shape)}")
    if array.ndim != 3:
        array = array[..., None]
    count = array.shape[2]
    if in_8_bit and array.dtype != np.uint8:
        array = _as_bytes(array)
    return as_stored(Raster(array, rgb=count in (3, 4), alpha=count in (2, 4)))


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Return an array of floats in 0..1 as uint8."""
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"an array must be uint8, or floats from 0 to 1, got {array.dtype}")
    low = float(array.min())
    high = float(array.max())
    if not (low >= 0 and high <= 1):
        raise DataError(f"an array of floats must lie in 0..1, got {low:.6g} to {high:.6g}")
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)

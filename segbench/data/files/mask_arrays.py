"""Masks that numpy has saved: whole numbers `[H,W]`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segbench.data.problems import FileError
from segbench.data.rasters import load_npy


def read_mask_array(path: Path) -> np.ndarray:
    """Return the values of a NPY file, int64 `[H,W]`; a DataError for anything but whole numbers in one band."""
    values = load_npy(path)
    if values.shape[2] != 1 or values.dtype.kind not in "iub":
        raise FileError(
            "an array {}, which is no mask of ids",
            detail=f"{list(values.shape)} of {values.dtype}",
            cure="save whole numbers [height, width]",
        )
    return values[..., 0].astype(np.int64)

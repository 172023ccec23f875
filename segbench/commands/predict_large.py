"""Predictions of TIFFs that are too large to be decoded at once: read, predicted and written by windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.commands.large_masks import write_large_mask
from segbench.data.pictures import MAX_PIXELS
from segbench.data.problems import FileError
from segbench.data.rasters import Raster, as_stored
from segbench.data.tiffs import Tiff
from segbench.data.windows import TiffWindows, Window

if TYPE_CHECKING:
    from segbench.data.loading.datamodule import SegmentationData
    from segbench.inference.prediction import Predictor


@dataclass(frozen=True)
class LargePicture:
    """A TIFF of more pixels than are decoded at once."""

    path: Path
    """Its file."""


def large_picture(path: Path) -> LargePicture | None:
    """Return a TIFF of more than `MAX_PIXELS` pixels, by its header; None for any other file."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with Tiff(path) as tiff:
            pixels = math.prod(tiff.size)
    except Exception:  # what is wrong with it is said where it is read
        return None
    if pixels > MAX_PIXELS:
        return LargePicture(path)
    return None


def predict_large(
    predictors: Sequence[Predictor], picture: LargePicture, *, path: Path, sets: Sequence[SegmentationData]
) -> None:
    """Write `<path>_mask.tif` and, for a depth head, `<path>_depth.npy` of a large picture.

    Raises:
        DataError: if it cannot be read by windows, or a network does not see pictures at their own scale.
    """
    from segbench.inference.windows import predict_by_windows

    if not all(predictor.view.own_scale and not predictor.needs_background for predictor in predictors):
        raise FileError(
            "more than {} pixels",
            detail=f"{MAX_PIXELS:,}",
            cure="only runs with data.view=crop and inputs=image see such a picture, by windows",
        )
    with TiffWindows(picture.path) as reader:

        def windows(number: int, window: Window) -> np.ndarray:
            raster = as_stored(Raster(reader.read(window), rgb=reader.tiff.rgb, alpha=reader.tiff.alpha))
            return sets[number].image_of(raster)

        path.parent.mkdir(parents=True, exist_ok=True)
        _write(
            path,
            reader.tiff.size,
            blocks=predict_by_windows(predictors, reader.tiff.size, windows=windows),
            classes=len(sets[0].classes),
        )


Blocks = Iterator[tuple[int, int, dict[str, np.ndarray]]]
MaskPiece = tuple[int, int, np.ndarray]


def _write(path: Path, size: tuple[int, int], *, blocks: Blocks, classes: int) -> None:
    """Write the mask, and the depth beside it, as far as there are, while the blocks come."""
    depth: np.ndarray | None = None

    def masks() -> Iterator[MaskPiece]:
        nonlocal depth
        for top, left, found in blocks:
            if "depth" in found:
                if depth is None:
                    depth = np.lib.format.open_memmap(_ending(path, "_depth.npy"), "w+", np.float32, size)
                height, width = found["depth"].shape
                depth[top : top + height, left : left + width] = found["depth"]
            if "mask" in found:
                yield top, left, found["mask"]

    first = next(pieces := masks(), None)
    if first is not None:
        write_large_mask(_ending(path, "_mask.tif"), size, blocks=_with(first, pieces), classes=classes)


def _with(first: MaskPiece, rest: Iterator[MaskPiece]) -> Iterator[MaskPiece]:
    yield first
    yield from rest


def _ending(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)

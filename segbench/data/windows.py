"""Reading a TIFF window by window, so that a picture of any size needs the memory of a few tiles alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from segbench.data.problems import FileError
from segbench.data.tiffs import Tiff

KEPT = 128_000_000
"""Bytes of decoded tiles or strips that are kept for the next window."""

LARGEST_PIECE = 256_000_000
"""Bytes of a tile or strip that is decoded at once."""


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture's pixels."""

    top: int
    """Its first row; negative above the picture."""

    left: int
    """Its first column."""

    height: int
    """How many rows it has; it may reach beyond the picture."""

    width: int
    """How many columns."""


class TiffWindows:
    """The first page of an open TIFF of any size: tiled or in strips, with its bands together or apart.

    Args:
        path: The file. The reader is a context manager that closes it.

    Raises:
        DataError: for a file that is no TIFF, is compressed in a way that cannot be read, or not made of small pieces.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.tiff = Tiff(path)
        except Exception as error:  # damaged files give anything from KeyError to MemoryError
            raise FileError("not a TIFF that can be read by windows: {}", detail=str(error)) from None
        self._decoded: OrderedDict[tuple[int, int, int], np.ndarray | None] = OrderedDict()
        try:
            self.dtype = self._checked_type()
            self._check_pieces()
        except BaseException:
            self.tiff.__exit__(None, None, None)
            raise

    def _checked_type(self) -> np.dtype:
        tiff = self.tiff
        if tiff.dtype is None or not tiff.is_plain or tiff.orientation != 1:
            raise FileError(
                "a TIFF of a kind that is not read by windows: {}",
                detail=f"{tiff.colours}, {tiff.dtype}",
                cure="save it upright, as grey or RGB or bands, in tiles",
            )
        if tiff.has_several_pages:
            raise FileError("several pages", cure="export one of them")
        tiff.check_written()
        if not tiff.is_whole:
            raise FileError("damaged: {}", detail="the file is shorter than its header says")
        return tiff.dtype

    def _check_pieces(self) -> None:
        height, width = self.tiff.extent
        self._piece_bytes = height * width * self.tiff.bands // self.tiff.layers * self.dtype.itemsize
        if self._piece_bytes > LARGEST_PIECE:
            raise FileError(
                "a TIFF whose pieces are {}, too large to be read one by one",
                detail=f"{height:,} x {width:,} pixels",
                cure="save it in tiles, such as 512 x 512",
            )
        try:
            self.tiff.piece(0, 0, column=0)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise FileError(
                "a TIFF compressed as {}, which cannot be read here",
                detail=f"{self.tiff.compression}: {reason}",
                cure="install imagecodecs, or save it with deflate",
            ) from None

    def __enter__(self) -> TiffWindows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tiff.__exit__(kind, error, trace)

    def read(self, window: Window) -> np.ndarray:
        """Return the values of a window inside of the picture, `[height, width, bands]`, of the file's own type."""
        found = np.zeros((window.height, window.width, self.tiff.bands), self.dtype)
        step_down, step_right = self.tiff.extent
        for layer in range(self.tiff.layers):
            bands = slice(layer, layer + 1) if self.tiff.layers > 1 else slice(None)
            for row in range(window.top // step_down, math.ceil((window.top + window.height) / step_down)):
                for column in range(window.left // step_right, math.ceil((window.left + window.width) / step_right)):
                    piece = self._piece(layer, row, column=column)
                    if piece is None:  # left out by the writer: all 0
                        continue
                    inside, outside = _common(row * step_down, piece.shape[0], first=window.top, wanted=window.height)
                    across, beyond = _common(
                        column * step_right, piece.shape[1], first=window.left, wanted=window.width
                    )
                    found[outside, beyond, bands] = piece[inside, across]
        return found

    def _piece(self, layer: int, row: int, *, column: int) -> np.ndarray | None:
        place = (layer, row, column)
        if place in self._decoded:
            self._decoded.move_to_end(place)
            return self._decoded[place]
        piece = self.tiff.piece(layer, row, column=column)
        self._decoded[place] = piece
        while len(self._decoded) > max(1, KEPT // self._piece_bytes):
            self._decoded.popitem(last=False)
        return piece


def _common(begin: int, length: int, *, first: int, wanted: int) -> tuple[slice, slice]:
    """Return what a piece and a window share along one side: within the piece, and within the window."""
    start = max(begin, first)
    stop = min(begin + length, first + wanted)
    return slice(start - begin, stop - begin), slice(start - first, stop - first)

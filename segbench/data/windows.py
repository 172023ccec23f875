"""Reading a TIFF window by window, so that a picture of any size needs the memory of a few tiles alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from segbench.data.problems import FileError

KEPT = 128_000_000
"""Bytes of decoded tiles or strips that are kept for the next window."""

LARGEST_SEGMENT = 256_000_000
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
        import tifffile

        try:
            self._file = tifffile.TiffFile(path)
            self._page = self._file.pages.first
        except Exception as error:  # damaged files give anything from KeyError to MemoryError
            raise FileError("not a TIFF that can be read by windows: {}", detail=str(error)) from None
        page = self._page
        self.size: tuple[int, int] = (page.imagelength, page.imagewidth)
        self.bands: int = page.samplesperpixel
        self.rgb = page.photometric == tifffile.PHOTOMETRIC.RGB
        """Whether the first three bands are red, green and blue."""
        self.alpha = any(sample in (1, 2) for sample in page.extrasamples[-1:])
        """Whether the last band is tagged as transparency."""
        self._separate = self.bands if page.planarconfig == 2 else 1
        if page.is_tiled:
            extent = (page.tilelength, page.tilewidth)
        else:
            extent = (page.rowsperstrip, page.imagewidth)
        self._extent = (min(extent[0], self.size[0]), extent[1])
        self._cells = tuple(math.ceil(size / step) for size, step in zip(self.size, self._extent, strict=True))
        self._decoded: OrderedDict[int, np.ndarray | None] = OrderedDict()
        self._check()

    def _check(self) -> None:
        import tifffile

        page = self._page
        photometric = tifffile.PHOTOMETRIC
        as_it_is = page.photometric in (photometric.RGB, photometric.MINISBLACK)
        upright = page.tags.valueof("Orientation", 1) == 1
        if page.dtype is None or page.imagedepth != 1 or not (as_it_is and upright):
            raise FileError(
                "a TIFF of a kind that is not read by windows: {}",
                detail=f"{photometric(page.photometric).name.lower()}, {page.dtype}",
                cure="save it upright, as grey or RGB or bands, in tiles",
            )
        others = self._file.pages[1:2]
        if not all(isinstance(other, tifffile.TiffPage) and other.is_reduced for other in others):  # no overview
            raise FileError("several pages", cure="export one of them")
        self.dtype = np.dtype(page.dtype)
        self._segment_bytes = math.prod(self._extent) * self.bands // self._separate * self.dtype.itemsize
        if self._segment_bytes > LARGEST_SEGMENT:
            raise FileError(
                "a TIFF whose pieces are {}, too large to be read one by one",
                detail=f"{self._extent[0]:,} x {self._extent[1]:,} pixels",
                cure="save it in tiles, such as 512 x 512",
            )
        try:
            self._decode(0)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise FileError(
                "a TIFF compressed as {}, which cannot be read here",
                detail=f"{tifffile.COMPRESSION(page.compression).name}: {reason}",
                cure="install imagecodecs, or save it with deflate",
            ) from None

    def __enter__(self) -> TiffWindows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, window: Window) -> np.ndarray:
        """Return the values of a window inside of the picture, `[height, width, bands]`, of the file's own type."""
        found = np.zeros((window.height, window.width, self.bands), self.dtype)
        step_down, step_right = self._extent
        for band in range(self._separate):
            for row in range(window.top // step_down, math.ceil((window.top + window.height) / step_down)):
                for column in range(window.left // step_right, math.ceil((window.left + window.width) / step_right)):
                    segment = self._segment((band * self._cells[0] + row) * self._cells[1] + column)
                    if segment is None:  # left out by the writer: all 0
                        continue
                    inside, outside = _common(row * step_down, segment.shape[0], first=window.top, wanted=window.height)
                    across, beyond = _common(
                        column * step_right, segment.shape[1], first=window.left, wanted=window.width
                    )
                    bands = slice(band, band + 1) if self._separate > 1 else slice(None)
                    found[outside, beyond, bands] = segment[inside, across]
        return found

    def _segment(self, index: int) -> np.ndarray | None:
        if index in self._decoded:
            self._decoded.move_to_end(index)
            return self._decoded[index]
        segment = self._decode(index)
        self._decoded[index] = segment
        while len(self._decoded) > max(1, KEPT // self._segment_bytes):
            self._decoded.popitem(last=False)
        return segment

    def _decode(self, index: int) -> np.ndarray | None:
        page = self._page
        handle = self._file.filehandle
        if not page.databytecounts[index]:
            return None
        handle.seek(page.dataoffsets[index])
        data = handle.read(page.databytecounts[index])
        decoded: np.ndarray | None = page.decode(data, index, jpegtables=page.jpegtables)[0]
        if decoded is None:
            return None
        segment: np.ndarray = decoded[0]
        return segment


def _common(begin: int, length: int, *, first: int, wanted: int) -> tuple[slice, slice]:
    """Return what a piece and a window share along one side: within the piece, and within the window."""
    start = max(begin, first)
    stop = min(begin + length, first + wanted)
    return slice(start - begin, stop - begin), slice(start - first, stop - first)

"""TIFFs: what their first page is, its values as a whole, and its pieces one by one."""

from __future__ import annotations

import math
from types import TracebackType

import numpy as np

from segbench.core.errors import DataError
from segbench.data.pictures import Source, check_size, opened
from segbench.data.problems import FileError

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What the content of a TIFF begins with."""

OVERVIEWS = 16
"""Pages that are looked at: smaller copies of the picture may follow it."""


class Tiff:
    """The first page of an open TIFF: tiled or in strips, with its bands together or apart.

    A context manager that closes it. Damaged files give anything from KeyError to MemoryError, here and in the methods.

    Args:
        source: The file, or its content.
    """

    def __init__(self, source: Source) -> None:
        import tifffile

        self._content = opened(source)
        try:
            self._file = tifffile.TiffFile(self._content)
            self._page = page = self._file.pages.first
        except BaseException:
            self._content.close()
            raise
        photometric = tifffile.PHOTOMETRIC
        self.size: tuple[int, int] = (page.imagelength, page.imagewidth)
        """Height and width of the values as they are stored."""
        self.bands: int = page.samplesperpixel
        self.dtype: np.dtype | None = None if page.dtype is None else np.dtype(page.dtype)
        """Type of the values, None for one that numpy has not."""
        self.rgb: bool = page.photometric == photometric.RGB
        """Whether the first three bands are red, green and blue."""
        self.alpha = any(sample in (1, 2) for sample in page.extrasamples[-1:])
        """Whether the last band is tagged as transparency."""
        self.orientation: int = page.tags.valueof("Orientation", 1)
        """As EXIF has it; 1 is upright."""
        plain = (photometric.RGB, photometric.MINISBLACK)
        self.is_plain: bool = page.photometric in plain and page.imagedepth == 1
        """Whether the values are the picture, with no palette or other code of colours."""
        if page.is_tiled:
            extent = (page.tilelength, page.tilewidth)
        else:
            extent = (page.rowsperstrip, page.imagewidth)
        self.extent: tuple[int, int] = (min(extent[0], self.size[0]), extent[1])
        """Height and width of a piece: of a tile, or of a strip."""
        self.layers: int = self.bands if page.planarconfig == 2 else 1
        """How many pieces lie above each other: one for each band, or one for all."""

    def __enter__(self) -> Tiff:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._content.close()

    @property
    def colours(self) -> str:
        """What the values mean, as the format calls it."""
        return str(getattr(self._page.photometric, "name", self._page.photometric)).lower()

    @property
    def compression(self) -> str:
        """How the pieces are packed, likewise."""
        return str(getattr(self._page.compression, "name", self._page.compression))

    @property
    def has_whole_bytes(self) -> bool:
        """Whether a value is stored as one, two, four or eight bytes."""
        return self._page.bitspersample in (8, 16, 32, 64)

    @property
    def is_whole(self) -> bool:
        """Whether the file is as long as its header says; what is missing would be read as zeros."""
        end = self._file.filehandle.size
        pieces = zip(self._page.dataoffsets, self._page.databytecounts, strict=True)
        return all(start + size <= end and bool(start) == bool(size) for start, size in pieces)  # 0 and 0: left out

    def check_written(self) -> None:
        """Raise a FileError where all pieces are left out, as by a writer that was interrupted or had not the codec."""
        if not any(self._page.databytecounts):
            raise FileError("damaged: {}", detail="its header says that none of its pixels were written")

    @property
    def has_several_pages(self) -> bool:
        """Whether there are more pictures than the first and smaller copies of it."""
        for number in range(1, OVERVIEWS):
            try:
                page = self._file.pages[number].aspage()
            except IndexError:
                return False
            if not (page.is_reduced or page.is_mask):
                return True
        return False

    def values(self) -> np.ndarray:
        """Return all values `[H,W,C]`; a DataError for more than may be decoded at once."""
        page = self._page
        check_size(*self.size, size=page.nbytes)
        values: np.ndarray = page.asarray(maxworkers=1)
        if page.axes == "YX":
            return values[..., None]
        if page.axes != "SYX":
            return values
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))

    @property
    def cells(self) -> tuple[int, int]:
        """Number of pieces below each other, and beside each other."""
        down, across = (math.ceil(size / step) for size, step in zip(self.size, self.extent, strict=True))
        return down, across

    def piece(self, layer: int, row: int, *, column: int) -> np.ndarray | None:
        """Return the values of a piece `[h,w,c]`; None for one that the writer left out, which is all 0."""
        page = self._page
        handle = self._file.filehandle
        down, across = self.cells
        index = (layer * down + row) * across + column
        if not page.databytecounts[index]:
            return None
        handle.seek(page.dataoffsets[index])
        data = handle.read(page.databytecounts[index])
        decoded: np.ndarray | None = page.decode(data, index, jpegtables=page.jpegtables)[0]
        if decoded is None:
            return None
        values: np.ndarray = decoded[0]
        return values


def tiff_values(content: bytes) -> np.ndarray:
    """Return `[H,W,C]` of the content of a TIFF as an export writes it; raises a ValueError for what is damaged."""
    try:
        with Tiff(content) as tiff:
            return tiff.values()
    except DataError:
        raise
    except Exception as error:  # damaged files give anything from KeyError to MemoryError
        raise ValueError(f"{type(error).__name__}: {error}") from error

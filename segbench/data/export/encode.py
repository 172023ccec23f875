"""Arrays to file contents and back to nothing else: PNG, JPEG and NPY bytes that depend on the arrays alone."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segbench.data.export.options import IMAGE_SUFFIXES
from segbench.data.loading.source import Arrays


@dataclass(frozen=True)
class Encoder:
    """Encodes the arrays of a sample."""

    image_format: str
    """`png` or `jpeg`, for image and background."""

    quality: int
    """Of the JPEG, 1..100."""

    palette: bytes
    """768 bytes, the colours by which any viewer shows a mask: red, green and blue of every class id."""

    in_colour: bool = True
    """Whether images are red, green and blue of 8 bit; others become TIFF, exact."""

    def suffixes(self) -> dict[str, str]:
        """Return the file suffix of every kind of array."""
        image = ".tif"
        if self.in_colour:
            image = IMAGE_SUFFIXES[self.image_format]
        return {"image": image, "mask": ".png", "depth": ".npy", "background": image}

    def __call__(self, arrays: Arrays) -> dict[str, bytes]:
        """Return the file contents by kind; depth is float32 NPY, NaN where unknown."""
        encode = {"image": self._image, "background": self._image, "mask": self._mask, "depth": _depth}
        return {kind: encode[kind](arrays[kind]) for kind in encode if kind in arrays}

    def _image(self, array: np.ndarray) -> bytes:
        if not self.in_colour:
            return _tiff(array)
        buffer = io.BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(array))
        if self.image_format == "jpeg":
            picture.save(buffer, "JPEG", quality=self.quality, subsampling=0)  # 4:4:4 keeps coloured edges in place
        else:
            picture.save(buffer, "PNG", compress_level=1)  # photographs: twice as fast as the default, 1 % larger
        return buffer.getvalue()

    def _mask(self, array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(array))
        picture.putpalette(self.palette)
        picture.save(buffer, "PNG", bits=8)
        return buffer.getvalue()


def _tiff(array: np.ndarray) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(array if array.shape[2] > 1 else array[..., 0]),
        photometric="minisblack",
        planarconfig="contig" if array.shape[2] > 1 else None,
        compression="zlib",
        metadata=None,
        software=False,
    )
    return buffer.getvalue()


def _depth(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()

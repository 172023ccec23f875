"""Reading pictures: one decoder with explicit rules."""

from __future__ import annotations

import io
import os
import stat
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from segbench.core.errors import DataError
from segbench.core.memory import available_memory
from segbench.data.problems import FileError

READERS = {
    "PNG": PngImagePlugin,
    "JPEG": JpegImagePlugin,
    "WEBP": WebPImagePlugin,
    "TIFF": TiffImagePlugin,
    "BMP": BmpImagePlugin,
    "GIF": GifImagePlugin,
}
"""What reads each format: where one is not imported, the first picture has Pillow import those of all its formats."""
FORMATS = tuple(READERS)
SAMPLES = 277
"""The TIFF tag of the number of bands."""
VALUES = {1: "whole", 2: "signed", 3: "floating-point"}
"""What a TIFF's values are, by its tag SampleFormat."""
ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned; 1 is upright."""
PNG_EXIF = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Where Pillow has EXIF of a PNG, if there is any."""
MAX_PIXELS = 64_000_000
"""Pictures of so many pixels are decoded as they come; larger ones one at a time where there is memory."""

BYTES_A_PIXEL = 16
"""Memory that decoding takes for each pixel: Pillow's four bytes, the array, and what is taken or computed from it."""

MAX_BYTES = 2 << 30
"""Pictures of more values are refused by their header, before they are decoded."""

FREE_SHARE = 2
"""A picture is decoded if it takes at most this part of the memory that is free: half."""

SAVE_TILES = (
    "cut it into smaller ones, or save it as a TIFF of tiles, which predict reads by windows: vips tiffsave IN OUT.tif"
    " --tile --tile-width 512 --tile-height 512 --compression deflate --bigtiff"
)
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "old-jpeg", "webp", "jpeg2000")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of each EXIF orientation upright."""

Source = Path | bytes
"""A file, or the content of one."""
_headers = threading.Lock()
_large = threading.Lock()


def open_picture(path: Path) -> Image.Image:
    """Return the fully decoded picture, turned upright by its EXIF orientation.

    Raises:
        DataError: if it is empty, truncated, animated, too large, or not a picture at all.
    """
    return upright(load_picture(path))


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture of `load_picture`, turned by its EXIF orientation."""
    turn = None
    if picture.format != "TIFF":
        turn = TURNS.get(picture.info["orientation"])
    if turn is None:
        return picture
    return picture.transpose(turn)


def check_memory(height: int, width: int) -> None:
    """Raise a FileError for a picture that cannot be decoded whole in the memory that is free."""
    wanted = height * width * BYTES_A_PIXEL
    if height * width > MAX_PIXELS and wanted * FREE_SHARE > (free := available_memory()):
        raise FileError(
            "a picture of {}",
            detail=f"{width} x {height} pixels, which takes {wanted / 1e9:,.1f} GB to decode where {free / 1e9:,.1f} GB"
            " are free, of which it may have half",
            cure=SAVE_TILES,
        )


def check_size(height: int, width: int, *, size: int) -> None:
    """Raise a FileError for a picture whose values, of `size` bytes each, cannot be held."""
    check_memory(height, width)
    if size > MAX_BYTES:
        raise FileError(f"{{}}, more than {MAX_BYTES:,}", detail=f"{size:,} bytes")


def load_picture(path: Source) -> Image.Image:
    """Return the fully decoded picture as it is stored (a TIFF upright).

    Its `info` has `orientation`, the EXIF tag; `stored`, Pillow's name of how the file holds its values (such as `L;4`
    or `RGB;16B`); and `lossy`, whether they are only nearly those that were saved.

    Raises:
        DataError: if it is empty, truncated, animated, too large, or not a picture at all.
    """
    try:
        if isinstance(path, Path):
            check_regular(path)
        with _open_header(path) as picture:
            check_memory(picture.height, picture.width)
            # many cameras append a thumbnail to a JPEG, which then is an "MPO" of two frames; the first is the photo
            if picture.format != "MPO" and _has_several_frames(picture):
                raise FileError("an animation or several pages", cure="export one frame")
            facts = {"stored": _stored(picture), "lossy": _is_lossy(picture, path)}
            with _large if picture.width * picture.height > MAX_PIXELS else nullcontext():
                facts["orientation"] = _orientation(picture)
                picture.load()
            picture.info.update(facts)
            return picture
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError("the file is not there any more") from None
    except UnidentifiedImageError:
        raise _unidentified(path) from None
    except Exception as error:  # decoders meet damaged files with anything from IndexError to TypeError
        raise FileError("damaged: {}", detail=str(error) or type(error).__name__) from None


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF tag; a PNG, which may have it behind its pixels, is decoded for it."""
    if picture.format == "PNG":
        picture.load()
        if not any(name in picture.info for name in PNG_EXIF):
            return 1
    found: int = picture.getexif().get(ORIENTATION, 1)
    return found


def _has_several_frames(picture: Image.Image) -> bool:
    if picture.format not in ("TIFF", "GIF"):
        return getattr(picture, "n_frames", 1) > 1  # the header says it
    try:
        picture.seek(1)  # counting them would read all of a file that may have a million
    except EOFError:
        return False
    return True


def check_regular(path: Path) -> None:
    """Raise a DataError for a pipe, which would be waited for without end; an OSError where there is no file."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - without Path's detour, for every picture
        raise DataError("not a regular file")


def opened(path: Source) -> BinaryIO:
    """Return a file to read, or its content as one."""
    if isinstance(path, bytes):
        return io.BytesIO(path)
    check_regular(path)
    return path.open("rb")


def _unidentified(path: Source) -> FileError:
    """Return what is wrong with a file that Pillow does not know; of a TIFF, the kind that it does not read."""
    try:
        with opened(path) as file:
            head = file.read(8)
            if head[:4] not in TiffImagePlugin.PREFIXES:
                raise ValueError("another format")
            big = head[2] == 43 or head[3] == 43
            tags = TiffImagePlugin.ImageFileDirectory_v2(head + (file.read(8) if big else b""))
            file.seek(tags.next)
            tags.load(file)
            bands = int(tags[SAMPLES])
            bits = tags[TiffImagePlugin.BITSPERSAMPLE][0]
            kind = VALUES.get(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0], "unknown")
    except Exception:  # whatever it is, no TIFF that could be read
        return FileError(f"not a {', '.join(FORMATS[:-1])} or GIF picture")
    return FileError(
        "a TIFF of a kind that is not read, {}",
        detail=f"{bands} band{'s' * (bands > 1)} of {kind} values of {bits} bit",
        cure="save its red, green and blue, or the ids of a mask, with 8 bit",
    )


def _stored(picture: Image.Image) -> str:
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _is_lossy(picture: Image.Image, path: Source) -> bool:
    if picture.format == "WEBP":
        with opened(path) as file:
            head = file.read(1 << 16)
        place = 12
        while head[place : place + 4] not in (b"VP8L", b"VP8 ", b""):  # chunks of other kinds come before the pixels
            place += 8 + int.from_bytes(head[place + 4 : place + 8], "little") + 1 & ~1
        return head[place : place + 4] != b"VP8L"
    compression = None
    if picture.format == "TIFF":
        compression = picture.info.get("compression")
    return picture.format in ("JPEG", "MPO") or compression in LOSSY_TIFF


def _open_header(path: Source) -> Image.Image:
    # the limit belongs to the whole process, and pictures are decoded by several threads
    with _headers:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None  # `check_memory` knows better
        try:
            return Image.open(io.BytesIO(path) if isinstance(path, bytes) else path, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def read_rgb(path: Path) -> Image.Image:
    """Return the upright picture as 8-bit RGB; transparency is laid on black, 16-bit grey is scaled to 8 bit."""
    return to_rgb(open_picture(path))


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a decoded picture as 8-bit RGB, as `read_rgb` does.

    Raises:
        DataError: for a mode whose values have no fixed range, such as 32-bit floats.
    """
    if picture.mode == "F":
        raise FileError("a picture of floating-point values", cure="save it with 8 or 16 bit")
    if picture.mode == "I":
        raise FileError("a picture of 32-bit values", cure="save it with 8 or 16 bit")
    if picture.mode.startswith("I;16"):
        picture = _scaled(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    try:
        return picture.convert("RGB")
    except ValueError:
        raise DataError(f"a picture in the colour mode {picture.mode}; save it as RGB") from None


def _scaled(picture: Image.Image) -> Image.Image:
    grey = np.asarray(picture)
    if 0 < grey.max() < 256:
        raise FileError(
            "a 16-bit picture whose largest value is {} of 65535, which would be black",
            detail=str(grey.max()),
            cure="save it with 8 bit",
        )
    return Image.fromarray((grey >> 8).astype(np.uint8))


def read_cutout(path: Path) -> Image.Image:
    """Return a cut-out as RGBA, cropped to where it is not fully transparent.

    Raises:
        DataError: if it has no alpha channel, is opaque everywhere, or transparent everywhere.
    """
    picture = open_picture(path)
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        raise DataError("no alpha channel, so its outline is unknown; save it as a transparent PNG or WebP")
    if picture.mode.startswith(("I", "F")):
        raise DataError(f"a cut-out in the mode {picture.mode}; save it as RGBA with 8 bit")
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    low, high = alpha.getextrema()
    if low == 255:
        raise DataError("opaque everywhere, so its outline is unknown; cut the background out")
    if high == 0:
        raise DataError("transparent everywhere")
    return rgba.crop(alpha.getbbox())

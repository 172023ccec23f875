"""Reading picture folders: one decoder with explicit rules, and all offenders named at once."""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from segbench.core.errors import DataError, nearest

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned; 1 is upright."""
MAX_PIXELS = 64_000_000
"""Pictures with more pixels are refused by their header, before they are decoded."""

Result = TypeVar("Result")
_headers = threading.Lock()


def list_pictures(folder: Path, key: str) -> list[Path]:
    """Return the pictures directly in `folder`, sorted by name; `key` is the setting that named it, for messages.

    Raises:
        DataError: if the folder does not exist (naming the nearest one that does) or holds no picture.
    """
    if not folder.is_dir():
        siblings = [item.name for item in folder.parent.iterdir() if item.is_dir()] if folder.parent.is_dir() else []
        hint = nearest(folder.name, siblings) if siblings else ""
        raise DataError(f"{key}: there is no folder {folder}{hint if 'did you mean' in hint else ''}")
    found = sorted(item for item in folder.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
    if not found:
        raise DataError(f"{key}: {folder} holds no pictures; put {', '.join(SUFFIXES)} files directly into it")
    return found


def read_all(paths: list[Path], read: Callable[[Path], Result], key: str) -> list[Result]:
    """Return `read(path)` of every path; a DataError lists every file that could not be used, with its reason."""
    results, offenders = [], []
    for path in paths:
        try:
            results.append(read(path))
        except DataError as error:
            offenders.append(f"{path.name}: {error}")
    if offenders:
        raise DataError(
            f"{key}: {len(offenders)} of {len(paths)} files in {paths[0].parent} cannot be used: {listed(offenders)}"
        )
    return results


def listed(texts: Sequence[str], limit: int = 20) -> str:
    """Return the first `limit` texts as one, separated by semicolons, and how many more there are."""
    rest = f"; and {len(texts) - limit} more" if len(texts) > limit else ""
    return "; ".join(texts[:limit]) + rest


def open_picture(path: Path) -> Image.Image:
    """Return the fully decoded picture, turned upright by its EXIF orientation.

    Raises:
        DataError: if it is empty, truncated, animated, too large, or not a picture at all.
    """
    return ImageOps.exif_transpose(load_picture(path))


def load_picture(path: Path) -> Image.Image:
    """Return the fully decoded picture as it is stored (a TIFF upright), `info["orientation"]` being its EXIF tag.

    Raises:
        DataError: if it is empty, truncated, animated, too large, or not a picture at all.
    """
    try:
        with _open_header(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS:,} in all")
            # many cameras append a thumbnail to a JPEG, which then is an "MPO" of two frames; the first is the photo
            if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
                raise DataError("an animation or several pages; export one frame")
            orientation = picture.getexif().get(ORIENTATION, 1)
            picture.load()
            picture.info["orientation"] = orientation
            return picture
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = "not a PNG, JPEG, WebP, TIFF, BMP or GIF picture" if "cannot identify" in str(error) else str(error)
        raise DataError(reason) from None


def _open_header(path: Path) -> Image.Image:
    # the warnings filter belongs to the whole process, and pictures are decoded by several threads
    with _headers, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
        return Image.open(path, formats=FORMATS)


def read_rgb(path: Path) -> Image.Image:
    """Return the upright picture as 8-bit RGB; transparency is laid on black, 16-bit grey is scaled to 8 bit."""
    return to_rgb(open_picture(path))


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a decoded picture as 8-bit RGB, as `read_rgb` does.

    Raises:
        DataError: for a mode whose values have no fixed range, such as 32-bit floats.
    """
    if picture.mode.startswith("I"):
        grey = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray(np.clip(grey >> 8, 0, 255).astype(np.uint8))
    if picture.mode == "F":
        raise DataError("a picture of floating-point values; save it with 8 or 16 bit")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    try:
        return picture.convert("RGB")
    except ValueError:
        raise DataError(f"a picture in the colour mode {picture.mode}; save it as RGB") from None


def read_cutout(path: Path) -> Image.Image:
    """Return a cut-out as RGBA, cropped to where it is not fully transparent.

    Raises:
        DataError: if it has no alpha channel, is opaque everywhere, or transparent everywhere.
    """
    picture = open_picture(path)
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        raise DataError("no alpha channel, so its outline is unknown; save it as a transparent PNG or WebP")
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    low, high = alpha.getextrema()
    if low == 255:
        raise DataError("opaque everywhere, so its outline is unknown; cut the background out")
    if high == 0:
        raise DataError("transparent everywhere")
    return rgba.crop(alpha.getbbox())

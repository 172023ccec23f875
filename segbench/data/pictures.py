"""Reading picture folders: one decoder with explicit rules, and all offenders named at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from segbench.core.errors import DataError, nearest

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 64_000_000
"""Pictures with more pixels are refused by their header, before they are decoded."""

Result = TypeVar("Result")


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
        shown = "; ".join(offenders[:20]) + (f"; and {len(offenders) - 20} more" if len(offenders) > 20 else "")
        raise DataError(f"{key}: {len(offenders)} of {len(paths)} files in {paths[0].parent} cannot be used: {shown}")
    return results


def open_picture(path: Path) -> Image.Image:
    """Return the fully decoded picture, turned upright by its EXIF orientation.

    Raises:
        DataError: if it is empty, truncated, animated, too large, or not a picture at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
        try:
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DataError(f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS:,} in all")
                if getattr(picture, "n_frames", 1) > 1:
                    raise DataError("an animation; export one frame")
                picture.load()
                return ImageOps.exif_transpose(picture)
        except DataError:
            raise
        except Image.DecompressionBombError:
            raise DataError(f"more than {MAX_PIXELS:,} pixels") from None
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            reason = "not a PNG, JPEG or WebP picture" if "cannot identify" in str(error) else str(error)
            raise DataError(reason) from None


def read_rgb(path: Path) -> Image.Image:
    """Return the picture as 8-bit RGB; transparency is laid on black, 16-bit grey is scaled to 8 bit."""
    picture = open_picture(path)
    if picture.mode.startswith("I"):
        grey = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray(np.clip(grey >> 8, 0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return picture.convert("RGB")


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

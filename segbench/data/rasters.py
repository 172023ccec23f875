"""Reading pictures as their files hold them: any number of bands, whole values of 8 or 16 bit, or floats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.core.errors import DataError
from segbench.core.npy import open_npy
from segbench.data.folders import SUFFIXES
from segbench.data.pictures import Source, check_regular, check_size, load_picture
from segbench.data.problems import FileError
from segbench.data.tiffs import STARTS, Tiff

NPY = ".npy"
RASTER_SUFFIXES = (*SUFFIXES, NPY)
"""Files that a picture of any bands, or a mask, is read from."""

DEEP_PNG = ("RGB;16B", "RGBA;16B", "LA;16B")
"""What Pillow would hand out with the upper 8 of 16 bits alone."""

DECODABLE = "pip install imagecodecs, or save it without compression or with deflate"
"""What makes a TIFF of another codec one that can be read."""

UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda values: np.rot90(values, 2),
    4: np.flipud,
    5: lambda values: values.swapaxes(0, 1),
    6: lambda values: np.rot90(values, -1),
    7: lambda values: np.rot90(values, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What brings a picture of each EXIF orientation upright."""


@dataclass(frozen=True)
class Raster:
    """A picture as its file holds it."""

    values: np.ndarray
    """`[H,W,C]`, uint8, uint16, int16 or float32."""

    rgb: bool = False
    """Whether the first three bands are red, green and blue; anything of three bands counts as that."""

    alpha: bool = False
    """Whether the last band is tagged as transparency."""

    orientation: int = 1
    """The EXIF tag that says how the picture is turned; 1 is upright."""

    is_turned: bool = False
    """Whether `values` are upright already, whatever the tag says, as those of a TIFF are."""

    def upright(self) -> Raster:
        """Return the picture turned by its EXIF orientation."""
        turn = UPRIGHT.get(self.orientation)
        if self.is_turned or turn is None:
            return self
        return replace(self, values=np.ascontiguousarray(turn(self.values)), is_turned=True)


def read_raster(path: Source) -> Raster:
    """Return the picture in a file, or in the content of one.

    PNG of 8 or 16 bit, TIFF, JPEG, WebP, BMP or GIF, and files of NPY `[H,W]` or `[H,W,C]`.

    Raises:
        DataError: if it is damaged, too large, animated, no picture, or holds values of another type.
    """
    kind = _kind_of(path) if isinstance(path, bytes) else path.suffix.lower()
    if kind == NPY and isinstance(path, Path):
        return as_stored(Raster(load_npy(path)))
    if kind in (".tif", ".tiff"):
        return as_stored(_read_tiff(path))
    return as_stored(of_picture(load_picture(path), path))


def _kind_of(content: bytes) -> str:
    if content[:4] in STARTS:
        return ".tif"
    return ""


def of_picture(picture: Image.Image, path: Source | None = None) -> Raster:
    """Return a decoded picture of Pillow; `path` is where it was read from, for what Pillow cannot hold."""
    orientation = picture.info.get("orientation", 1)
    facts = {"orientation": orientation, "is_turned": picture.format == "TIFF"}
    stored = picture.info.get("stored", "")
    if path is not None and picture.format == "PNG" and stored in DEEP_PNG:
        return Raster(_deep_png(path, stored), rgb=stored != "LA;16B", alpha="A" in stored, **facts)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and stored.startswith("I;16")):
        return Raster(np.array(picture).astype(np.uint16)[..., None], **facts)
    if ";16" in stored and picture.format == "TIFF":  # Pillow hands out the upper 8 bits of what tifffile cannot decode
        raise FileError("a TIFF whose colours of 16 bit cannot be decoded here", cure=DECODABLE)
    if picture.mode in ("I", "F"):
        return Raster(np.array(picture)[..., None], **facts)
    picture = _plain(picture)
    values = np.array(picture)
    if values.ndim != 3:
        values = values[..., None]
    return Raster(values, rgb=picture.mode in ("RGB", "RGBA"), alpha=picture.mode in ("RGBA", "LA"), **facts)


def _plain(picture: Image.Image) -> Image.Image:
    """Return a picture of 8 bit as grey or as red, green and blue, either with or without transparency."""
    if picture.mode in ("L", "LA", "RGB", "RGBA"):
        return picture
    transparent = picture.mode in ("PA", "RGBa") or (picture.mode == "P" and "transparency" in picture.info)
    modes = {"1": "L", "La": "LA"}
    try:
        return picture.convert(modes.get(picture.mode, "RGBA" if transparent else "RGB"))
    except ValueError:
        raise DataError(f"a picture in the colour mode {picture.mode}; save it as RGB") from None


def _deep_png(path: Source, stored: str) -> np.ndarray:
    import cv2

    values = cv2.imdecode(_all_bytes(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise FileError("damaged: {}", detail="its 16-bit values cannot be decoded")
    if stored == "LA;16B":
        if values.ndim == 3:
            return values[..., [0, -1]]
        return values[..., None]
    return values[..., [2, 1, 0, *range(3, values.shape[2])]]


def _all_bytes(path: Source) -> np.ndarray:
    if isinstance(path, bytes):
        return np.frombuffer(path, np.uint8)
    return np.fromfile(path, np.uint8)


def load_npy(path: Path) -> np.ndarray:
    """Return the array `[H,W,C]` of a NPY file, of any type; raises a DataError where it is none, or too large."""
    try:
        check_regular(path)
        values = open_npy(path)
    except FileNotFoundError:
        raise DataError("the file is not there any more") from None
    except (OSError, ValueError, EOFError) as error:
        raise FileError("not a NPY array: {}", detail=str(error)) from None
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise FileError("an array {}", detail=str(list(values.shape)), cure="save it as [height, width, bands]")
    height, width = values.shape[:2]
    check_size(height, width, size=values.nbytes)
    return np.array(values if values.ndim == 3 else values[..., None])


def _read_tiff(path: Source) -> Raster:
    """Return the picture in a TIFF; of colours that are more than values, or of other codecs, as Pillow has it."""
    try:
        with Tiff(path) as tiff:
            if tiff.has_several_pages:
                raise FileError("an animation or several pages", cure="export one frame")
            tiff.check_written()
            if not (tiff.is_plain and tiff.has_whole_bytes and tiff.is_whole):
                return of_picture(load_picture(path))
            values = tiff.values()
    except DataError:
        raise
    except Exception as error:  # damaged files give anything from KeyError to MemoryError, and codecs may be missing
        return _by_pillow(path, str(error))
    raster = Raster(values, rgb=tiff.rgb, alpha=tiff.alpha, orientation=tiff.orientation)
    if tiff.orientation in UPRIGHT:
        return raster.upright()
    return replace(raster, is_turned=True)


def _by_pillow(path: Source, reason: str) -> Raster:
    try:
        return of_picture(load_picture(path))
    except DataError:
        if "imagecodecs" not in reason:
            raise
        raise FileError(
            "a TIFF that cannot be decoded here: {}",
            detail=reason,
            cure=DECODABLE,
        ) from None


def as_stored(raster: Raster) -> Raster:
    """Return a picture with values of one of the four types; others are refused where none of these holds them."""
    values = raster.values
    if values.dtype == np.uint8 and (raster.rgb or values.shape[2] != 3):
        return raster  # most are
    if values.dtype in (np.uint8, np.uint16, np.int16, np.float32):
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    elif values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    elif values.dtype == np.int8:
        values = values.astype(np.int16)
    elif values.dtype.kind == "f":
        values = values.astype(np.float32)
    else:
        raise FileError("{}", detail=f"values of {values.dtype}", cure="save it as uint8, uint16, int16 or float32")
    return replace(raster, values=values, rgb=raster.rgb or values.shape[2] == 3)

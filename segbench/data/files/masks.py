"""Reading mask files: values become class ids by explicit rules, and nothing is ever colour-converted or rounded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.class_dict import read_class_dict
from segbench.data.files.items import Item
from segbench.data.files.labels import UNKNOWN, LabelMap, label_map
from segbench.data.files.mask_arrays import read_mask_array
from segbench.data.pictures import Source, load_picture, upright
from segbench.data.problems import FileError, LabelError, shown_name
from segbench.data.rasters import NPY, RASTER_SUFFIXES

MODES = ("auto", "index", "palette", "rgb", "binary")
OUTLINES = ("labelme", "yolo")
"""Kinds of masks that are drawn from outlines; see `outlines`."""
SINGLE = ("1", "L", "I", "I;16", "I;16B", "I;16L")
NO_IDS = {
    "F": "a picture of floating-point values",
    "LA": "a grey picture with an alpha channel",
    "PA": "a palette picture with an alpha channel",
}
"""What is neither ids nor colours."""

MOST = 65535
"""The largest value of a mask that a picture of 16 bit can have."""


class MaskReader:
    """Turns mask files into class ids.

    Args:
        mode: `index`: the grey values (1, 8 or 16 bit) are the ids. `palette`: the palette indices are the ids,
            whatever the colours. `rgb`: colours, by `class_dict`. `binary`: class 1 where the largest channel, or the
            palette index, is at least `threshold`. `auto`: palette, index or rgb by the kind of each file.
        classes: Names of the classes; an id is a place in this list.
        ignore: Ids, or for `rgb` names, that become 255. 255 itself stays ignored, except for `binary`.
        class_dict: CSV file with the columns name, r, g, b; for `rgb`.
        threshold: Smallest foreground value, for `binary`; None for 1.
        labels: What ids, colours or the names of `class_dict` mean (see `label_map`); None for their own classes.
    """

    suffixes = RASTER_SUFFIXES

    def __init__(
        self,
        mode: str,
        classes: Sequence[str],
        *,
        ignore: Sequence[int | str] = (),
        class_dict: Path | None = None,
        threshold: int | None = None,
        labels: Mapping[object, object] | None = None,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"there is no data.masks '{mode}'{nearest(mode, (*MODES, *OUTLINES))}")
        if mode == "binary" and len(classes) != 2:
            raise ConfigError(f"data.masks=binary has two classes, but data.classes names {len(classes)}")
        if mode == "binary" and labels is not None:
            raise ConfigError("data.labels says what ids and colours mean, data.masks=binary has none: take one away")
        self.labels = label_map(labels, classes)
        if mode == "rgb" and class_dict is None and not self.labels.colours:
            raise ConfigError(
                "data.masks=rgb needs the colours of the classes: data.class_dict, a CSV file with the columns name, r,"
                " g, b, or data.labels"
            )
        if threshold is not None and (mode != "binary" or not 1 <= threshold <= MOST):
            raise ConfigError(
                f"data.threshold is the smallest foreground value of data.masks=binary, 1 to {MOST}, got {threshold}"
                f" with data.masks={mode}"
            )
        self.mode = mode
        self.classes = list(classes)
        self.threshold = threshold
        self.class_dict = class_dict
        self.ignore = list(ignore)
        ids = [value for value in ignore if not isinstance(value, str)]
        if mode in ("index", "palette", "binary") and len(ids) != len(self.ignore):
            raise ConfigError(f"data.ignore must be ids for data.masks={mode}, got {list(ignore)}; names are for rgb")
        _check_ignored(mode, self.ignore, classes=self.classes)
        self.is_mapped = labels is not None
        self._ids = _id_table(self.labels, ids)
        self._bytes = self._ids[:256].tobytes()
        self._colours: np.ndarray | None = None

    def prepare(self) -> None:
        """Read the class dictionary, if there is one; raises a DataError if it does not fit the classes."""
        if self.mode not in ("rgb", "auto") or (self.class_dict is None and not self.labels.colours):
            return
        names = [value for value in self.ignore if isinstance(value, str)]
        listed = {}
        if self.class_dict is not None:
            listed = read_class_dict(self.class_dict)
        self._colours = _colour_table(listed, self.labels, classes=self.classes, ignore=names)

    @property
    def has_plain_ids(self) -> bool:
        """Whether values are the classes' places, with nothing that says so but the order of the classes."""
        return self.mode != "binary" and not self.is_mapped and self._colours is None

    def settings(self) -> dict[str, object]:
        """Return what decides how a file becomes ids, for a fingerprint; call `prepare` first.

        A map of ids that changes nothing is none.
        """
        table = None
        if self._colours is not None:
            table = hashlib.blake2b(self._colours.tobytes()).hexdigest()
        ignored = [value for value in self.ignore if not isinstance(value, str)]
        plain = _id_table(label_map(None, self.classes), ignored)
        changed = not np.array_equal(self._ids, plain)
        ids = None
        if changed:
            ids = hashlib.blake2b(self._ids.tobytes()).hexdigest()
        return {"masks": self.mode, "ignore": self.ignore, "threshold": self.threshold, "colours": table, "ids": ids}

    def of(self, item: Item) -> np.ndarray:
        """Return the mask of an item."""
        return self.read(item.label)

    def read(self, path: Source) -> np.ndarray:
        """Return the mask as uint8 `[H, W]`, upright; a DataError says which values or colours mean nothing."""
        if isinstance(path, Path) and path.suffix.lower() == NPY:
            return self._read_array(path)
        stored = load_picture(path)
        if stored.info["lossy"] and (self.mode != "binary" or self.threshold is None):
            advice = ""
            if len(self.classes) == 2:
                advice = "; data.masks=binary with data.threshold=128 can take it"
            what = "JPEG"
            if stored.format not in ("JPEG", "MPO"):
                what = f"lossy {stored.format}"
            raise FileError(f"a {what}, which does not keep the values of a mask", cure=f"save masks as PNG{advice}")
        if stored.mode in NO_IDS and (self.mode != "binary" or stored.mode != "LA"):
            raise FileError(f"{NO_IDS[stored.mode]}, which is no mask of ids", cure=self._save_as(stored.mode))
        check_depth(stored)
        picture = upright(stored)
        kind = self._kind(stored)
        if kind == "rgb":
            return self._read_colours(picture)
        if kind == "binary":
            return self._read_binary(picture)
        return self._read_ids(picture, kind)

    def _read_array(self, path: Path) -> np.ndarray:
        if self.mode not in ("auto", "index", "binary"):
            raise FileError("an array, which has ids and no colours", cure="data.masks=auto takes each file's kind")
        values = read_mask_array(path)
        if self.mode == "binary":
            return self._binary(values)
        return self._classes(values)

    def _save_as(self, mode: str) -> str:
        binary = ""
        if mode == "LA" and len(self.classes) == 2:
            binary = ", or give data.masks=binary, which looks at its grey"
        return f"save masks as grey PNG of 8 bit{binary}"

    def _kind(self, picture: Image.Image) -> str:
        if self.mode != "auto":
            return self.mode
        if picture.mode == "P":
            return "palette"
        if picture.mode in SINGLE or (self._colours is None and _one_channel(picture) is not None):
            return "index"
        if self._colours is None:
            raise FileError(
                "a colour picture",
                cure="give data.class_dict, a CSV file with the columns name, r, g, b, or the colours in data.labels"
                + ", or data.masks=binary, for which all but black is foreground" * (len(self.classes) == 2),
            )
        return "rgb"

    def _read_ids(self, picture: Image.Image, kind: str) -> np.ndarray:
        if kind == "palette" and picture.mode != "P":
            raise DataError(f"no palette picture (its mode is {picture.mode}); data.masks=auto takes each file's kind")
        if kind == "index" and (channel := _one_channel(picture)) is not None:
            picture = channel
        if kind == "index" and picture.mode not in SINGLE:
            advice = "palette" if picture.mode == "P" else "rgb"
            raise DataError(f"no grey picture of ids (its mode is {picture.mode}); data.masks={advice} reads it")
        values = np.asarray(picture)
        if values.dtype == np.uint8 and _levels(picture) == 255:
            return self._classes(values)
        return self._classes(values.astype(np.int64) * _levels(picture) // 255)

    def _classes(self, values: np.ndarray) -> np.ndarray:
        """Return the class ids of the ids in a file, uint8 or int64 `[H,W]`."""
        if values.dtype == np.uint8:
            content = bytearray(values.tobytes()).translate(self._bytes)  # several times as fast as numpy's look-up
            ids: np.ndarray = np.frombuffer(content, np.uint8).reshape(values.shape)
            is_known = UNKNOWN not in content
        else:
            known = (values >= 0) & (values <= MOST)
            ids = np.where(known, self._ids[np.clip(values, 0, MOST)], UNKNOWN).astype(np.uint8)
            is_known = not (ids == UNKNOWN).any()
        if not is_known:
            what = f"are no classes (0 to {len(self.classes) - 1}), not 255 and not in data.ignore"
            raise LabelError(
                f"ids {{}} {'are not in data.labels' if self.is_mapped else what}",
                values=_count(values[ids == UNKNOWN], str),
                cure=self._cure_of_ids(values),
            )
        return ids

    def _cure_of_ids(self, values: np.ndarray) -> str:
        if values.min() < 0 or values.max() > MOST:
            return f"save masks whose ids are from 0 to {MOST}"
        if self.is_mapped:
            return "add them to it, or other: ignore"
        labelled = values[values != IGNORE_INDEX]
        if labelled.size and labelled.min() == 1 and labelled.max() == len(self.classes):
            return "data.labels={offset:1} is for ids that begin at 1"
        binary = ""
        if len(self.classes) == 2:
            binary = "data.masks=binary makes all above 0 foreground, "
        return f"{binary}data.ignore=[{{}}] makes them unlabelled, data.labels={{ID:CLASS,...}} says what each means"

    def _read_binary(self, picture: Image.Image) -> np.ndarray:
        if picture.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
            raise DataError(f"a mask in the mode {picture.mode}; save it as a grey picture")
        values = np.asarray(picture).astype(np.int64)
        if values.ndim == 3:  # an alpha channel says nothing about the class
            values = values[..., : 3 if values.shape[2] >= 3 else 1].max(axis=2)
        return self._binary(values)

    def _binary(self, values: np.ndarray) -> np.ndarray:
        mask = (values >= (self.threshold or 1)).astype(np.uint8)
        mask[np.isin(values, self.ignore)] = IGNORE_INDEX
        return mask

    def _read_colours(self, picture: Image.Image) -> np.ndarray:
        if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
            raise DataError("a transparent mask, whose colours are not certain; save it as RGB")
        if picture.mode not in ("RGB", "RGBA", "P", "L", "1"):
            raise DataError(f"no 8-bit colour picture (its mode is {picture.mode})")
        assert self._colours is not None, "prepare() reads the class dictionary"
        codes = _codes(np.asarray(picture.convert("RGB")))
        ids: np.ndarray = self._colours[codes]
        if (ids == UNKNOWN).any():
            raise LabelError(
                f"colours {{}} are not in {self.class_dict.name if self.class_dict else 'data.labels'}",
                values=_count(codes[ids == UNKNOWN], _colour),
                cure="add them to it, by the names of classes or of data.ignore",
            )
        return ids


def check_depth(picture: Image.Image) -> None:
    """Raise a DataError for a mask of `load_picture` whose values Pillow does not hand out as they are stored."""
    stored = picture.info["stored"]
    if "16" in stored and picture.format in ("PNG", "TIFF") and picture.mode not in SINGLE:
        raise DataError("16 bit a channel, of which only the upper 8 are read; save masks with 8 bit a channel")
    if picture.format == "TIFF" and "I" in stored.partition(";")[2]:
        raise DataError("a TIFF whose 0 is white; save masks as PNG")


def _check_ignored(mode: str, ignore: Sequence[int | str], *, classes: Sequence[str]) -> None:
    for value in ignore:
        if isinstance(value, str):
            known = value in classes
        else:
            known = mode != "binary" and 0 <= value < len(classes)
        if known:
            name = value if isinstance(value, str) else classes[value]
            raise ConfigError(
                f"data.ignore={list(ignore)} takes away '{name}', which is a class of data.classes; take it out of one"
            )


def _count(values: np.ndarray, name: Callable[[int], str]) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {name(value): count for value, count in zip(found.tolist(), counts.tolist(), strict=True)}


def _colour(code: int) -> str:
    return f"({code >> 16}, {code >> 8 & 255}, {code & 255})"


def _levels(picture: Image.Image) -> int:
    # Pillow spreads grey values of 2 and 4 bit over 0..255
    stored = picture.info["stored"]
    return {"L;2": 3, "L;4": 15}.get(stored[:3], 255)


def _one_channel(picture: Image.Image) -> Image.Image | None:
    """Return the first channel of an opaque picture whose three are equal; None for any other."""
    if picture.mode not in ("RGB", "RGBA"):
        return None
    values = np.asarray(picture)
    if (values[..., 1:3] != values[..., :1]).any() or (values[..., 3:] < 255).any():
        return None
    channel = picture.getchannel(0)
    channel.info.update(picture.info)
    return channel


def _id_table(labels: LabelMap, ignore: Sequence[int]) -> np.ndarray:
    table = labels.values.copy()
    for value in ignore:
        if not 0 <= value <= MOST:
            raise ConfigError(f"data.ignore must be ids from 0 to {MOST}, got {value}")
        table[value] = IGNORE_INDEX
    return table


def _codes(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _colour_table(
    listed: dict[tuple[int, int, int], str], labels: LabelMap, *, classes: list[str], ignore: Sequence[str]
) -> np.ndarray:
    ids = {colour: IGNORE_INDEX if name in ignore else labels.name(name) for colour, name in listed.items()}
    ids.update(labels.colours)
    for place, name in enumerate(classes):
        if place not in ids.values():
            where = "data.class_dict" if listed else "data.labels"
            raise DataError(f"{where} has no colour for the class '{name}'{nearest(name, set(listed.values()))}")
    for colour, number in ids.items():
        if number == UNKNOWN:
            raise DataError(
                f"data.class_dict names '{shown_name(listed[colour])}', which is neither in data.classes nor in"
                " data.ignore; add it to one, or to data.labels"
            )
    table = np.full(1 << 24, labels.other, np.uint8)
    for (red, green, blue), number in ids.items():
        table[red << 16 | green << 8 | blue] = number
    return table

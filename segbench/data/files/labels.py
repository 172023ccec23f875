"""What the values, colours or names in annotations mean: `data.labels`, a map from each to a class or to 255."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segbench.core.errors import ConfigError, nearest
from segbench.core.tasks import IGNORE_INDEX

UNKNOWN = 254
"""Marks values that mean no class; class lists are shorter than this."""

LARGEST = 65535
"""The largest value that a mask of 16 bit can hold."""

IGNORE = "ignore"
OTHER = "other"
OFFSET = "offset"
"""Keys that stand for more than one value: all that is not named, and ids that do not start at 0."""

RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
COLOUR = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})")
HEX = re.compile(r"(?:#|0x)([0-9a-fA-F]{6})")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """What annotations hold, and the class id of each; 255 for what is ignored, 254 for what means nothing."""

    values: np.ndarray
    """uint8 `[65536]`, by the value of a mask's pixel."""

    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    """By red, green and blue, 0..255."""

    names: Mapping[str, int] = field(default_factory=dict)
    """By the name of a label."""

    other: int = UNKNOWN
    """Of everything that is not named."""

    def name(self, name: str) -> int:
        """Return the id of a name."""
        return self.names.get(name, self.other)


def label_map(labels: Mapping[object, object] | None, classes: Sequence[str]) -> LabelMap:
    """Return the map that `data.labels` describes; None maps id k to the k-th class, and each class's name to it.

    Keys are ids (`7`), ranges of ids (`0-6`), colours (`128 64 0`, `#804000`), names, `other` for all the rest, and
    `offset` for ids that begin at its value. Values are names of classes, or `ignore`.

    Raises:
        ConfigError: for a key that is nothing of that, or a value that is no class.
    """
    names = {name: place for place, name in enumerate(classes)}
    if labels is None:
        return LabelMap(_shifted(len(classes), 0), {}, names)
    entries = {str(key).strip(): value for key, value in labels.items()}
    offset = entries.pop(OFFSET, None)
    if OTHER in entries:
        other = _class_of(OTHER, entries.pop(OTHER), classes=classes)
    else:
        other = UNKNOWN
    if offset is not None:
        values = _shifted(len(classes), _whole(offset))
    elif any(True for key in entries for _ in _ids(key)):
        values = _shifted(0, 0)
    else:
        values = _shifted(len(classes), 0)
    values[values == UNKNOWN] = other
    colours: dict[tuple[int, int, int], int] = {}
    for key, value in entries.items():
        number = _class_of(key, value, classes=classes)
        if ids := list(_ids(key)):
            values[ids] = number
        elif (colour := _colour(key)) is not None:
            colours[colour] = number
        else:
            names[key] = number
    return LabelMap(values, colours, names, other)


def _shifted(classes: int, offset: int) -> np.ndarray:
    table = np.full(LARGEST + 1, UNKNOWN, np.uint8)
    table[offset : offset + classes] = np.arange(classes)
    table[IGNORE_INDEX] = IGNORE_INDEX
    return table


def _whole(offset: object) -> int:
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset < IGNORE_INDEX:
        raise ConfigError(f"data.labels: offset must be the id of the first class, 0 to 254, got {offset!r:.50}")
    return offset


def _class_of(key: str, value: object, *, classes: Sequence[str]) -> int:
    name = str(value)
    if name in classes:
        return list(classes).index(name)
    if name == IGNORE:
        return IGNORE_INDEX
    raise ConfigError(
        f"data.labels gives '{key:.50}' the class '{name:.50}', which is neither in data.classes nor"
        f" ignore{nearest(name, classes)}"
    )


def _ids(key: str) -> Iterator[int]:
    match = RANGE.fullmatch(key)
    first, last = (match[1], match[2]) if match else (key, key)
    if not first.isascii() or not first.isdigit():
        return
    if not int(first) <= int(last) <= LARGEST:
        raise ConfigError(f"data.labels: {key:.50} must be an id from 0 to {LARGEST}, or a range such as 0-6")
    yield from range(int(first), int(last) + 1)


def _colour(key: str) -> tuple[int, int, int] | None:
    if match := HEX.fullmatch(key):
        code = int(match[1], 16)
        return code >> 16, code >> 8 & 255, code & 255
    if match := COLOUR.fullmatch(key):
        red, green, blue = (int(part) for part in match.groups())
        if max(red, green, blue) > 255:
            raise ConfigError(f"data.labels: the colour {key} must be red, green and blue from 0 to 255")
        return red, green, blue
    return None

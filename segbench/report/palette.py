"""Colours of classes, the same in every picture."""

from __future__ import annotations

import colorsys

import numpy as np

from segbench.core.tasks import IGNORE_INDEX

IGNORED = (128, 128, 128)
FIRST = (
    (0, 0, 0),
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def palette(classes: int) -> np.ndarray:
    """Return uint8 `[256, 3]`: class 0 black, the next seven told apart easily (Okabe and Ito), then hues; 255 grey."""
    colours = np.zeros((256, 3), np.uint8)
    for number in range(classes):
        if number < len(FIRST):
            colours[number] = FIRST[number]
        else:
            hue = (number * 0.618034) % 1
            colours[number] = [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.9)]
    colours[IGNORE_INDEX] = IGNORED
    return colours


def colour(mask: np.ndarray, classes: int) -> np.ndarray:
    """Return uint8 `[..., 3]`, the colours of a mask of class ids."""
    return palette(classes)[mask.astype(np.uint8)]

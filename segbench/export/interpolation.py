"""What comes after a network, in numpy: bilinear interpolation, class ids and probabilities. No torch."""

from __future__ import annotations

import numpy as np

from segbench.data.loading.views import Size


def interpolated(values: np.ndarray, size: Size) -> np.ndarray:
    """Return float32 `[...,h,w]` at another size, as torch interpolates bilinearly with `align_corners=False`."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        values = _along(values, axis, length=length)
    return values


def _along(values: np.ndarray, axis: int, *, length: int) -> np.ndarray:
    before = values.shape[axis]
    if before == length:
        return values
    scale = np.float32(before / length)
    place = ((np.arange(length, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)).clip(0)
    first = np.minimum(place.astype(np.int64), before - 1)
    second = np.minimum(first + 1, before - 1)
    share = place - first.astype(np.float32)
    if axis == -2:
        share = share[:, None]
    mixed: np.ndarray = values.take(first, axis) * (1 - share) + values.take(second, axis) * share
    return mixed


def ids_of(logits: np.ndarray) -> np.ndarray:
    """Return class ids, uint8 `[H,W]`, of logits `[K,H,W]`; the first of equally likely classes."""
    found = logits[0] > 0 if len(logits) == 1 else logits.argmax(axis=0)
    return np.asarray(found, dtype=np.uint8)


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Return the probability of every class, float32 `[C,H,W]`; of background and foreground for one logit."""
    if len(logits) == 1:
        logits = np.concatenate([-logits, logits]) / 2  # the softmax of both is the sigmoid of each
    shares = np.exp(logits - logits.max(axis=0))
    found: np.ndarray = shares / shares.sum(axis=0)
    return found

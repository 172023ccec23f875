"""What lies behind the cut-outs of `synthetic`: flat colours, gradients and noise, in whole numbers only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BACKGROUNDS = ("flat", "gradient", "noise", "photo")
NOISE = 40
"""The largest change that noise makes to a value of 0..255."""


def colour_backdrop(
    kind: str,
    rows: np.ndarray,
    *,
    columns: np.ndarray,
    channels: np.ndarray,
    size: tuple[int, int],
    plan: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Return the colours of a backdrop that is not a photograph, whole numbers 0..255 `[..., H, W, 3]`.

    Args:
        kind: `flat`, `gradient` or `noise`.
        rows: `[H, 1, 1]`, 0 to H - 1; columns: `[W, 1]`; channels: `[3]`, 0 to 2; all of a 64-bit integer type.
        columns: See `rows`.
        channels: See `rows`.
        size: H and W.
        plan: The fields of `Backdrop`; each colour broadcasts to `[..., 1, 1, 3]`, each number to `[..., 1, 1, 1]`.
    """
    first = plan["colour"]
    second = plan["other"]
    everywhere = 0 * (rows + columns)
    if kind == "gradient":
        share = _ramp(rows, columns, size=size, dx=plan["dx"], dy=plan["dy"])
        gradient: np.ndarray = (first * (255 - share) + second * share + 127) // 255
        return gradient
    if kind == "noise":
        noise = _hash(plan["key"] + columns * 374761393 + rows * 668265263 + channels * 1274126177)
        noisy: np.ndarray = (first + noise % (2 * NOISE + 1) - NOISE).clip(0, 255)
        return noisy
    plain: np.ndarray = first + everywhere
    return plain


def _ramp(
    rows: np.ndarray, columns: np.ndarray, *, size: tuple[int, int], dx: np.ndarray, dy: np.ndarray
) -> np.ndarray:
    # 0..255 from one corner or side of the canvas to the opposite one, along the direction (dx, dy)
    height, width = size
    reach = abs(dx) * (width - 1) + abs(dy) * (height - 1)
    along = dx * (2 * columns + 1 - width) + dy * (2 * rows + 1 - height)
    share: np.ndarray = (along + reach) * 255 // (2 * reach + (reach == 0))
    return share


def _hash(value: np.ndarray) -> np.ndarray:
    # 32-bit mixing; the multipliers are below 2**30, so that no product leaves 63 bits
    value = value & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    value = ((value ^ (value >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return value ^ (value >> 15)

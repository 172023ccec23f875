"""The renderer: a plan to pixels, in whole numbers only, so that every processor gives the same bytes.

A cut-out is sampled bilinearly with 8-bit weights from the mip level just above its size, in premultiplied colour, and
laid on the background:  out = foreground + background * (255 - alpha) / 255,  rounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.data.scenes.plan import Layer, Scene
from segbench.data.scenes.textures import Texture


def render(
    scene: Scene, textures: Sequence[Texture], *, backgrounds: np.ndarray, canvas: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (image, alpha, background) of a scene.

    Args:
        scene: What lies where.
        textures: The foregrounds by number.
        backgrounds: uint8 `[number, H + margin, W + margin, 3]`.
        canvas: H and W of the scene.

    Returns:
        image uint8 `[H, W, 3]`, alpha uint8 `[H, W]` and the scene without its foreground uint8 `[H, W, 3]`.
    """
    height, width = canvas
    top = scene.background_y
    left = scene.background_x
    background = backgrounds[scene.background, top : top + height, left : left + width]
    if scene.background_flip:
        background = background[:, ::-1]
    background = np.ascontiguousarray(background)
    image = background.copy()
    alpha = np.zeros(canvas, np.uint8)
    rows = slice(max(0, scene.y), min(height, scene.y + scene.height))
    columns = slice(max(0, scene.x), min(width, scene.x + scene.width))
    if rows.start < rows.stop and columns.start < columns.stop:
        patch = sample_cutout(scene, textures[scene.foreground], rows=rows, columns=columns)
        over = background[rows, columns].astype(np.int32)
        alpha[rows, columns] = patch[..., 3]
        image[rows, columns] = patch[..., :3] + (over * (255 - patch[..., 3:]) + 127) // 255
    return image, alpha, background


def sample_cutout(scene: Scene | Layer, texture: Texture, *, rows: slice, columns: slice) -> np.ndarray:
    """Return the part of a placed cut-out that covers these rows and columns: premultiplied RGBA, int32 `[h, w, 4]`."""
    level = texture.levels[texture.level_for(scene.height, scene.width)]
    row = np.arange(rows.start - scene.y, rows.stop - scene.y)
    column = np.arange(columns.start - scene.x, columns.stop - scene.x)
    if scene.flip:
        column = scene.width - 1 - column
    y0, y1, fy = taps(row, scene.height, source=level.shape[0])
    x0, x1, fx = taps(column, scene.width, source=level.shape[1])
    fx = fx[None, :, None]
    fy = fy[:, None, None]
    texels = level.astype(np.int32)
    upper = texels[y0[:, None], x0] * (256 - fx) + texels[y0[:, None], x1] * fx
    lower = texels[y1[:, None], x0] * (256 - fx) + texels[y1[:, None], x1] * fx
    pixels: np.ndarray = (upper * (256 - fy) + lower * fy + 32768) >> 16
    return pixels


def taps(position: np.ndarray, size: int, *, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two source positions and the 8-bit weight of the second, for each of `size` pixel centres."""
    place = ((2 * position + 1) * source * 256) // (2 * size) - 128
    first = place >> 8
    return np.clip(first, 0, source - 1), np.clip(first + 1, 0, source - 1), (place & 255).astype(np.int32)

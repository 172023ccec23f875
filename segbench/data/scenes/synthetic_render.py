"""The renderer of `synthetic`: painter's algorithm in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from segbench.data.scenes.render import sample_cutout
from segbench.data.scenes.synthetic_backdrops import colour_backdrop
from segbench.data.scenes.synthetic_plan import Backdrop, Painting
from segbench.data.scenes.textures import Texture


def render_backdrop(backdrop: Backdrop, kind: str, *, photos: np.ndarray | None, canvas: tuple[int, int]) -> np.ndarray:
    """Return a scene without its cut-outs, uint8 `[H, W, 3]`.

    Args:
        backdrop: Its plan.
        kind: `flat`, `gradient`, `noise` or `photo`.
        photos: uint8 `[number, H + margin, W + margin, 3]`, for `photo`.
        canvas: H and W of the scene.
    """
    height, width = canvas
    if kind == "photo":
        assert photos is not None
        top = backdrop.background_y
        left = backdrop.background_x
        cut = photos[backdrop.background, top : top + height, left : left + width]
        return np.ascontiguousarray(cut[:, ::-1] if backdrop.background_flip else cut)
    plan = {name: np.asarray(value, dtype=np.int64) for name, value in asdict(backdrop).items()}
    rows = np.arange(height)[:, None, None]
    columns = np.arange(width)[:, None]
    return colour_backdrop(kind, rows, columns=columns, channels=np.arange(3), size=canvas, plan=plan).astype(np.uint8)


def paint(
    painting: Painting, textures: Sequence[Texture], *, background: np.ndarray, threshold: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (image, instances) of a scene.

    Args:
        painting: What lies where, back to front.
        textures: The cut-outs by number.
        background: The scene without cut-outs, uint8 `[H, W, 3]`.
        threshold: Alpha of 1..255 from which a pixel belongs to a cut-out.

    Returns:
        image uint8 `[H, W, 3]` and uint8 `[H, W]`: 0 for the background, else the place in the painter's order, from
        1, of the topmost layer that reaches the threshold there.
    """
    height, width = background.shape[:2]
    image = background.copy()
    instances = np.zeros((height, width), np.uint8)
    for place, layer in enumerate(painting.layers, start=1):
        rows = slice(max(0, layer.y), min(height, layer.y + layer.height))
        columns = slice(max(0, layer.x), min(width, layer.x + layer.width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        patch = sample_cutout(layer, textures[layer.foreground], rows=rows, columns=columns)
        alpha = patch[..., 3:]
        over = image[rows, columns].astype(np.int32)
        image[rows, columns] = patch[..., :3] + (over * (255 - alpha) + 127) // 255
        instances[rows, columns][alpha[..., 0] >= threshold] = place
    return image, instances

"""The renderer of `synthetic`: painter's algorithm in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from segbench.data.scenes.render import covered, cut_background, cut_patch, lay
from segbench.data.scenes.synthetic_backdrops import colour_backdrop
from segbench.data.scenes.synthetic_plan import Backdrop, Painting
from segbench.data.scenes.textures import Texture, in_planes


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
        cut = cut_background(
            photos[backdrop.background],
            top=backdrop.background_y,
            left=backdrop.background_x,
            canvas=canvas,
            mirrored=bool(backdrop.background_flip),
        )
        return cut.transpose(1, 2, 0)
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
    canvas = background.shape[0], background.shape[1]
    image = in_planes(background)
    instances = np.zeros(canvas, np.uint8)
    for place, layer in enumerate(painting.layers, start=1):
        rows, columns = covered(layer, canvas)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        patch = cut_patch(layer, textures[layer.foreground], rows=rows, columns=columns)
        lay(patch, image[:, rows, columns])
        instances[rows, columns][patch[3] >= threshold] = place
    return image.transpose(1, 2, 0), instances

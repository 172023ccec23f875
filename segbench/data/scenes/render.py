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
    background = cut_background(
        backgrounds[scene.background],
        top=scene.background_y,
        left=scene.background_x,
        canvas=canvas,
        mirrored=bool(scene.background_flip),
    )
    image = background.copy()
    alpha = np.zeros(canvas, np.uint8)
    rows, columns = covered(scene, canvas)
    if rows.start < rows.stop and columns.start < columns.stop:
        patch = cut_patch(scene, textures[scene.foreground], rows=rows, columns=columns)
        lay(patch, image[:, rows, columns])
        alpha[rows, columns] = patch[3]
    return image.transpose(1, 2, 0), alpha, background.transpose(1, 2, 0)


def cut_background(
    background: np.ndarray, *, top: int, left: int, canvas: tuple[int, int], mirrored: bool
) -> np.ndarray:
    """Return the part of a background uint8 `[H + margin, W + margin, 3]` that a scene shows, `[3, H, W]`, a copy.

    Args:
        background: The whole of it.
        top: Where the canvas lies on it.
        left: Likewise.
        canvas: H and W of the scene.
        mirrored: Whether it is mirrored left to right.
    """
    height, width = canvas
    cut = background[top : top + height, left : left + width].transpose(2, 0, 1)
    if mirrored:
        cut = cut[..., ::-1]
    return cut.copy(order="C")


def covered(scene: Scene | Layer, canvas: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a canvas that a placed cut-out covers; empty where it lies outside."""
    top = max(0, scene.y)
    left = max(0, scene.x)
    bottom = min(canvas[0], scene.y + scene.height)
    right = min(canvas[1], scene.x + scene.width)
    return slice(top, max(top, bottom)), slice(left, max(left, right))


def cut_patch(scene: Scene | Layer, texture: Texture, *, rows: slice, columns: slice) -> np.ndarray:
    """Return the part of a placed cut-out that covers these rows and columns: premultiplied, uint8 `[4, h, w]`."""
    whole = texture.scaled(scene.height, scene.width)
    if scene.flip:
        whole = whole[..., ::-1]
    return whole[:, rows.start - scene.y : rows.stop - scene.y, columns.start - scene.x : columns.stop - scene.x]


def lay(patch: np.ndarray, under: np.ndarray) -> None:
    """Lay a premultiplied patch uint8 `[4, h, w]` on what is under it, uint8 `[3, h, w]`, in place."""
    total = under * np.subtract(255, patch[3], dtype=np.uint16)
    total += np.uint16(127)
    # a division by 255, exact for 16 bits
    total += (total >> np.uint16(8)) + np.uint16(1)
    total >>= np.uint16(8)
    total += patch[:3]
    under[...] = total

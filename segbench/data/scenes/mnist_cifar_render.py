"""The renderer of `mnist_cifar`, in whole numbers only.

add:    digit = every (28 / box)-th value;  out = min(255, photo + gain * digit)
alpha:  digit = bilinear, the opacity;      out = (colour * digit + photo * (255 - digit)) / 255, rounded

In both the digit is 0 where it is not above the threshold, so that exactly the mask's pixels differ from the photo.

At 32 x 32 the photo is shown as it is; at other sizes it is resized bilinearly with 8-bit weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.data.scenes.mnist_cifar_plan import DigitLayout, DigitScene
from segbench.data.scenes.textures import taps


def bilinear(pictures: np.ndarray, taps_of_axes: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return pictures `[B, h, w, channels]` of a whole-number type at the taps of rows and of columns, 0..255."""
    (y0, y1, fy), (x0, x1, fx) = taps_of_axes
    fy = fy[:, None, None]
    fx = fx[:, None]
    rows = pictures[:, y0] * (256 - fy) + pictures[:, y1] * fy
    pixels: np.ndarray = (rows[:, :, x0] * (256 - fx) + rows[:, :, x1] * fx + 32768) >> 16
    return pixels


def blend(layout: DigitLayout, photo: np.ndarray, *, digit: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return the image, 0..255: photo `[..., 3]`, digit `[..., 1]` (0 outside its box) and colour broadcast."""
    kept = digit * (digit >= layout.least)
    image: np.ndarray
    if layout.blend == "add":
        image = (photo + (kept * layout.gain + 127) // 255).clip(0, 255)
    else:
        image = (colour * kept + photo * (255 - kept) + 127) // 255
    return image


class DigitTaps:
    """Where the pixels of a scene come from in a digit of 28 x 28 and in a photo of 32 x 32."""

    def __init__(self, layout: DigitLayout, digit: tuple[int, ...], *, photo: tuple[int, ...]) -> None:
        self.photo = [taps(np.arange(n), n, source=source) for n, source in zip(layout.canvas, photo, strict=True)]
        if layout.blend == "alpha":
            self.digit = [taps(np.arange(n), n, source=source) for n, source in zip(layout.box, digit, strict=True)]
        else:
            nearest = [np.arange(n) * source // n for n, source in zip(layout.box, digit, strict=True)]
            self.digit = [(place, place, np.zeros_like(place)) for place in nearest]


def render_digit(
    scene: DigitScene, layout: DigitLayout, *, sources: DigitTaps, digits: np.ndarray, photos: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (image, inside, background) of a scene.

    Args:
        scene: What lies where.
        layout: How it is blended.
        sources: Of the layout.
        digits: uint8 `[N, 28, 28]`.
        photos: uint8 `[M, 32, 32, 3]`.

    Returns:
        image uint8 `[H, W, 3]`, bool `[H, W]`: is there digit, and the photo alone uint8 `[H, W, 3]`.
    """
    photo = bilinear(photos[scene.photo][None].astype(np.int32), sources.photo)[0]
    digit = bilinear(digits[scene.digit][None, :, :, None].astype(np.int32), sources.digit)[0]
    height, width = layout.box
    box = slice(scene.y, scene.y + height), slice(scene.x, scene.x + width)
    image = photo.copy()
    inside = np.zeros(layout.canvas, bool)
    image[box] = blend(layout, photo[box], digit=digit, colour=np.array([scene.red, scene.green, scene.blue]))
    inside[box] = digit[..., 0] >= layout.least
    return image.astype(np.uint8), inside, photo.astype(np.uint8)

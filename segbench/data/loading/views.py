"""What a network sees of a picture, and the way back from there to the picture's own size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from segbench.core.choices import Fit, one_of
from segbench.core.errors import DataError
from segbench.core.tasks import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor

MAX_VIEW = 64_000_000
"""Most pixels of a view: `crop` makes one of a very long and narrow picture that no network could be given."""

Size = tuple[int, int]
"""Height and width in pixels."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as Pillow has them."""


@dataclass(frozen=True)
class Place:
    """Where a picture lies in a view."""

    canvas: Size
    """Height and width of the view."""

    inner: Size
    """Height and width of the picture in it; what is around the picture is padding."""

    @property
    def corner(self) -> Size:
        """Rows above and columns left of the picture."""
        return (self.canvas[0] - self.inner[0]) // 2, (self.canvas[1] - self.inner[1]) // 2

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that are the picture's."""
        top, left = self.corner
        return slice(top, top + self.inner[0]), slice(left, left + self.inner[1])


@dataclass(frozen=True)
class EvaluationView:
    """What a network sees of a whole picture where it is scored or predicted, and the way back to the own size.

    The one view of validation, test, `evaluate`, `predict` and `segbench.load`. A picture that has the view's size is
    left as it is, bit for bit. Images are filtered bilinearly over the area that a pixel covers; masks are nearest.
    """

    size: Size
    """Height and width that the network was trained at, in pixels."""

    fit: Fit = Fit.STRETCH
    """How the picture comes to that size.

    `stretch` resizes to exactly that size; `pad` keeps the shape, with the picture in the middle of black (image) and
    ignored (mask) bars; `crop` keeps the shape as well, and covers the size: it leaves nothing out, so that the view is
    larger than what the network was trained at.
    """

    own_scale: bool = False
    """Whether pictures are seen as they are, whatever their size: the network was trained on crops of them."""

    def __post_init__(self) -> None:
        one_of(Fit, self.fit, what="data.fit")

    def at_side(self, side: int) -> EvaluationView:
        """Return the view at another scale, at which the shorter side of its size has `side` pixels."""
        scale = side / min(self.size)
        return replace(self, size=(max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))))

    def place(self, height: int, width: int) -> Place:
        """Return where a picture of `height` x `width` lies in its view.

        Raises:
            DataError: for a picture so narrow that its view would have more than `MAX_VIEW` pixels.
        """
        if self.own_scale:
            return Place((height, width), (height, width))
        if self.fit == Fit.STRETCH or (height, width) == self.size:
            return Place(self.size, self.size)
        ratios = self.size[0] / height, self.size[1] / width
        scale = min(ratios) if self.fit == Fit.PAD else max(ratios)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        if inner[0] * inner[1] > MAX_VIEW:
            raise DataError(
                f"a picture of {height} x {width} pixels would be seen at {inner[0]} x {inner[1]}, more than"
                f" {MAX_VIEW:,} pixels in all; data.fit=stretch or pad can show it"
            )
        return Place(self.size if self.fit == Fit.PAD else inner, inner)

    def image(self, image: np.ndarray) -> np.ndarray:
        """Return what is seen of an image `[h,w,C]`, uint8 or float32 as it is."""
        return self._seen(image, Image.Resampling.BILINEAR, fill=0)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return the mask uint8 `[h,w]` as the network's output has it; it holds no new id but 255, for bars."""
        return self._seen(mask, Image.Resampling.NEAREST, fill=IGNORE_INDEX)

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Return the depth float32 `[h,w]` likewise; bars are NaN, unknown."""
        return self._seen(depth, Image.Resampling.NEAREST, fill=np.nan)

    def back(self, values: Tensor, *, height: int, width: int) -> Tensor:
        """Return what a network says of a view, `[B,K,h,w]`, at the picture's own size `[B,K,height,width]`.

        Padding is left out, and logits are interpolated bilinearly before classes are chosen, so that outlines are as
        fine as they can be.
        """
        if values.shape[-2:] == (height, width):
            return values
        from torch.nn import functional as F  # an exported network is used without torch

        rows, columns = self.place(height, width).window
        return F.interpolate(values[..., rows, columns], (height, width), mode="bilinear", align_corners=False)

    def _seen(self, array: np.ndarray, resampling: Image.Resampling, *, fill: float) -> np.ndarray:
        if array.shape[:2] == self.size:
            return array
        place = self.place(*array.shape[:2])
        inner = resized(array, place.inner, resampling=resampling)
        if place.canvas == place.inner:
            return inner
        canvas = np.full((*place.canvas, *array.shape[2:]), fill, array.dtype)
        canvas[place.window] = inner
        return canvas


@dataclass(frozen=True)
class TrainingView:
    """What a network is trained on of a whole picture: always of one size, so that pictures make batches."""

    size: Size
    """Height and width in pixels."""

    fit: Fit = Fit.STRETCH
    """`stretch` and `pad` as in an evaluation; `crop` keeps the shape and cuts off what is too much, on both sides."""

    def __post_init__(self) -> None:
        one_of(Fit, self.fit, what="data.fit")

    @cached_property
    def _whole(self) -> EvaluationView:
        """What is seen of the whole picture, which is trained on unless it is cropped."""
        return EvaluationView(self.size, self.fit)

    def image(self, image: np.ndarray) -> np.ndarray:
        """Return an image `[h,w,C]` of uint8 or float32 as `[H,W,C]`."""
        if self.fit != Fit.CROP:
            return self._whole.image(image)
        return resized(image, self.size, resampling=Image.Resampling.BILINEAR, box=self._middle(*image.shape[:2]))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask uint8 `[h,w]` as `[H,W]`; it holds no id that it did not hold, but 255 for bars."""
        if self.fit != Fit.CROP:
            return self._whole.mask(mask)
        return resized(mask, self.size, resampling=Image.Resampling.NEAREST, box=self._middle(*mask.shape[:2]))

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Return a depth float32 `[h,w]` as `[H,W]`; bars are NaN, unknown."""
        if self.fit != Fit.CROP:
            return self._whole.depth(depth)
        return resized(depth, self.size, resampling=Image.Resampling.NEAREST, box=self._middle(*depth.shape[:2]))

    def arrays(self, original: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all arrays of a picture, by their names, as they are trained on."""
        show = {"mask": self.mask, "depth": self.depth}
        return {name: show.get(name, self.image)(array) for name, array in original.items()}

    def _middle(self, height: int, width: int) -> Box:
        scale = max(self.size[0] / height, self.size[1] / width)
        inner_height = min(self.size[0] / scale, height)
        inner_width = min(self.size[1] / scale, width)
        left = (width - inner_width) / 2
        top = (height - inner_height) / 2
        return left, top, min(left + inner_width, width), min(top + inner_height, height)


def resized(array: np.ndarray, size: Size, *, resampling: Image.Resampling, box: Box | None = None) -> np.ndarray:
    """Return an array `[h,w]` or `[h,w,C]` of uint8 or float32 at another size, each band by itself.

    Args:
        array: The picture.
        size: Height and width that it comes to.
        resampling: Pillow's filter, which shrinks over the area that a pixel covers.
        box: The part of the picture that is shown; None for all.
    """
    if array.shape[:2] == size:
        return array
    height, width = size

    def band(values: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(values).resize((width, height), resampling, box=box))

    if array.ndim == 2 or (array.shape[2] == 3 and array.dtype == np.uint8):
        return band(np.ascontiguousarray(array))
    return np.stack([band(np.ascontiguousarray(array[..., number])) for number in range(array.shape[2])], axis=2)

"""Resizing with Pillow's filter, by shapes that a graph works out from the picture that it is given.

Both directions are matrices: a picture `[H,W]` becomes `rows @ picture @ columns.T`. Each of their entries follows from
sizes alone, so that a trace holds for every size, in whatever program. Pillow rounds pictures of 8 bit after each
direction, and its versions differ in which comes first; nothing is rounded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.core.choices import Fit
from segbench.data.loading.views import EvaluationView

Length = int
"""A number of pixels; in a trace a tensor without dimensions that stands for it."""


@dataclass(frozen=True)
class GraphPlace:
    """Where a picture lies in a view, as `segbench.data.loading.views.Place` says it."""

    canvas: tuple[Length, Length]
    """Height and width of the view."""
    inner: tuple[Length, Length]
    """Height and width of the picture in it."""

    @property
    def corner(self) -> tuple[Length, Length]:
        """Rows above and columns left of the picture."""
        return (self.canvas[0] - self.inner[0]) // 2, (self.canvas[1] - self.inner[1]) // 2


def place_of(view: EvaluationView, picture: Tensor) -> GraphPlace:
    """Return where a picture `[B,C,H,W]` lies in its view."""
    height, width = picture.shape[-2:]
    if view.own_scale:
        return GraphPlace((height, width), (height, width))
    if view.fit == Fit.STRETCH:
        return GraphPlace(view.size, view.size)
    own = torch.stack([torch.as_tensor(height), torch.as_tensor(width)]).double()
    ratios = torch.tensor(view.size, dtype=torch.float64) / own
    scale = torch.minimum(ratios[0], ratios[1]) if view.fit == Fit.PAD else torch.maximum(ratios[0], ratios[1])
    inner = (own * scale).round().clamp(min=1).long()
    size = (cast(Length, inner[0]), cast(Length, inner[1]))
    return GraphPlace(view.size if view.fit == Fit.PAD else size, size)


def seen(picture: Tensor, place: GraphPlace) -> Tensor:
    """Return what a view shows of pictures, float `[B,C,H,W]`, as `EvaluationView.image` does, but for its rounding.

    Args:
        picture: The pictures.
        place: Where they lie in it.
    """
    height, width = picture.shape[-2:]
    picture = weights(height, place.inner[0]) @ picture @ weights(width, place.inner[1]).T
    if place.canvas == place.inner:
        return picture
    top, left = place.corner
    below = place.canvas[0] - place.inner[0] - top
    right = place.canvas[1] - place.inner[1] - left
    return F.pad(picture, [left, right, top, below])


def back(values: Tensor, place: GraphPlace, *, like: Tensor) -> Tensor:
    """Return what a network says of a view at the size of the pictures, as `EvaluationView.back` does.

    Args:
        values: `[B,K,h,w]`.
        place: Where the pictures lie in the view.
        like: The pictures `[B,C,H,W]`.
    """
    top, left = place.corner
    inner = values[..., top : top + place.inner[0], left : left + place.inner[1]]
    return F.interpolate(inner, like.shape[-2:], mode="bilinear", align_corners=False)


def weights(before: Length, after: Length) -> Tensor:
    """Return the matrix `[after, before]` of a bilinear filter over the area that a pixel covers, as Pillow has it."""
    old = torch.as_tensor(before).double()
    new = torch.as_tensor(after).double()
    scale = old / new
    reach = torch.clamp(scale, min=1.0)
    middles = (torch.arange(after).double() + 0.5) * scale
    pixels = torch.arange(before).double() + 0.5
    found = (1 - (pixels[None] - middles[:, None]).abs() / reach).clamp(min=0)
    return (found / found.sum(dim=1, keepdim=True)).float()

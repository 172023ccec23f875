"""Structural similarity as a loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.losses.base import MapLoss, valid_mean

K1 = 0.01
K2 = 0.03


class SSIM(MapLoss):
    """1 - SSIM of both maps (Wang et al., 2004), with an 11 x 11 Gaussian window of sigma 1.5.

    Only windows that lie in the picture as a whole and hold no ignored pixel are counted; where none is left (small
    pictures, scattered labels) the loss is 0. Pictures smaller than the window use the largest odd window that fits.

    Args:
        head: `mask` or `depth`.
        data_range: Largest value of the maps: 1 for masks, about the farthest depth for depth.
        window: Side of the window in pixels, odd.
        sigma: Standard deviation of the Gaussian in pixels.
    """

    terms = ("ssim",)

    def __init__(self, head: str = "mask", data_range: float = 1.0, *, window: int = 11, sigma: float = 1.5) -> None:
        super().__init__(head)
        odd = isinstance(window, int) and window >= 3 and window % 2 == 1
        if not (odd and 0 < data_range < math.inf and 0 < sigma < math.inf):
            raise ConfigError(
                f"loss needs data_range and sigma above 0 and an odd window of at least 3, got {data_range}, {sigma}"
                f" and {window}"
            )
        self.data_range = data_range
        self.window = window
        self.sigma = sigma

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return 1 minus the mean similarity over whole windows."""
        height, width = predicted.shape[-2:]
        side = min(self.window, (min(height, width) - 1) // 2 * 2 + 1)
        x, y = (part.flatten(0, 1) / self.data_range for part in (predicted, truth))
        blurred = _Blur.apply(torch.cat([x, y, x * x, y * y, x * y]), self._weights(side))
        mean_x, mean_y, xx, yy, xy = blurred.chunk(5)
        variance_x = xx - mean_x**2
        variance_y = yy - mean_y**2
        covariance = xy - mean_x * mean_y
        c1 = K1**2
        c2 = K2**2
        similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
        )
        whole = F.max_pool2d((~valid).float(), side, stride=1) == 0
        return valid_mean(1 - similarity.reshape(*predicted.shape[:2], *similarity.shape[-2:]), whole)

    def _weights(self, side: int) -> tuple[float, ...]:
        """Return the Gaussian over `side` pixels, with a sum of 1."""
        weights = [math.exp(-((place - side // 2) ** 2) / (2 * self.sigma**2)) for place in range(side)]
        return tuple(weight / sum(weights) for weight in weights)


class _Blur(torch.autograd.Function):
    """A symmetric filter along both sides of `[N,H,W]`, where the window is inside as a whole; its own adjoint.

    Sums of shifted maps: convolutions of one channel are many times slower on a CPU, and on a GPU they round to TF32,
    too coarse for a variance that is a difference of nearly equal numbers (the loss of near maps became negative).
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weights: tuple[float, ...]) -> Tensor:
        ctx.weights = weights
        return _filtered(maps, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        border = len(ctx.weights) - 1
        return _filtered(F.pad(gradient, (border, border, border, border)), ctx.weights), None


def _filtered(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    for side in (-1, -2):
        length = maps.shape[side] - len(weights) + 1
        total = maps.narrow(side, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            total.add_(maps.narrow(side, shift, length), alpha=weight)
        maps = total
    return maps

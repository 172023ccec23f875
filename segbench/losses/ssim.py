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
from segbench.losses.cached import parts

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
        is_binary = self.heads == ("mask",) and self.data_range == 1
        similarity = _Similarity.apply(x, y, self._weights(side), is_binary)
        whole = F.max_pool2d((~valid).float(), side, stride=1) == 0
        return valid_mean(1 - similarity.reshape(*predicted.shape[:2], *similarity.shape[-2:]), whole)

    def _weights(self, side: int) -> tuple[float, ...]:
        """Return the Gaussian over `side` pixels, with a sum of 1."""
        weights = [math.exp(-((place - side // 2) ** 2) / (2 * self.sigma**2)) for place in range(side)]
        return tuple(weight / sum(weights) for weight in weights)


class _Similarity(torch.autograd.Function):
    """The similarity of maps x and y, `[N,H,W]` each, at every window that is inside as a whole; y has no gradient.

    A few maps at a time, which stay in the cache of a CPU through all the arithmetic. The gradient is worked out with
    the value, by the formulas of `_similarity`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, weights: tuple[float, ...], is_binary: bool) -> Tensor:
        border = len(weights) - 1
        count, height, width = x.shape
        found = x.new_empty(4, count, height - border, width - border)
        for part in parts(x):
            found[:, part] = torch.stack(_similarity(x[part], y[part], weights=weights, is_binary=is_binary))
        ctx.weights = weights
        ctx.save_for_backward(x, y, found[1:])
        return found[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, y, slopes = ctx.saved_tensors
        border = len(ctx.weights) - 1
        found = torch.empty_like(x)
        for part in parts(x):
            padded = F.pad(slopes[:, part] * gradient[part], (border, border, border, border))
            of_mean, of_square, of_product = (_blurred(one, ctx.weights) for one in padded)
            found[part] = of_mean + 2 * x[part] * of_square + y[part] * of_product
        return found, None, None, None


def _similarity(
    x: Tensor, y: Tensor, *, weights: tuple[float, ...], is_binary: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the similarity of maps, and its slopes by the blurred x, x * x and x * y."""
    c1 = K1**2
    c2 = K2**2
    mean_x = _blurred(x, weights)
    mean_y = _blurred(y, weights)
    squares = _blurred(x * x, weights) - mean_x**2
    if is_binary:
        squares += mean_y - mean_y**2  # y * y is y
    else:
        squares += _blurred(y * y, weights) - mean_y**2
    means = mean_x * mean_y
    luminance = 2 * means + c1
    contrast = 2 * (_blurred(x * y, weights) - means) + c2
    square_means = mean_x**2 + mean_y**2 + c1
    variances = squares + c2
    both = square_means * variances
    similarity = luminance * contrast / both
    by_mean = 2 * mean_y * (contrast - luminance) / both
    by_mean += 2 * mean_x * similarity * (1 / variances - 1 / square_means)
    return similarity, by_mean, -similarity / variances, 2 * luminance / both


def _blurred(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return `[N,H,W]` after a symmetric filter along both sides, where its window is inside as a whole.

    It is its own adjoint. Sums of shifted maps: convolutions of one channel are many times slower on a CPU, and on a
    GPU they round to TF32, too coarse for a variance that is a difference of nearly equal numbers (the loss of near
    maps became negative).
    """
    for side in (-1, -2):
        length = maps.shape[side] - len(weights) + 1
        total = maps.narrow(side, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            total.add_(maps.narrow(side, shift, length), alpha=weight)
        maps = total
    return maps

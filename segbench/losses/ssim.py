"""Structural similarity as a loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.losses.base import numbers, whole_windows
from segbench.losses.cached import parts
from segbench.losses.sloped import SlopedMapLoss

K1 = 0.01
K2 = 0.03


class SSIM(SlopedMapLoss):
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

    def value_and_slopes(
        self, predicted: Tensor, truth: Tensor, *, valid: Tensor, has_slopes: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return 1 minus the mean similarity over whole windows."""
        x = predicted.flatten(0, 1)
        y = truth.flatten(0, 1)
        weights = self._weights((min(self.window, *x.shape[-2:]) - 1) // 2 * 2 + 1)
        whole = numbers(whole_windows(valid, len(weights)))
        counted = whole.expand(-1, predicted.shape[1], -1, -1).flatten(0, 1)
        slopes = torch.empty_like(x)
        total = x.new_zeros(())
        for part in parts(x):
            one = x[part]
            other = y[part].to(x.dtype)
            inside = counted[part].to(x.dtype)
            lost, by_mean, by_square, by_product = _lost(
                one, other, counted=inside, weights=weights, data_range=self.data_range
            )
            total += lost
            if has_slopes:
                slope = _spread(by_product, weights).mul_(other)
                slope.addcmul_(_spread(by_square, weights), one, value=2)
                slopes[part] = slope.add_(_spread(by_mean, weights))
        factor = 1 / (predicted.shape[1] * whole.sum()).clamp(min=1).to(x.dtype)
        return total * factor, slopes, factor

    def _weights(self, side: int) -> tuple[float, ...]:
        """Return the Gaussian over `side` pixels, with a sum of 1."""
        weights = [math.exp(-((place - side // 2) ** 2) / (2 * self.sigma**2)) for place in range(side)]
        return tuple(weight / sum(weights) for weight in weights)


def _lost(
    x: Tensor, y: Tensor, *, counted: Tensor, weights: tuple[float, ...], data_range: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the sum of 1 - SSIM over whole windows, and its slopes by the blurred x, x * x and x * y, `[N,h,w]`.

    SSIM is luminance * contrast / (square_means * variances).
    """
    mean_x = _blurred(x, weights)
    mean_y = _blurred(y, weights)
    squares = _blurred((x * x).addcmul_(y, y), weights)
    products = _blurred(x * y, weights)
    luminance = (mean_x * mean_y).mul_(2)
    contrast = products.mul_(2).sub_(luminance).add_((K2 * data_range) ** 2)
    luminance += (K1 * data_range) ** 2
    square_means = (mean_x * mean_x).addcmul_(mean_y, mean_y)
    variances = squares.sub_(square_means).add_((K2 * data_range) ** 2)
    square_means += (K1 * data_range) ** 2
    share = counted / (square_means * variances)
    similarity = (luminance * contrast).mul_(share)
    lost = (counted - similarity).sum()
    by_square = (square_means * similarity).mul_(share)
    by_mean = contrast.sub_(luminance).mul_(mean_y)
    by_mean.addcmul_(square_means.sub_(variances), similarity.mul_(mean_x)).mul_(share).mul_(-2)
    return lost, by_mean, by_square, luminance.mul_(share).mul_(-2)


def _blurred(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return `[N,H,W]` after a symmetric filter along both sides, where its window is inside as a whole.

    Sums of shifted maps: convolutions of one channel are many times slower on a CPU, and on a GPU they round to TF32,
    too coarse for a variance that is a difference of nearly equal numbers (the loss of near maps became negative).
    """
    for side in (-1, -2):
        length = maps.shape[side] - len(weights) + 1
        total = maps.narrow(side, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            total.add_(maps.narrow(side, shift, length), alpha=weight)
        maps = total
    return maps


def _spread(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return `[N,H,W]`: what `_blurred` turned round makes of `[N,h,w]`."""
    for side in (-2, -1):
        length = maps.shape[side]
        shape = list(maps.shape)
        shape[side] += len(weights) - 1
        total = maps.new_zeros(shape)
        for shift, weight in enumerate(weights):
            total.narrow(side, shift, length).add_(maps, alpha=weight)
        maps = total
    return maps

"""Structural similarity of two maps over the windows that are known as a whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 11
"""Side of the Gaussian window in pixels."""

SIGMA = 1.5
"""Standard deviation of the Gaussian in pixels."""

K1 = 0.01
K2 = 0.03


def structural_similarity(guess: Tensor, truth: Tensor, *, known: Tensor) -> Tensor:
    """Return the mean SSIM of each picture, float64 `[B]`, over the windows that lie in it and are known as a whole.

    A picture without such a window has none (NaN). The measure and its constants are those of Wang et al. (2004).

    Args:
        guess: `[B,1,H,W]`, scaled so that the range of the truth is 1.
        truth: `[B,1,H,W]` likewise.
        known: bool `[B,1,H,W]`.
    """
    if min(known.shape[-2:]) < WINDOW:
        return torch.full((len(known),), torch.nan, dtype=torch.float64, device=known.device)
    # in float64, since the variances are differences of nearly equal numbers
    x, y = (part.where(known, 0.0).double() for part in (guess, truth))
    mean_x, mean_y, xx, yy, xy = _blurred(torch.cat([x, y, x * x, y * y, x * y])).chunk(5)
    covariance = xy - mean_x * mean_y
    variances = xx - mean_x**2 + yy - mean_y**2
    c1 = K1**2
    c2 = K2**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    whole = F.max_pool2d((~known).float(), WINDOW, stride=1) == 0
    over = (1, 2, 3)
    return (similarity * whole).sum(over) / whole.sum(over)


def _blurred(maps: Tensor) -> Tensor:
    """Return the Gaussian mean of each window: sums of shifted maps, many times faster on a CPU than a convolution."""
    weights = [math.exp(-((place - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for place in range(WINDOW)]
    for side in (-1, -2):
        length = maps.shape[side] - WINDOW + 1
        total = torch.zeros_like(maps.narrow(side, 0, length))
        for shift, weight in enumerate(weights):
            total.add_(maps.narrow(side, shift, length), alpha=weight / sum(weights))
        maps = total
    return maps

"""Structural similarity as a loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.losses.base import MapLoss, valid_mean

K1, K2 = 0.01, 0.03


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

    def __init__(self, head: str = "mask", data_range: float = 1.0, window: int = 11, sigma: float = 1.5) -> None:
        super().__init__(head)
        if data_range <= 0 or sigma <= 0 or window < 3 or window % 2 == 0:
            raise ConfigError(
                f"loss needs data_range and sigma above 0 and an odd window of at least 3, got {data_range}, {sigma}"
                f" and {window}"
            )
        self.data_range, self.window, self.sigma = data_range, window, sigma

    def compute(self, predicted: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return 1 minus the mean similarity over whole windows."""
        height, width = predicted.shape[-2:]
        side = min(self.window, (min(height, width) - 1) // 2 * 2 + 1)
        x, y = (part.reshape(-1, 1, height, width) / self.data_range for part in (predicted, truth))
        mean_x, mean_y, xx, yy, xy = self._blur(torch.cat([x, y, x * x, y * y, x * y]), side).chunk(5)
        variance_x, variance_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
        c1, c2 = K1**2, K2**2
        similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
        )
        whole = F.max_pool2d((~valid).float(), side, stride=1) == 0
        return valid_mean(1 - similarity.reshape(*predicted.shape[:2], *similarity.shape[-2:]), whole)

    def _blur(self, maps: Tensor, side: int) -> Tensor:
        place = torch.arange(side, device=maps.device, dtype=maps.dtype) - side // 2
        weights = torch.exp(-(place**2) / (2 * self.sigma**2))
        weights = weights / weights.sum()
        return F.conv2d(F.conv2d(maps, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))

"""Pixel-wise distances between predicted and true maps: squared, root of squared, absolute."""

from __future__ import annotations

from torch import Tensor

from segbench.losses.base import MapLoss, valid_mean


class MSE(MapLoss):
    """Mean squared difference: of probabilities from the truth for masks (Brier, 1950), of depths for depth."""

    terms = ("mse",)

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over the pixels that count."""
        return valid_mean((predicted - truth) ** 2, valid)


class RMSE(MapLoss):
    """Root of the mean squared difference; a floor of 1e-12 under the root keeps its gradient finite at 0."""

    terms = ("rmse",)

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the root of the mean over the pixels that count, 0 where it is below the floor."""
        return valid_mean((predicted - truth) ** 2, valid).clamp(min=1e-12).sqrt() - 1e-6


class L1(MapLoss):
    """Mean absolute difference."""

    terms = ("l1",)

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over the pixels that count."""
        return valid_mean((predicted - truth).abs(), valid)

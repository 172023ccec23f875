"""Dice loss: one minus twice the overlap over the sum of both areas."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.losses.base import MaskLoss, one_hot, probabilities


class Dice(MaskLoss):
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), over labelled pixels (Milletari et al., 2016).

    p are probabilities and t the truth, of the foreground for two classes and else of each class. The sums run over the
    whole batch (or each image), then the mean is taken over classes (and images). `smooth` stands above and below: a
    class that is absent from truth and prediction costs nothing, and predicting an absent class costs up to 1.

    Args:
        smooth: Keeps empty masks defined, in pixels.
        per_image: Sums over each image instead of the batch.
    """

    terms = ("dice",)

    def __init__(self, smooth: float = 1.0, per_image: bool = False) -> None:
        super().__init__()
        if smooth <= 0:
            raise ConfigError(f"loss.smooth must be above 0, so that an empty mask is defined, got {smooth}")
        self.smooth, self.per_image = smooth, per_image

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over classes, and over images with `per_image`."""
        counted = valid[:, None]
        predicted = probabilities(logits) * counted
        truth = one_hot(target, logits.shape[1]) * counted
        over = (2, 3) if self.per_image else (0, 2, 3)
        overlap, areas = (predicted * truth).sum(over), (predicted + truth).sum(over)
        return torch.mean(1 - (2 * overlap + self.smooth) / (areas + self.smooth))

"""The base of losses on how regions overlap: Dice and its relatives."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.losses.base import MaskLoss, one_hot, probabilities


class RegionLoss(MaskLoss):
    """A function of soft true positives, false positives and false negatives, a mean over classes (and images).

    Args:
        smooth: Keeps empty masks defined, in pixels.
        per_image: Sums over each image instead of the batch.
    """

    def __init__(self, smooth: float = 1.0, per_image: bool = False) -> None:
        super().__init__()
        if not 0 < smooth < math.inf:
            raise ConfigError(f"loss.smooth must be above 0, so that an empty mask is defined, got {smooth}")
        self.smooth = smooth
        self.per_image = per_image

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over classes, and over images with `per_image`."""
        counted = valid[:, None]
        predicted = probabilities(logits) * counted
        truth = one_hot(target, logits.shape[1]) * counted
        over = (2, 3) if self.per_image else (0, 2, 3)
        hits = (predicted * truth).sum(over)
        return self.cost(hits=hits, wrong=predicted.sum(over) - hits, missed=truth.sum(over) - hits).mean()

    @abstractmethod
    def cost(self, *, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts of pixels, all `[C]` or `[B,C]`."""

"""Tversky loss: Dice with weights for what is found wrongly and what is missed, and its focal form."""

from __future__ import annotations

import math

from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.losses.regions import RegionLoss


class Tversky(RegionLoss):
    """1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) of soft counts (Salehi et al., 2017).

    alpha = beta = 0.5 is Dice (with half its smooth), alpha = beta = 1 is Jaccard; a larger beta punishes what is
    missed. With `gamma` above 1 the loss is raised to 1 / gamma: focal Tversky (Abraham and Khan, 2019).

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        gamma: Focus on classes that overlap little; 1 for none.
        smooth: Keeps empty masks defined, in pixels.
        per_image: Sums over each image instead of the batch.
    """

    terms = ("tversky",)

    def __init__(
        self, alpha: float = 0.3, beta: float = 0.7, *, gamma: float = 1.0, smooth: float = 1.0, per_image: bool = False
    ) -> None:
        super().__init__(smooth, per_image)
        weights_fit = alpha >= 0 and beta >= 0 and 0 < alpha + beta < math.inf
        if not (weights_fit and 1 <= gamma < math.inf):
            raise ConfigError(
                f"loss.alpha and loss.beta must be at least 0 and not both 0, and loss.gamma at least 1, got {alpha},"
                f" {beta} and {gamma}"
            )
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma

    def cost(self, *, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        rest = self.alpha * wrong + self.beta * missed
        miss = rest / (hits + rest + self.smooth)
        if self.gamma == 1:
            return miss
        # the floor keeps the root's gradient finite at 0
        root: Tensor = miss.clamp(min=1e-6).pow(1 / self.gamma)
        return root - math.pow(1e-6, 1 / self.gamma)

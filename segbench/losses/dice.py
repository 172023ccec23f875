"""Dice loss: one minus twice the overlap over the sum of both areas."""

from __future__ import annotations

from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.losses.regions import RegionLoss


class Dice(RegionLoss):
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), over labelled pixels (Milletari et al., 2016).

    p are probabilities and t the truth, of the foreground for two classes and else of each class. The sums run over the
    whole batch (or each image), then the mean is taken over classes (and images). `smooth` stands above and below: a
    class that is absent from truth and prediction costs nothing, and predicting an absent class costs up to 1.

    Args:
        smooth: Keeps empty masks defined, in pixels.
        per_image: Sums over each image instead of the batch.
        log: The negative logarithm of the overlap instead of one minus it.
    """

    terms = ("dice",)

    def __init__(self, smooth: float = 1.0, per_image: bool = False, log: bool = False) -> None:
        super().__init__(smooth, per_image)
        self.log = log

    def cost(self, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        overlap = (2 * hits + self.smooth) / (2 * hits + wrong + missed + self.smooth)
        return -overlap.clamp(min=1e-7).log() if self.log else 1 - overlap


class Jaccard(RegionLoss):
    """1 - (sum(p t) + smooth) / (sum(p) + sum(t) - sum(p t) + smooth): the soft IoU (Rahman and Wang, 2016)."""

    terms = ("jaccard",)

    def cost(self, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        return 1 - (hits + self.smooth) / (hits + wrong + missed + self.smooth)


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
        self, alpha: float = 0.3, beta: float = 0.7, gamma: float = 1.0, smooth: float = 1.0, per_image: bool = False
    ) -> None:
        super().__init__(smooth, per_image)
        if alpha < 0 or beta < 0 or alpha + beta == 0 or gamma < 1:
            raise ConfigError(
                f"loss.alpha and loss.beta must be at least 0 and not both 0, and loss.gamma at least 1, got {alpha},"
                f" {beta} and {gamma}"
            )
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def cost(self, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        rest = self.alpha * wrong + self.beta * missed
        miss = rest / (hits + rest + self.smooth)
        # the floor keeps the root's gradient finite at 0
        return miss if self.gamma == 1 else miss.clamp(min=1e-6) ** (1 / self.gamma) - 1e-6 ** (1 / self.gamma)

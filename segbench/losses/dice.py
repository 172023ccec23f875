"""Dice loss: one minus twice the overlap over the sum of both areas."""

from __future__ import annotations

from torch import Tensor

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

    def __init__(self, smooth: float = 1.0, per_image: bool = False, *, log: bool = False) -> None:
        super().__init__(smooth, per_image)
        self.log = log

    def cost(self, *, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        overlap = (2 * hits + self.smooth) / (2 * hits + wrong + missed + self.smooth)
        if self.log:
            return -overlap.clamp(min=1e-7).log()
        return 1 - overlap

"""Jaccard loss: one minus the soft intersection over union."""

from __future__ import annotations

from torch import Tensor

from segbench.losses.regions import RegionLoss


class Jaccard(RegionLoss):
    """1 - (sum(p t) + smooth) / (sum(p) + sum(t) - sum(p t) + smooth): the soft IoU (Rahman and Wang, 2016)."""

    terms = ("jaccard",)

    def cost(self, *, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts."""
        return 1 - (hits + self.smooth) / (hits + wrong + missed + self.smooth)

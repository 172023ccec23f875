"""The sizes that the pictures of a split were scored at."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class ScoredSizes(Metric):
    """Heights and widths of what was scored, of all processes together."""

    full_state_update = False
    sizes: list[Tensor]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # SplitScores.gather joins processes
        self.add_state("sizes", [], dist_reduce_fx="cat")

    def update(self, scored: Tensor) -> None:
        """Add what was scored, of any shape `[B,...,H,W]`."""
        # made on the device: numbers of the host would be waited for
        sides = [torch.full((len(scored),), side, device=scored.device) for side in scored.shape[-2:]]
        self.sizes.append(torch.stack(sides, dim=1))

    def compute(self) -> str:
        """Return the one size in words, or the smallest and the largest; empty where nothing was scored."""
        if not len(self.sizes):
            return ""
        found = sorted({tuple(size) for size in dim_zero_cat(self.sizes).tolist()}, key=lambda size: size[0] * size[1])
        return " to ".join(f"{height} x {width}" for height, width in dict.fromkeys((found[0], found[-1])))

"""Depth scores of a whole split, from sums over all known pixels: never a mean of batch means."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from segbench.metrics.baselines import depth_baselines
from segbench.metrics.similarity import structural_similarity
from segbench.runs.results import Baseline

LEAST_DEPTH = 1e-6
"""Predictions are raised to this before ratios are taken, so that a depth of zero or less counts as wrong."""

NAMES = ("depth/rmse", "depth/mae", "depth/abs_rel", "depth/delta1", "depth/ssim")


class DepthScores(Metric):
    """RMSE, MAE, mean relative error, delta < 1.25 and SSIM of depth, over all pixels whose depth is known.

    With p predicted and t true: rmse = sqrt(mean (p-t)^2), mae = mean |p-t|, abs_rel = mean |p-t| / t, delta1 = share
    of pixels with max(p/t, t/p) < 1.25 (Eigen et al., 2014). SSIM (Wang et al., 2004; 11 x 11 Gaussian window) is a
    mean over images, each scaled by the range of its true depth; only windows count that lie in the picture as a whole
    and whose depth is known as a whole, and only images that have one. Where there is nothing to score, a score is NaN.
    """

    full_state_update = False
    sums: Tensor
    truth: Tensor
    pixels: Tensor
    similarity: Tensor
    indices: list[Tensor]
    images: list[Tensor]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # SplitScores.gather joins processes, for the tables as well
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("truth", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pixels", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("similarity", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("images", [], dist_reduce_fx="cat")

    @property
    def names(self) -> list[str]:
        """The keys of `compute`."""
        return list(NAMES)

    def update(self, predicted: Tensor, depth: Tensor, index: Tensor) -> None:
        """Add a batch: predicted and true depth `[B,1,H,W]` (NaN = unknown), and the images' numbers `[B]`."""
        known = ~depth.isnan()
        truth = depth.double().where(known, 1.0)
        guess = predicted.double().where(known, 1.0)
        difference = (guess - truth).abs()
        near = guess.clamp(min=LEAST_DEPTH)
        hits = (torch.maximum(near / truth, truth / near) < 1.25) & known
        per_pixel = torch.stack([difference**2, difference, difference / truth, hits.double()])
        sums = (per_pixel * known).sum(dim=(2, 3, 4))
        pixels = known.sum(dim=(1, 2, 3))
        self.sums += sums.sum(dim=1)
        self.truth += (torch.stack([truth, truth**2]) * known).sum(dim=(1, 2, 3, 4))
        self.pixels += pixels.sum()
        self.similarity += self._similarity(predicted, depth, known=known)
        self.indices.append(index)
        self.images.append(torch.stack([sums[0], pixels.double()], dim=1))

    @staticmethod
    def _similarity(predicted: Tensor, depth: Tensor, *, known: Tensor) -> Tensor:
        """Return the sum of the images' similarities and the number of images that have one, float64 `[2]`."""
        high = depth.where(known, -torch.inf).amax((1, 2, 3), keepdim=True)
        low = depth.where(known, torch.inf).amin((1, 2, 3), keepdim=True)
        extent = (high - low).clamp(min=1e-3).double()
        each = structural_similarity(predicted / extent, depth / extent, known=known)
        return torch.stack([each.nansum(), (~each.isnan()).sum().double()])

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name; see `names`."""
        if not int(self.pixels):
            return dict.fromkeys(NAMES, torch.tensor(torch.nan))
        squared, absolute, relative, hits = (self.sums.cpu() / self.pixels.cpu()).unbind()
        total, images = self.similarity.cpu().unbind()
        return dict(zip(NAMES, (squared.sqrt(), absolute, relative, hits, total / images), strict=True))

    def baselines(self) -> dict[str, Baseline]:
        """Return the error of telling the mean depth everywhere; empty where no depth is known."""
        total, squares = self.truth.cpu().unbind()
        if not int(self.pixels):
            return {}
        return depth_baselines(total, squares, pixels=self.pixels.cpu())

    def per_image_table(self) -> dict[str, np.ndarray]:
        """Return the images' `index` `[N]`, `squared_error` (sum) `[N]` and `pixels` (known ones) `[N]`."""
        index = dim_zero_cat(self.indices)  # a list here, one tensor while several processes are joined
        order = index.argsort()
        squared, pixels = dim_zero_cat(self.images)[order].cpu().unbind(dim=1)
        table = {"index": index[order].cpu(), "squared_error": squared, "pixels": pixels.long()}
        return {name: value.numpy() for name, value in table.items()}

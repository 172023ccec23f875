"""The base of losses on how regions overlap: Dice and its relatives."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segbench.core.errors import ConfigError
from segbench.losses.base import MaskLoss, one_hot, probabilities, zero_elsewhere


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
        counts = _Counts.apply(logits, target, valid)
        if not self.per_image:
            counts = counts.sum(dim=1)
        hits, predicted, truth = counts
        return self.cost(hits=hits, wrong=predicted - hits, missed=truth - hits).mean()

    @abstractmethod
    def cost(self, *, hits: Tensor, wrong: Tensor, missed: Tensor) -> Tensor:
        """Return the loss of each class from soft counts of pixels, all `[C]` or `[B,C]`."""


class _Counts(torch.autograd.Function):
    """Soft counts of pixels, float32 `[3,B,C]`: found and true, found, true (which has no gradient).

    A pixel has one true class, so what is true is gathered and counted; no map of ones and zeros is made. Kept for the
    gradient are the probabilities alone.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        shares = zero_elsewhere(probabilities(logits), valid[:, None])
        ctx.save_for_backward(shares, target)
        found = shares.sum((2, 3))
        if logits.shape[1] == 1:
            true = (target * valid)[:, None].float()
            return torch.stack([(shares * true).sum((2, 3)), found, true.sum((2, 3))])
        hits = _by_class(shares.gather(1, target[:, None])[:, 0], target, classes=logits.shape[1])
        return torch.stack([hits, found, _by_class(valid.float(), target, classes=logits.shape[1])])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        shares, target = ctx.saved_tensors  # 0 where a pixel does not count, and so is all that they are a factor of
        by_hits, by_found, _ = gradient[..., None]
        slope = shares * by_found[..., None]
        if shares.shape[1] == 1:
            slope += shares * target[:, None] * by_hits[..., None]
            return slope * (1 - shares), None, None
        place = target[:, None]
        of_true = shares.gather(1, place) * by_hits[..., 0].gather(1, target.flatten(1)).view_as(place)
        slope.scatter_add_(1, place, of_true)
        return slope.addcmul_(shares, slope.sum(dim=1, keepdim=True), value=-1), None, None


def _by_class(values: Tensor, target: Tensor, *, classes: int) -> Tensor:
    """Return the sum of float32 values `[B,H,W]` over the pixels of each class, `[B,C]`."""
    if values.device.type == "cpu":
        first = classes * torch.arange(len(target), device=target.device).view(-1, 1, 1)
        sums = torch.bincount((target + first).flatten(), values.flatten(), minlength=len(target) * classes)
        return sums.view(-1, classes)
    # on CUDA bincount adds in any order
    return (one_hot(target, classes) * values[:, None]).sum((2, 3))

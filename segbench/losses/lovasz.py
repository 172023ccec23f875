"""Lovász losses: the convex surrogate of 1 - IoU."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.losses.base import MaskLoss, one_hot, probabilities


class Lovasz(MaskLoss):
    """Lovász-softmax for several classes, Lovász hinge for one logit (Berman et al., 2018).

    Errors of all labelled pixels are sorted, largest first, and weighted by how much each adds to 1 - IoU. Only classes
    that occur in the truth count, as in the paper; an empty mask of two classes has the hinge of its largest error.
    All classes are sorted and counted at once, in integers: CUDA has no deterministic `cumsum` of floats, and floats
    count no further than 2^24.

    Args:
        per_image: One IoU for each image instead of for the batch.
    """

    terms = ("lovasz",)

    def __init__(self, per_image: bool = False) -> None:
        super().__init__()
        self.per_image = per_image

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over the classes that occur, and over images with `per_image`."""
        truth = one_hot(target, logits.shape[1])
        counted = valid[:, None]
        if logits.shape[1] == 1:
            errors = (1 - logits * (2 * truth - 1)).clamp(min=0)
            occurs_anyway = True
        else:
            errors = (truth - probabilities(logits)).abs()
            occurs_anyway = False
        errors, truth = (self._rows(part * counted) for part in (errors, truth))
        loss = (errors * _weights(errors.detach(), truth)).sum(dim=1).view(-1, logits.shape[1])
        if occurs_anyway:
            occurs = torch.ones_like(loss)
        else:
            occurs = (truth.sum(dim=1) > 0).view_as(loss).float()
        return ((loss * occurs).sum(dim=1) / occurs.sum(dim=1).clamp(min=1)).mean()

    def _rows(self, values: Tensor) -> Tensor:
        """Return `[images * classes, pixels]`, or `[classes, pixels]` over the batch."""
        if self.per_image:
            return values.flatten(2).flatten(0, 1)
        return values.movedim(1, 0).flatten(1)


def _weights(errors: Tensor, truth: Tensor) -> Tensor:
    """Return each pixel's share in the Lovász extension of 1 - IoU, `[rows, pixels]`.

    Pixels that do not count have no error and no truth: they come last and add nothing to what is before them.
    """
    order = errors.argsort(dim=1, descending=True, stable=True)
    found = truth.bool().gather(1, order).cumsum(dim=1)
    total = found[:, -1:]
    place = torch.arange(1, errors.shape[1] + 1, device=errors.device)
    jaccard = 1 - (total - found) / (total + place - found)
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    return torch.zeros_like(errors).scatter(1, order, steps)

"""Lovász losses: the convex surrogate of 1 - IoU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segbench.losses.base import MaskLoss, numbers, probabilities, through_softmax
from segbench.losses.cached import parts

WHOLE = {torch.float32: torch.int32, torch.float64: torch.int64}
"""The whole numbers of as many bits as a float: those of the bits of floats above 0 are in the order of the floats."""


class Lovasz(MaskLoss):
    """Lovász-softmax for several classes, Lovász hinge for one logit (Berman et al., 2018).

    Errors of all labelled pixels are sorted, largest first, and weighted by how much each adds to 1 - IoU. Only classes
    that occur in the truth count, as in the paper; an empty mask of two classes has the hinge of its largest error.

    Args:
        per_image: One IoU for each image instead of for the batch.
    """

    terms = ("lovasz",)

    def __init__(self, per_image: bool = False) -> None:
        super().__init__()
        self.per_image = per_image

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over the classes that occur, and over images with `per_image`."""
        loss: Tensor = _Extension.apply(logits, target, valid, self.per_image)
        return loss


class _Extension(torch.autograd.Function):
    """The Lovász extension of 1 - IoU, a mean over the classes that occur, and over images with `per_image`.

    The gradient by the scores, which are probabilities or the one logit, is worked out with the value. A CPU has one
    class after the other in its cache, a GPU all of them at once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, valid: Tensor, per_image: bool) -> Tensor:
        scores = logits
        if logits.shape[1] > 1:
            scores = probabilities(logits)
        slopes = torch.empty_like(scores)
        size = 1 if per_image else max(1, len(scores))
        groups = zip(*(torch.split(whole, size) for whole in (scores, slopes, target, valid)), strict=True)
        values = [_of_group(one, slope, truth=truth, valid=known) for one, slope, truth, known in groups]
        if per_image:
            slopes /= len(values)
        ctx.save_for_backward(scores, slopes)
        return torch.stack(values).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        scores, slopes = ctx.saved_tensors
        if scores.shape[1] == 1:
            return slopes * gradient, None, None, None
        return through_softmax(scores, slopes).mul_(gradient), None, None, None


def _of_group(scores: Tensor, slopes: Tensor, *, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over the classes that occur in a group of images, and write its gradient into `slopes`.

    Args:
        scores: Probabilities `[B,K,H,W]`, or one logit `[B,1,H,W]`.
        slopes: Likewise; what is in it is lost.
        truth: int64 ids `[B,H,W]`.
        valid: bool `[B,H,W]`.
    """
    several = scores.shape[1] > 1
    ids = torch.arange(scores.shape[1], device=scores.device)
    if not several:
        ids = ids + 1
    by_class = scores.movedim(1, 0)
    slopes_by_class = slopes.movedim(1, 0)
    known = numbers(valid).to(scores.dtype)
    values = []
    occurs = []
    for part in parts(by_class):
        is_class = (truth == ids[part].view(-1, 1, 1, 1)) & valid
        errors, directions = _errors(by_class[part], is_class, known=known, several=several)
        weights = _weights(errors.flatten(1), is_class.flatten(1)).view_as(errors)
        values.append((errors * weights).sum((1, 2, 3)))
        occurs.append(is_class.sum((1, 2, 3)).clamp(max=1))
        slopes_by_class[part] = weights.mul_(directions)
    counted = torch.ones_like(torch.cat(occurs))
    if several:
        counted = torch.cat(occurs)
    shares = counted / counted.sum().clamp(min=1).to(scores.dtype)
    slopes *= shares.view(1, -1, 1, 1)
    return (torch.cat(values) * shares).sum()


def _errors(scores: Tensor, is_class: Tensor, *, known: Tensor, several: bool) -> tuple[Tensor, Tensor]:
    """Return the errors of scores, `[K,B,H,W]`, at least 0, and their slopes by the scores; both 0 where not known."""
    truth = numbers(is_class).to(scores.dtype)
    if several:
        difference = (scores - truth).mul_(known)
        return difference.abs(), difference.sgn_()
    directions = truth.mul_(-2).add_(1)
    errors = (1 + scores * directions).clamp_(min=0).mul_(known)
    return errors, directions.mul_(errors.sign())


def _weights(errors: Tensor, truth: Tensor) -> Tensor:
    """Return each pixel's share in the Lovász extension of 1 - IoU, `[rows, pixels]`.

    By size of the error, a pixel of the class takes one off the intersection, which costs 1 / union; another adds one
    to the union. Pixels that do not count have no error and no truth: they come last and add nothing to what is before
    them. Counted in integers: CUDA has no deterministic `cumsum` of floats, and floats count no further than 2^24.
    """
    order = _largest_first(errors)
    hit = truth.gather(1, order)
    counts = hit.cumsum(dim=1)
    # in place as far as it goes: on a CPU fresh memory takes longer than the arithmetic
    left = counts.neg_().sub_(counts[:, -1:].clone()).to(errors.dtype)
    union = counts.add_(torch.arange(1, errors.shape[1] + 1, device=errors.device)).to(errors.dtype)
    # where the class does not occur the first error counts as a whole
    shares = left.div_(union - 1).masked_fill_(hit.logical_or_(union == 1), 1.0).div_(union)
    return torch.empty_like(errors).scatter_(1, order, shares)


def _largest_first(errors: Tensor) -> Tensor:
    """Return the places of errors of at least 0, `[rows, pixels]`, by their size; of equal ones the first comes first.

    A CPU sorts one row of whole numbers by their digits, many times faster than it compares floats.
    """
    keys = errors.view(WHOLE[errors.dtype]).bitwise_not()
    if len(keys) == 1:
        return keys[0].sort(stable=True).indices[None]
    return keys.sort(dim=1, stable=True).indices

"""Losses that compare maps, and work out the gradient with the value, a few maps at a time."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segbench.core.tasks import IGNORE_INDEX
from segbench.losses.base import MapLoss, Tensors, is_class, numbers, probabilities, through_softmax, zero_elsewhere


class SlopedMapLoss(MapLoss):
    """Base of such losses: subclasses give the value and its slopes by each map.

    Fresh memory takes longer than most arithmetic on a CPU. So the truth of masks stays in bytes, and what is as large
    as the maps is made once forward and once backward.
    """

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the loss over labelled pixels, or pixels of known depth; 0 where there are none."""
        (head,) = self.heads
        with torch.autocast(prediction[head].device.type, enabled=False):
            output = prediction[head].float()
            if head == "mask":
                valid = (batch["mask"] != IGNORE_INDEX)[:, None]
                truth = is_class(batch["mask"], output.shape[1]).logical_and_(valid)
            else:
                valid = ~batch["depth"].isnan()
                truth = zero_elsewhere(batch["depth"].float(), valid)
            value: Tensor = _WithSlopes.apply(output, truth, valid, self, head == "mask")
        return value, {name: value.detach() for name in self.terms}

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the loss of two maps; see `MapLoss`."""
        value: Tensor = _WithSlopes.apply(predicted, truth, valid, self, False)
        return value

    @abstractmethod
    def value_and_slopes(
        self, predicted: Tensor, truth: Tensor, *, valid: Tensor, has_slopes: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss, and two tensors whose product is its gradient by the maps.

        Args:
            predicted: float32 `[B,C,H,W]`; 0 where it does not count.
            truth: Numbers of any type `[B,C,H,W]`; 0 where it does not count.
            valid: bool `[B,1,H,W]`.
            has_slopes: Whether the slopes are asked for; what they hold does not matter where they are not.

        Returns:
            The loss, slopes `[B*C,H,W]`, which are 0 where it does not count, and a factor of all of them.
        """


class _WithSlopes(torch.autograd.Function):
    """The loss of maps, or of the logits of maps of probabilities."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, truth: Tensor, valid: Tensor, loss: SlopedMapLoss, is_mask: bool) -> Tensor:
        maps = output
        if is_mask:
            maps = probabilities(output)
        # what does not count is made equal before any arithmetic, so that its gradient is zero and never NaN
        maps = zero_elsewhere(maps, valid)
        value, slopes, factor = loss.value_and_slopes(
            maps, numbers(truth), valid=valid, has_slopes=ctx.needs_input_grad[0]
        )
        ctx.is_mask = is_mask
        ctx.save_for_backward(*([maps] if is_mask else []), slopes.view(maps.shape), factor)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        *kept, slopes, factor = ctx.saved_tensors
        scale = gradient * factor
        if not ctx.is_mask:
            return slopes * scale, None, None, None, None
        (shares,) = kept
        if shares.shape[1] > 1:
            found = through_softmax(shares, slopes)
        else:
            found = shares * slopes
            found.addcmul_(found, shares, value=-1)
        return found.mul_(scale), None, None, None, None

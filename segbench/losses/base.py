"""What every loss is: (prediction, batch) to a scalar and its named terms, in float32, blind to ignored pixels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError, nearest
from segbench.core.tasks import IGNORE_INDEX, mask_channels
from segbench.losses.plain import as_dicts

Tensors = dict[str, Tensor]


class Loss(nn.Module):
    """Base of all losses. `terms` are the names of what `forward` reports beside the scalar."""

    heads: tuple[str, ...] = ("mask",)
    """The predictions that it works on."""

    terms: tuple[str, ...] = ()

    wants_class_weights: bool = False
    """Whether `set_class_weights` has to be called before the first batch."""

    def set_class_weights(self, weights: Tensor) -> None:
        """Take the data's median-frequency weight of each class, float32 `[C]`, where the loss asked for them."""

    def check(self, classes: Sequence[str]) -> None:
        """Raise a ConfigError if the loss cannot work on these classes."""

    @overload
    def __call__(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]: ...

    @overload
    def __call__(self, prediction: Tensor, batch: Tensor) -> Tensor: ...

    def __call__(self, prediction: Tensors | Tensor, batch: Tensors | Tensor) -> tuple[Tensor, Tensors] | Tensor:
        """Return what `forward` does; of plain tensors, such as logits and a mask, the scalar alone.

        Raises:
            ConfigError: for plain tensors that the loss cannot work on, see `as_dicts`.
        """
        if isinstance(prediction, Tensor) and isinstance(batch, Tensor):
            given = as_dicts(type(self).__name__, self.heads, prediction=prediction, target=batch)
            if self.wants_class_weights:
                raise ConfigError("the loss wants the data's class weights: call set_class_weights first")
            if self.heads == ("mask",):
                self.check([str(number) for number in range(max(2, prediction.shape[1]))])
            value: Tensor = super().__call__(*given)[0]
            return value
        found: tuple[Tensor, Tensors] = super().__call__(prediction, batch)
        return found

    @abstractmethod
    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the scalar to minimise and the detached terms by name."""


class MaskLoss(Loss):
    """Base of the losses on masks: subclasses get logits, ids and which pixels count.

    The logits are float32 whatever the precision of training, since sums over a picture overflow in half precision.
    """

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the loss of logits `[B,K,H,W]` against ids `[B,H,W]`; 0 where every pixel is ignored."""
        with torch.autocast(prediction["mask"].device.type, enabled=False):
            logits = prediction["mask"].float()
            target = batch["mask"]
            valid = target != IGNORE_INDEX
            value = self.compute(logits, target.where(valid, 0), valid=valid)
        return value, {name: value.detach() for name in self.terms}

    @abstractmethod
    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: float32 `[B,K,H,W]`.
            target: int64 ids `[B,H,W]`; 0 where ignored.
            valid: bool `[B,H,W]`.
        """


class MapLoss(Loss):
    """Base of the losses that compare pictures: subclasses get predicted and true maps, and which pixels count.

    For masks the maps are probabilities and ones where the class is: the foreground for two classes, else one map for
    each class. For depth they are the depths.

    Args:
        head: `mask` or `depth`.
    """

    def __init__(self, head: str = "mask") -> None:
        super().__init__()
        if head not in ("mask", "depth"):
            raise ConfigError(f"there is no head '{head}'{nearest(head, ('mask', 'depth'))}")
        self.heads = (head,)

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the loss over labelled pixels, or pixels of known depth; 0 where there are none."""
        (head,) = self.heads
        with torch.autocast(prediction[head].device.type, enabled=False):
            output = prediction[head].float()
            if head == "mask":
                valid = batch["mask"] != IGNORE_INDEX
                predicted = probabilities(output)
                truth = one_hot(batch["mask"].where(valid, 0), output.shape[1])
                valid = valid[:, None]
            else:
                valid = ~batch["depth"].isnan()
                predicted = output
                truth = batch["depth"].float()
            # what does not count is made equal before any arithmetic, so that its gradient is zero and never NaN
            value = self.compute(zero_elsewhere(predicted, valid), zero_elsewhere(truth, valid), valid=valid)
        return value, {name: value.detach() for name in self.terms}

    @abstractmethod
    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            predicted: float32 `[B,C,H,W]`; 0 where it does not count.
            truth: float32 `[B,C,H,W]`; 0 where it does not count.
            valid: bool `[B,1,H,W]`.
        """


class BinaryMaskLoss(MaskLoss):
    """Base of the losses that need two classes, one logit."""

    def check(self, classes: Sequence[str]) -> None:
        """Raise a ConfigError for more than two classes."""
        if mask_channels(classes) != 1:
            name = type(self).__name__.lower()
            raise ConfigError(
                f"loss={name} works on two classes, but the data has {len(classes)}; use loss=cross_entropy,"
                " loss=focal or loss=dice"
            )


def zero_elsewhere(values: Tensor, valid: Tensor) -> Tensor:
    """Return values that are 0 where they do not count; where all do, as a CPU knows at once, they are as they were."""
    if valid.device.type == "cpu" and bool(valid.all()):
        return values
    return values.where(valid, 0.0)


def whole_windows(valid: Tensor, side: int) -> Tensor:
    """Return bool `[...,H-side+1,W-side+1]`: where all pixels of a square window count, of `valid` `[...,H,W]`."""
    for axis in (-1, -2):
        width = 1
        while width < side:
            step = min(width, side - width)
            length = valid.shape[axis] - step
            valid = valid.narrow(axis, 0, length) & valid.narrow(axis, step, length)
            width += step
    return valid


def valid_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of `values` over the valid pixels (its shape, or one channel for all); 0 where there are none."""
    return (values * valid).sum() / valid.expand_as(values).sum().clamp(min=1)


def true_class_log_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Return log p of each pixel's true class, `[B,H,W]`, for one logit (sigmoid) or K (softmax).

    Written with gather instead of a two-dimensional NLL loss, which has no deterministic implementation on CUDA.
    """
    if logits.shape[1] == 1:
        sign = target.to(logits.dtype) * 2 - 1
        return nn.functional.logsigmoid(logits[:, 0] * sign)
    return logits.log_softmax(dim=1).gather(1, target[:, None])[:, 0]


def log_probabilities(logits: Tensor) -> Tensor:
    """Return log p of every class, `[B,K,H,W]`; of background and foreground, `[B,2,H,W]`, for one logit."""
    if logits.shape[1] == 1:
        return nn.functional.logsigmoid(torch.cat([-logits, logits], dim=1))
    return logits.log_softmax(dim=1)


def probabilities(logits: Tensor) -> Tensor:
    """Return foreground probabilities `[B,1,H,W]` of one logit, or class probabilities `[B,K,H,W]`."""
    if logits.shape[1] == 1:
        return logits.sigmoid()
    return logits.softmax(dim=1)


def through_softmax(shares: Tensor, slopes: Tensor) -> Tensor:
    """Return the gradient by logits `[B,K,H,W]`, of their softmax and of the slopes by it."""
    found = shares * slopes
    return found.addcmul_(shares, found.sum(dim=1, keepdim=True), value=-1)


def is_class(target: Tensor, channels: int) -> Tensor:
    """Return bool `[B,K,H,W]` of ids `[B,H,W]`: the foreground for one channel, else one channel for each class."""
    if channels == 1:
        ids = torch.ones(1, dtype=torch.int64, device=target.device)
    else:
        ids = torch.arange(channels, device=target.device)
    return target[:, None] == ids.view(1, -1, 1, 1)


def numbers(truth: Tensor) -> Tensor:
    """Return bool as bytes of 0 and 1 in the same memory: a CPU makes floats of them ten times as fast as of bool."""
    if truth.dtype == torch.bool:
        return truth.view(torch.uint8)
    return truth


def one_hot(target: Tensor, channels: int) -> Tensor:
    """Return float32 `[B,K,H,W]` of ids `[B,H,W]`: the foreground for one channel, else one channel for each class."""
    # compared, since torch's one_hot makes int64 and a copy of it in another order
    return numbers(is_class(target, channels)).float()

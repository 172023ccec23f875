"""Losses of plain tensors, as in any training loop: what fits only by broadcasting would give a meaningless number."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.core.tasks import IGNORE_INDEX


def as_dicts(loss: str, heads: tuple[str, ...], *, prediction: Tensor, target: Tensor) -> tuple[dict[str, Tensor], ...]:
    """Return the prediction and the batch that a loss is computed from, of its one head's tensors.

    Args:
        loss: Name of the loss, for messages.
        heads: The predictions that it works on.
        prediction: Mask logits `[B,K,H,W]`, K = 1 for two classes; or depths `[B,1,H,W]`.
        target: Class ids `[B,H,W]`, whole numbers, 255 where unlabelled; or depths `[B,1,H,W]`, NaN where unknown.

    Raises:
        ConfigError: for tensors of other shapes, ids that are no whole numbers, or ids of no class.
    """
    if len(heads) != 1:
        raise ConfigError(f"{loss} works on {' and '.join(heads)}: give it dicts with these names instead of tensors")
    (head,) = heads
    if head == "mask":
        target = _ids(loss, prediction, mask=target)
    elif prediction.ndim != 4 or prediction.shape[1] != 1 or prediction.shape != target.shape:
        raise ConfigError(f"{loss} takes two depths [B,1,H,W], got {list(prediction.shape)} and {list(target.shape)}")
    return {head: prediction}, {head: target}


def _ids(loss: str, logits: Tensor, *, mask: Tensor) -> Tensor:
    """Return the mask as int64."""
    if logits.ndim != 4 or mask.shape != (logits.shape[0], *logits.shape[2:]):
        raise ConfigError(
            f"{loss} takes logits [B,K,H,W] and a mask of class ids [B,H,W], got {list(logits.shape)} and"
            f" {list(mask.shape)}"
        )
    if mask.is_floating_point() or mask.is_complex():
        raise ConfigError(f"{loss} takes a mask of whole numbers, the class ids, got {mask.dtype}; give mask.long()")
    classes = max(2, logits.shape[1])
    outside = mask[(mask < 0) | ((mask >= classes) & (mask != IGNORE_INDEX))]
    if outside.numel():
        raise ConfigError(
            f"{loss} takes class ids from 0 to {classes - 1} and {IGNORE_INDEX} for unlabelled pixels, as the logits"
            f" have {logits.shape[1]} channels, got {int(outside[0])}"
        )
    return mask.to(torch.int64)

"""Losses of other libraries, held to the same contract."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.losses.base import Loss, Tensors


class External(Loss):
    """Wraps a module that is called with mask logits `[B,K,H,W]` and ids `[B,H,W]`.

    It must ignore class 255 itself: `_target_: torch.nn.CrossEntropyLoss` with `ignore_index: 255`.
    """

    terms = ("external",)

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the module's value, under the name `external`."""
        with torch.autocast(prediction["mask"].device.type, enabled=False):
            value = self.module(prediction["mask"].float(), batch["mask"])
        return value, {"external": value.detach()}


def as_loss(module: object, where: str = "loss") -> Loss:
    """Return a `Loss` as it is, and any other module wrapped; anything else, found at `where`, is a ConfigError."""
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{where} must be a loss, a mapping with _target_, got {module!r}")
    return module if isinstance(module, Loss) else External(module)

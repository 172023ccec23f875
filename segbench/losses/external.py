"""Losses of other libraries, held to the same contract."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.core.tasks import mask_channels
from segbench.losses.base import Loss, Tensors
from segbench.losses.tryout import Manner, Scope, try_out

log = logging.getLogger("segbench")


class External(Loss):
    """Wraps a module that is called with mask logits `[B,K,H,W]` and the truth; `try_out` says in which form.

    Ignored pixels do not reach it, or are made equal where it needs whole pictures.

    Args:
        module: Returns a scalar.
        where: The configuration key of the loss, for messages.
    """

    terms = ("external",)

    def __init__(self, module: nn.Module, where: str = "loss") -> None:
        super().__init__()
        self.module = module
        self.where = where
        self.manner: Manner | None = None

    def check(self, classes: Sequence[str]) -> None:
        """Find out how the module is called; raises ConfigError if it cannot work on these classes."""
        self.manner = try_out(self.module, mask_channels(classes), classes=len(classes), where=self.where)
        if self.manner.scope is Scope.GRID:
            log.warning(
                "%s (%s) needs whole pictures: pixels of class 255 count as class 0 that is predicted rightly",
                self.where,
                type(self.module).__name__,
            )

    def forward(self, prediction: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """Return the module's value on the labelled pixels, under the name `external`; `check` comes before."""
        assert self.manner is not None
        with torch.autocast(prediction["mask"].device.type, enabled=False):
            value = self.manner.value(self.module, prediction["mask"].float(), target=batch["mask"])
        return value, {"external": value.detach()}


def takes_ignore_index(kind: type) -> bool:
    """Whether a class is a loss of another library whose constructor asks which class is ignored."""
    return not issubclass(kind, Loss) and "ignore_index" in inspect.signature(kind).parameters


def as_loss(module: object, where: str = "loss") -> Loss:
    """Return a `Loss` as it is, and any other module wrapped; anything else, found at `where`, is a ConfigError."""
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{where} must be a loss, a mapping with _target_, got {module!r}")
    if isinstance(module, Loss):
        return module
    return External(module, where)

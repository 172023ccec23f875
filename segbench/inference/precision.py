"""The number format of a training, for a network that predicts outside of a Trainer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)

WHOLE = {"64-true": torch.float64, "bf16-true": torch.bfloat16}
"""Formats that all weights are held in."""
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Formats of what torch computes in them, beside weights in 32 bits."""


def in_precision(module: Module, precision: str, *, device: str) -> Module:
    """Return the module on a device, its weights in the format of `trainer.precision`."""
    return module.eval().to(device=device, dtype=WHOLE.get(precision))


def computing_in(precision: str, device: str, *, keeps_casts: bool = True) -> AbstractContextManager[Any]:
    """Return the context that a network computes in, as Lightning's Trainer opens it for `trainer.precision`.

    Args:
        precision: That setting.
        device: Where it computes.
        keeps_casts: Whether weights that were brought to the format are kept until the context is left. A Trainer does
            not, and what is compiled with it is not what is compiled without; the numbers are the same.
    """
    if precision not in MIXED:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=MIXED[precision], cache_enabled=keeps_casts)

"""Where an optimizer's step is one kernel for all weights: torch's own on a GPU, unless a setting forbids it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from segbench.config.schema import Part
from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import Precision

ABLE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad)
"""Optimizers that have it."""

OTHERWISE = ("fused", "foreach", "capturable", "differentiable")
"""Arguments by which a user says how the step is made."""


def is_fused(kind: type, arguments: Mapping[str, object], *, settings: TrainerSettings, device: str) -> bool:
    """Return whether an optimizer is to take its fused step.

    Not where the gradient is scaled (`trainer.precision=16-mixed`): such an optimizer unscales it within its step,
    which is too late to clip it or to leave the step out. Not where a process has a part of each weight. Not on a CPU,
    where runs that were trained before would get other bits.

    Args:
        kind: The optimizer's class.
        arguments: What the user gives it.
        settings: The trainer's settings.
        device: Kind of the device.
    """
    if device != "cuda" or kind not in ABLE or settings.is_sharded or settings.precision is Precision.FP16_MIXED:
        return False
    return all(arguments.get(name) is None for name in OTHERWISE)


def fused(part: Part) -> Part:
    """Return the optimizer with its fused step."""
    return replace(part, arguments={**part.arguments, "fused": True})

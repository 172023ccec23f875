"""Whether a loss of the user's own gives one number that can be minimised, found by calling it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from segbench.core.errors import ConfigError, SegbenchError
from segbench.core.tasks import mask_channels
from segbench.losses.base import Loss, Tensors

SIZE = (64, 64)
"""Height and width of the made-up pictures."""


def check_own_losses(loss: Loss, classes: Sequence[str]) -> None:
    """Raise a ConfigError for a subclass of `Loss` outside segbench that gives anything but a number with a gradient.

    Neither the loss nor any random generator is changed.

    Args:
        loss: The loss, or a sum of losses.
        classes: Names of the classes.
    """
    for one in loss.modules():
        is_shipped = type(one).__module__.startswith("segbench.")
        if isinstance(one, Loss) and not is_shipped and not one.wants_class_weights:
            _check(one, classes)


def _check(loss: Loss, classes: Sequence[str]) -> None:
    prediction, batch = _made_up(loss.heads, classes)
    where = f"loss ({type(loss).__name__})"
    try:
        with torch.random.fork_rng(devices=[]):
            value, terms = deepcopy(loss)(prediction, batch)  # one that counts its calls has not been called
    except SegbenchError:
        raise
    except Exception as error:  # a class of the user's own may raise anything
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{where} cannot be computed: {type(error).__name__}: {reason}") from error
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        raise ConfigError(f"{where} must give one number that depends on the prediction, got {_told(value)}")
    if {*terms} != {*loss.terms} or not terms:
        raise ConfigError(f'{where} must name what it reports, as in terms = ("{type(loss).__name__.lower()}",)')


def _made_up(heads: Sequence[str], classes: Sequence[str]) -> tuple[Tensors, Tensors]:
    height, width = SIZE
    pattern = torch.arange(2 * height * width).view(2, height, width)
    prediction = {}
    batch = {}
    for head in heads:
        channels = 1
        if head == "mask":
            channels = mask_channels(classes)
        output = torch.linspace(-1, 1, 2 * channels * height * width).view(2, channels, height, width)
        prediction[head] = output.requires_grad_()
        batch[head] = pattern % len(classes) if head == "mask" else 1 + pattern[:, None] / pattern.numel()
    return prediction, batch


def _told(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"{type(value).__name__} {value!r}"[:80]
    if not value.ndim:
        return "a number that does not"
    return f"a tensor {list(value.shape)}"

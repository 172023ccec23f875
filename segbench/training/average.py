"""A moving average of the weights, which is often scored better than the weights themselves."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

MUCH = 0.05
"""Share of untrained weights in an average from which on it is said."""


class Average(nn.Module):
    """An average of a network's weights over the steps, which is what is scored and used.

    It is a module of its own beside the network, so that a checkpoint holds both and nothing is ever swapped: a kill
    cannot leave the one in the other's place. Buffers, such as the statistics of batch normalisation, are those of the
    network.

    Args:
        network: What is averaged.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions of the averaged weights."""
        predictions: dict[str, Tensor] = self.network(image)
        return predictions

    def update(self, network: nn.Module, step: int) -> None:
        """Take note of the weights of `network` after optimizer step `step`, counted from 0."""

    def settle(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Be the average of the steps so far, before it is scored or saved."""

    def copy_buffers(self, network: nn.Module) -> None:
        """Take over the buffers of `network`."""
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)


class AveragedNetwork(Average):
    """The exponential moving average of a network's weights (Polyak and Juditsky, 1992; as in Tan and Le, 2019).

    Args:
        network: What is averaged.
        decay: Weight of the past in (0, 1).
        warmup: Whether the first steps use at most (1 + step) / (10 + step), to forget untrained weights sooner.
    """

    def __init__(self, network: nn.Module, decay: float, *, warmup: bool = True) -> None:
        super().__init__(network)
        self.decay = decay
        self.warmup = warmup

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the weights of `network` after optimizer step `step`, counted from 0."""
        decay = min(self.decay, _rising(step)) if self.warmup else self.decay
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        move(list(self.network.parameters()), list(network.parameters()), step)
        self.copy_buffers(network)


def remark(decay: float, warmup: bool, *, steps: int) -> str | None:
    """Return a sentence where a training of `steps` steps is too short for the decay, else None."""
    if warmup and _rising(steps - 1) <= decay:
        needed = round((10 * decay - 1) / (1 - decay))
        return (
            f"trainer.ema={decay} never comes into force: its warm-up takes {needed:,} steps and the training has"
            f" {steps:,}; trainer.ema_warmup=false uses it from the first step"
        )
    start = decay**steps
    if not warmup and start > MUCH:
        return (
            f"trainer.ema={decay} is too slow for a training of {steps:,} steps: the untrained weights still make up"
            f" {start:.0%} of the average at its end; use a smaller one, or trainer.ema_warmup=true"
        )
    return None


def _rising(step: int) -> float:
    return (1 + step) / (10 + step)

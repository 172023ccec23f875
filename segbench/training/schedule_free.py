"""Optimizers that average the weights themselves, and train others than those that are to be used."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import nn

from segbench.training.average import Average


class _Switched(Protocol):
    """An optimizer with the two modes of Facebook's package `schedulefree`."""

    def train(self) -> None:
        """Put the weights that are trained into the network."""

    def eval(self) -> None:
        """Put their average into the network."""


def averages(kind: type) -> bool:
    """Whether optimizers of a class average the weights, and are switched between training and evaluation."""
    return all(callable(getattr(kind, name, None)) for name in ("train", "eval"))


def begin_training(optimizer: torch.optim.Optimizer) -> None:
    """Switch a new optimizer that averages to training, where it stays; others have no such mode."""
    if averages(type(optimizer)):
        cast(_Switched, optimizer).train()


class ScheduleFreeNetwork(Average):
    """The average that a schedule-free optimizer keeps (Defazio et al., "The Road Less Scheduled", 2024).

    Such an optimizer has its average in the network's place while it is evaluated, and computes the way back, which
    rounds. A checkpoint that a clock or a signal asks for would then change what is trained. So the average is read off
    into a network of its own, and what is trained is put back bit by bit.
    """

    @torch.no_grad()
    def settle(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Be the optimizer's average of the steps so far."""
        switched = cast(_Switched, optimizer)
        parameters = list(network.parameters())
        trained = [parameter.clone() for parameter in parameters]
        switched.eval()
        for own, averaged in zip(self.network.parameters(), parameters, strict=True):
            own.copy_(averaged)
        switched.train()
        for parameter, before in zip(parameters, trained, strict=True):
            parameter.copy_(before)
        self.copy_buffers(network)

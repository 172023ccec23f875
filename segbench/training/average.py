"""A moving average of the weights, which is often scored better than the weights themselves."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class AveragedNetwork(nn.Module):
    """The exponential moving average of a network's weights (Polyak and Juditsky, 1992; as in Tan and Le, 2019).

    It is a module of its own beside the network, so that a checkpoint holds both and nothing is ever swapped: a kill
    cannot leave the one in the other's place. Buffers, such as the statistics of batch normalisation, are those of the
    network.

    Args:
        network: What is averaged.
        decay: Weight of the past in (0, 1). The first steps use less: (1 + step) / (10 + step).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(False)
        self.decay = decay

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions of the averaged weights."""
        return self.network(image)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the weights of `network` after optimizer step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = list(self.network.parameters()), list(network.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)

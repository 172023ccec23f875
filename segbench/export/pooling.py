"""Averages over parts of a picture whose number is fixed, of shape arithmetic that holds for any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TraceablePool(nn.AdaptiveAvgPool2d):
    """The same, as two matrices whose entries follow from the size of the features.

    Other programs have such an average over the whole picture alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return `[B, C, height, width]` of features `[B, C, H, W]`."""
        parts = parts_of(self)
        assert parts is not None
        rows, columns = (shares(length, count).to(input) for length, count in zip(input.shape[-2:], parts, strict=True))
        return rows @ input @ columns.T


def shares(length: int, parts: int) -> Tensor:
    """Return the share of each pixel of a side in each part's average, `[parts, length]`; parts may overlap.

    Args:
        length: Pixels of the side; in a trace a tensor without dimensions that stands for them.
        parts: Number of parts.
    """
    number = torch.arange(parts)
    first = torch.div(number * length, parts, rounding_mode="floor")
    end = torch.div((number + 1) * length + parts - 1, parts, rounding_mode="floor")
    pixel = torch.arange(length)[None]
    inside = ((pixel >= first[:, None]) & (pixel < end[:, None])).float()
    return inside / inside.sum(dim=1, keepdim=True)


def parts_of(pool: nn.AdaptiveAvgPool2d) -> tuple[int, int] | None:
    """Return how many parts an average has from top to bottom and from left to right; None where a side is kept."""
    size = pool.output_size
    height, width = size if isinstance(size, tuple) else (size, size)
    if height is None or width is None:
        return None
    return height, width


def with_traceable_pools(network: nn.Module) -> nn.Module:
    """Change, in place, the averages that a trace would keep the size of, and return the network.

    They stay the same objects, since networks also keep them in lists of their own.
    """
    for module in network.modules():
        if type(module) is nn.AdaptiveAvgPool2d and parts_of(module) not in (None, (1, 1)):
            module.__class__ = TraceablePool
    return network

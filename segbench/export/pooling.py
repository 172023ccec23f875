"""Averages over parts of a picture whose number is fixed, of shape arithmetic that holds for any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TraceablePool(nn.Module):
    """What `nn.AdaptiveAvgPool2d` computes, as two matrices whose entries follow from the size of the features.

    Other programs have such an average over the whole picture alone.

    Args:
        height: Parts from top to bottom.
        width: Parts from left to right.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, features: Tensor) -> Tensor:
        """Return `[B, C, height, width]` of features `[B, C, H, W]`."""
        rows, columns = (
            shares(length, parts).to(features)
            for length, parts in zip(features.shape[-2:], (self.height, self.width), strict=True)
        )
        return rows @ features @ columns.T


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


def with_traceable_pools(network: nn.Module) -> nn.Module:
    """Replace, in place, the averages that a trace would keep the size of, and return the network."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.AdaptiveAvgPool2d):
                continue
            size = child.output_size
            height, width = size if isinstance(size, tuple) else (size, size)
            if height is not None and width is not None and (height, width) != (1, 1):
                setattr(parent, name, TraceablePool(height, width))
    return network

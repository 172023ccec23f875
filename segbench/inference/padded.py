"""Pictures of any size for networks of other libraries, which often take multiples of their stride alone."""

from __future__ import annotations

from segbench.data.loading.batches import Batch
from segbench.data.loading.views import Size
from segbench.inference.forward import PICTURES, Heads, Network
from segbench.models.base import crop, pad_to_multiple

STRIDE = 32
"""Pixels of a picture that the deepest features of nearly every network stand for."""


def padded(network: Network, size: Size) -> Network:
    """Return a network that sees pictures of other sizes than it was trained at with their edges repeated.

    Args:
        network: The network.
        size: Height and width that it was trained at, which it is shown as they are.
    """

    def said(batch: Batch) -> Heads:
        height, width = batch["image"].shape[-2:]
        if (height, width) == size:
            return network(batch)
        pictures = {name: pad_to_multiple(batch[name], STRIDE) for name in PICTURES if name in batch}
        return crop(network({**batch, **pictures}), height=height, width=width)

    return said

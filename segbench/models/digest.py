"""A digest of weights: whether two modules are the same to the last bit."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from segbench.models.sharded import whole


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 over the names, shapes and bytes of a module's weights and buffers.

    All processes call it where the weights are spread over several.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(whole(tensor.detach()).cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()

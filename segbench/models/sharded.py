"""Networks whose weights are spread over several processes: each keeps a part of every tensor (torch's FSDP2).

Zhao et al., "PyTorch FSDP", 2023. The whole tensors of a block are there only while the block is at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from segbench.models.rehearsal import called_whole

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule

LEAST = 1 / 16
"""Share of a network's weights that a block holds at least: many small ones would only wait for one another."""

FEWEST = 100_000
"""Weights that it holds at least, for the same reason."""


def shard(network: nn.Module, mesh: DeviceMesh, *, blocks: list[str]) -> None:
    """Spread the weights of a network over the processes of a mesh, block by block; all processes call it.

    Args:
        network: The network, which is changed; its parameters are new objects from then on.
        mesh: The processes, in one dimension.
        blocks: The submodules whose weights come together for themselves, see `blocks_of`.
    """
    from torch.distributed.fsdp import fully_shard

    network.to(memory_format=torch.contiguous_format)  # FSDP2 takes no other layout
    inner_first = reversed([module for name, module in network.named_modules() if name in blocks])
    for module in [*inner_first, network]:
        fully_shard(module, mesh=mesh, reshard_after_forward=True)


def blocks_of(network: nn.Module, shape: tuple[int, ...], *, fewest: int = FEWEST) -> list[str]:
    """Return the names of the submodules that can be sharded by themselves, and are large enough for it.

    Args:
        network: The network, which is left as it is.
        shape: Of a batch of pictures that it works on.
        fewest: Weights of a block.
    """
    named = list(network.named_parameters(remove_duplicate=False))
    total = sum(parameter.numel() for _, parameter in named)
    if len(named) != len(list(network.parameters())):
        return []  # weights that two layers share must stay in one block: the whole network
    sizes = {
        name: sum(parameter.numel() for parameter in network.get_submodule(name).parameters())
        for name in called_whole(network, shape)
    }
    return [name for name, size in sizes.items() if size >= max(fewest, total * LEAST)]


def is_sharded(module: nn.Module) -> bool:
    """Whether the weights of a module, or of any part of it, are spread over several processes."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its parts; all processes call it. One that is not spread is returned as it is."""
    full = getattr(tensor, "full_tensor", None)
    if full is None:
        return tensor
    together: Tensor = full()
    return together


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor spread as another one is; all processes call it, each with the whole tensor."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor):
        return tensor
    tensor = tensor.to(like.device_mesh.device_type)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors into a module, of which each process may keep only a part; all processes call it."""
    own = module.state_dict()
    module.load_state_dict({name: part_of(tensor, own.get(name, tensor)) for name, tensor in state.items()})


def bring_together(network: nn.Module) -> None:
    """Keep the whole weights in every process until `part_again`; all processes call it.

    An evaluation needs them: its processes pass through the network as often as they have pictures, each for itself.
    """
    for part in _parts(network):
        part.set_reshard_after_forward(False)
        part.unshard()


def part_again(network: nn.Module) -> None:
    """Undo `bring_together`."""
    for part in _parts(network):
        part.set_reshard_after_forward(True)
        part.reshard()


def _parts(network: nn.Module) -> Iterator[FSDPModule]:
    """Yield the modules that have been sharded; told by a method, as to import their class takes long."""
    for module in network.modules():
        if hasattr(module, "set_reshard_after_forward"):
            yield cast("FSDPModule", module)

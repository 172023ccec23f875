"""The weights of a checkpoint as they were scored, fitted to a module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segbench.core.errors import CheckpointError
from segbench.inference.checkpoints import Checkpoint
from segbench.inference.module import ScoredModule

AVERAGE = "average."
"""What the names of the averaged weights begin with, see `segbench.training.average`."""

State = dict[str, Tensor]
Origin = dict[str, Any]
"""What a training began with: the digest of its `loss`, `mean`, `std` and `values`."""


def scored_weights(checkpoint: Checkpoint, module: ScoredModule) -> State:
    """Return the weights of a checkpoint as they were scored: those of the average wherever there was one.

    Raises:
        CheckpointError: if they do not fit the module's network.
    """
    state = dict(checkpoint["state_dict"])
    for name in [name for name in state if name.startswith(AVERAGE)]:
        tensor = state.pop(name)
        if name.startswith(f"{AVERAGE}network."):
            state[name.removeprefix(AVERAGE)] = tensor
    for name in module.state_dict():
        if name.startswith(AVERAGE) and name.removeprefix(AVERAGE) in state:
            state[name] = state[name.removeprefix(AVERAGE)]
    origin = origin_of(checkpoint)
    take_loss(state, module, origin=origin)
    take_normalisation(state, module, origin=origin)
    check_weights(state, module)
    return state


def origin_of(checkpoint: Checkpoint) -> Origin:
    """Return what the training of a checkpoint began with; raises CheckpointError."""
    origin = checkpoint.get("origin")
    if not isinstance(origin, dict) or not {"loss", "mean", "std"} <= {*origin}:
        raise CheckpointError("the checkpoint is not one of a training of segbench: it does not say how it began")
    return origin


def take_loss(state: State, module: ScoredModule, *, origin: Origin) -> None:
    """Use the tensors of the loss of now, such as class weights, where it began otherwise than the checkpoint's did."""
    if origin.get("loss") != module.origin["loss"]:
        for name in [name for name in state if name.startswith("loss.")]:
            del state[name]
        state.update({f"loss.{name}": tensor.clone() for name, tensor in module.loss.state_dict().items()})


def take_normalisation(state: State, module: ScoredModule, *, origin: Origin) -> None:
    """Use mean and std of now where the data's have changed; those of pretrained weights stay with the network."""
    for name in ("mean", "std"):
        fresh = getattr(module, name)
        if len(origin[name]) != fresh.numel():
            continue  # of pictures with other bands, which the shapes of the weights will say
        if not module.origin[name]:
            continue  # to be measured on data that has not been read
        before = fresh.new_tensor(origin[name]).view_as(fresh)
        if name not in state:
            continue  # check_weights says that it is missing
        is_of_the_data = torch.allclose(state[name].to(fresh), before, rtol=0.01)
        if is_of_the_data and origin[name] != module.origin[name]:
            state[name] = fresh.clone()


def check_weights(state: State, module: nn.Module) -> None:
    """Raise a CheckpointError for the first weight that the module lacks, does not know, or has in another shape."""
    wanted = module.state_dict()
    for name in [*wanted, *state]:
        old = state.get(name)
        new = wanted.get(name)
        if old is None or new is None or old.shape != new.shape:
            before, now = ("none" if one is None else _shape(one) for one in (old, new))
            raise CheckpointError(f"{name} is {before} in the checkpoint, and {now} in the network")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"

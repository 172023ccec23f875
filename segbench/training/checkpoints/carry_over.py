"""What a resume takes over from a checkpoint, and what comes from the settings of now: what is recorded is what trains.

Taken over are the weights, the tensors of the optimizer's state, the progress of the schedule and the position. Of now
are all options of the optimizer, whether the weights are averaged, the tensors of another loss, other mean and std.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from segbench.core.errors import CheckpointError
from segbench.training.callbacks.recorder import Recorder
from segbench.training.module import SegmentationModule

AVERAGE = "average."
SET_BY_THE_SCHEDULE = ("lr", "base_lr")

Checkpoint = dict[str, Any]
State = dict[str, Tensor]


def carry_over(checkpoint: Checkpoint, module: SegmentationModule, *, without_best: bool = False) -> Checkpoint:
    """Return the checkpoint as the module is to continue from it; nothing changes where the settings are the same.

    Args:
        checkpoint: As it was read; its entries are replaced.
        module: The module that is going to continue.
        without_best: Forget which epoch was the best, whose checkpoint is lost.

    Raises:
        CheckpointError: naming what does not fit the network or the optimizer of now.
    """
    try:
        state = dict(checkpoint["state_dict"])
        origin = checkpoint.get("origin") or module.origin
        _take_average(state, module)
        _take_loss(state, module, origin)
        _take_normalisation(state, module, origin)
        check_weights(state, module)
        checkpoint["state_dict"] = state
        checkpoint["optimizer_states"] = [_with_options_of_now(checkpoint["optimizer_states"][0], module)]
        if without_best:
            checkpoint["callbacks"][Recorder.__qualname__].update(best={}, best_epoch=-1, waited=0)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CheckpointError(f"the checkpoint is not one of a training of segbench: {reason}") from None
    return checkpoint


def scored_weights(checkpoint: Checkpoint, module: SegmentationModule) -> State:
    """Return the weights of a checkpoint as they were scored: those of the average wherever there was one.

    Raises:
        CheckpointError: if they do not fit the module's network.
    """
    state = dict(checkpoint["state_dict"])
    origin = checkpoint.get("origin") or module.origin
    if module.average is None:
        averaged = {name: tensor for name, tensor in state.items() if name.startswith(AVERAGE)}
        for name, tensor in averaged.items():
            del state[name]
            if name.startswith(f"{AVERAGE}network."):
                state[name.removeprefix(AVERAGE)] = tensor
    _take_average(state, module)
    _take_loss(state, module, origin)
    _take_normalisation(state, module, origin)
    check_weights(state, module)
    return state


def check_weights(state: State, module: SegmentationModule) -> None:
    """Raise a CheckpointError for the first weight that the module lacks, does not know, or has in another shape."""
    wanted = module.state_dict()
    for name in [*wanted, *state]:
        old, new = state.get(name), wanted.get(name)
        if old is None or new is None or old.shape != new.shape:
            before, now = ("none" if one is None else _shape(one) for one in (old, new))
            raise CheckpointError(f"{name} is {before} in the checkpoint, and {now} in the network")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _take_average(state: State, module: SegmentationModule) -> None:
    """Begin an average that there was not at the weights, and drop one that there is not any more."""
    wanted = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(AVERAGE)}
    for name in [name for name in state if name.startswith(AVERAGE) and name not in wanted]:
        del state[name]
    for name, fresh in wanted.items():
        if name not in state:
            state[name] = state.get(name.removeprefix(AVERAGE), fresh).clone()


def _take_loss(state: State, module: SegmentationModule, origin: dict[str, Any]) -> None:
    """Use the tensors of the loss of now, such as class weights, where it began otherwise than the checkpoint's did."""
    if origin.get("loss") != module.origin["loss"]:
        for name in [name for name in state if name.startswith("loss.")]:
            del state[name]
        _put(state, "loss.", module.loss)


def _put(state: State, prefix: str, part: nn.Module) -> None:
    state.update({f"{prefix}{name}": tensor.clone() for name, tensor in part.state_dict().items()})


def _take_normalisation(state: State, module: SegmentationModule, origin: dict[str, Any]) -> None:
    """Use mean and std of now where the data's have changed; those of pretrained weights stay with the network."""
    for name in ("mean", "std"):
        fresh = getattr(module, name)
        if len(origin[name]) != fresh.numel():
            continue  # of pictures with other bands, which the shapes of the weights will say
        before = fresh.new_tensor(origin[name]).view_as(fresh) * 255
        is_of_the_data = name in state and torch.allclose(state[name].to(fresh), before, rtol=0.01)
        if name not in state or (is_of_the_data and origin[name] != module.origin[name]):
            state[name] = fresh.clone()


def _with_options_of_now(optimizer: dict[str, Any], module: SegmentationModule) -> dict[str, Any]:
    """Return the state of the optimizer with every option of its groups as a fresh one has it."""
    fresh = module.configure_optimizers()
    saved = optimizer["param_groups"]
    sizes = [[len(group["params"]) for group in groups] for groups in (saved, fresh.param_groups)]
    if sizes[0] != sizes[1]:
        counts = [sum(size) for size in sizes]
        raise CheckpointError(f"its optimizer trains {counts[0]} tensors in {len(saved)} groups, now {counts[1]}")
    groups = [
        {**{name: value for name, value in now.items() if name != "params"}, "params": before["params"]}
        for now, before in zip(fresh.param_groups, saved, strict=True)
    ]
    adapted = {**optimizer, "param_groups": groups}
    if any(_options(now) != _options(before) for now, before in zip(groups, saved, strict=True)):
        _try_a_step(adapted, module, fresh.param_groups[0]["params"][0])
    return adapted


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in SET_BY_THE_SCHEDULE}


def _try_a_step(optimizer: dict[str, Any], module: SegmentationModule, first: Tensor) -> None:
    """Raise a CheckpointError if an optimizer with other options cannot work with the state that there is."""
    parameter = nn.Parameter(torch.zeros_like(first, device="cpu"))
    parameter.grad = torch.zeros_like(parameter)
    trial = module.make_optimizer([parameter])
    number = optimizer["param_groups"][0]["params"][0]
    known = {number: deepcopy(optimizer["state"][number])} if number in optimizer["state"] else {}
    try:
        trial.load_state_dict({"state": known, "param_groups": [{**optimizer["param_groups"][0], "params": [number]}]})
        trial.step()
    except Exception as error:  # optimizers miss their state in many ways
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"the optimizer's state lacks what these options of it need ({reason})") from None

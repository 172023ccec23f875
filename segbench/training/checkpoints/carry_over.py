"""What a resume takes over from a checkpoint, and what comes from the settings of now: what is recorded is what trains.

Taken over are the weights, the tensors of the optimizer's state, the progress of the schedule and the position. Of now
are all options of the optimizer, whether the weights are averaged, the tensors of another loss, other mean and std.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from segbench.core.errors import CheckpointError
from segbench.inference.checkpoints import Checkpoint
from segbench.inference.weights import (
    AVERAGE,
    State,
    check_weights,
    origin_of,
    take_loss,
    take_normalisation,
)
from segbench.training.callbacks.recorder import Recorder
from segbench.training.module import SegmentationModule
from segbench.training.parameter_groups import Group

SET_BY_THE_SCHEDULE = ("lr", "base_lr")

OptimizerState = dict[str, Any]
"""The `state_dict` of an optimizer, whose entries each class of torch names for itself."""


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
        origin = origin_of(checkpoint)
        _take_average(state, module)
        take_loss(state, module, origin=origin)
        take_normalisation(state, module, origin=origin)
        check_weights(state, module)
        checkpoint["state_dict"] = state
        checkpoint["optimizer_states"] = [_with_options_of_now(checkpoint["optimizer_states"][0], module)]
        if without_best:
            checkpoint["callbacks"][Recorder.__qualname__].update(best={}, best_epoch=-1, waited=0)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CheckpointError(f"the checkpoint is not one of a training of segbench: {reason}") from None
    return checkpoint


def _take_average(state: State, module: SegmentationModule) -> None:
    """Begin a new average at the weights, and drop one that is no longer asked for."""
    wanted = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(AVERAGE)}
    for name in [name for name in state if name.startswith(AVERAGE) and name not in wanted]:
        del state[name]
    for name, fresh in wanted.items():
        if name not in state:
            state[name] = state.get(name.removeprefix(AVERAGE), fresh).clone()


def _with_options_of_now(optimizer: OptimizerState, module: SegmentationModule) -> OptimizerState:
    """Return the state of the optimizer with every option of its groups as a fresh one has it."""
    fresh = module.configure_optimizers()
    saved = optimizer["param_groups"]
    sizes = [[len(group["params"]) for group in groups] for groups in (saved, fresh.param_groups)]
    if sizes[0] != sizes[1]:
        before, now = (" + ".join(map(str, size)) for size in sizes)
        raise CheckpointError(f"its optimizer trains {before} tensors, by group, and that of now {now}")
    groups = [_group(before, now, kind=type(fresh)) for before, now in zip(saved, fresh.param_groups, strict=True)]
    adapted = {**optimizer, "param_groups": groups}
    if any(_options(now) != _options(before) for now, before in zip(groups, saved, strict=True)):
        _try_a_step(adapted, module, first=fresh.param_groups[0]["params"][0])
    return adapted


def _group(before: Group, now: Group, *, kind: type) -> Group:
    """Return a group with the options of now.

    What is no argument of the optimizer's class, such as the steps that a schedule-free one counts, is progress.
    """
    arguments = inspect.signature(kind).parameters
    progress = {
        name: value for name, value in before.items() if name not in arguments and name not in SET_BY_THE_SCHEDULE
    }
    return {**now, **progress, "params": before["params"]}


def _options(group: Group) -> Group:
    return {name: value for name, value in group.items() if name not in SET_BY_THE_SCHEDULE}


def _try_a_step(optimizer: OptimizerState, module: SegmentationModule, *, first: Tensor) -> None:
    """Raise a CheckpointError if an optimizer with other options cannot work with the saved state."""
    parameter = nn.Parameter(torch.zeros(first.shape, dtype=first.dtype))
    parameter.grad = torch.zeros_like(parameter)
    trial = module.make_optimizer([parameter])
    number = optimizer["param_groups"][0]["params"][0]
    known = {}
    if number in optimizer["state"]:
        known = {number: deepcopy(optimizer["state"][number])}
    try:
        trial.load_state_dict({"state": known, "param_groups": [{**optimizer["param_groups"][0], "params": [number]}]})
        trial.step()
    except Exception as error:  # optimizers miss their state in many ways
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"the optimizer's state lacks what these options of it need ({reason})") from None

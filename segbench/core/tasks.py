"""What the class list and the task say about a model: input channels, heads and their sizes."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.core.errors import ConfigError, nearest

IGNORE_INDEX = 255
"""The class id of unlabelled pixels in every data set: no loss and no metric counts them."""

TASKS = {"mask": ("mask",), "depth": ("depth",), "mask_depth": ("mask", "depth")}
INPUTS = {"image": ("image",), "image+background": ("image", "background")}


def mask_channels(classes: Sequence[str]) -> int:
    """Return K, the channels of the mask logits: 1 for two classes (one logit, sigmoid), else the number of classes."""
    if len(classes) < 2:
        raise ConfigError(f"data.classes must name at least two classes, got {list(classes)}")
    return 1 if len(classes) == 2 else len(classes)


def heads(task: str, classes: Sequence[str]) -> dict[str, int]:
    """Return the heads of a task and the channels of each, for example `{"mask": 1, "depth": 1}`."""
    if task not in TASKS:
        raise ConfigError(f"unknown task '{task}'{nearest(task, TASKS)}")
    return {name: mask_channels(classes) if name == "mask" else 1 for name in TASKS[task]}


def input_names(inputs: str) -> tuple[str, ...]:
    """Return the batch entries that are fed to the network, in channel order."""
    if inputs not in INPUTS:
        raise ConfigError(f"unknown inputs '{inputs}'{nearest(inputs, INPUTS)}")
    return INPUTS[inputs]


def in_channels(inputs: str) -> int:
    """Return the number of input channels: three for each picture that is fed."""
    return 3 * len(input_names(inputs))

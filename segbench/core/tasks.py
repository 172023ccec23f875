"""What the class list and the task say about a model: input channels, heads and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from segbench.core.choices import one_of
from segbench.core.errors import ConfigError

IGNORE_INDEX = 255
"""The class id of unlabelled pixels in every data set: no loss and no metric counts them."""


class Head(StrEnum):
    """One of a network's outputs."""

    MASK = "mask"
    """Logits of the classes."""
    DEPTH = "depth"
    """Depth, one channel."""


class Task(StrEnum):
    """What a network predicts."""

    MASK = "mask"
    DEPTH = "depth"
    MASK_DEPTH = "mask_depth"

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that a network has for it."""
        return _HEADS[self]


class Inputs(StrEnum):
    """What a network is given."""

    IMAGE = "image"
    IMAGE_BACKGROUND = "image+background"

    @property
    def names(self) -> tuple[str, ...]:
        """The batch entries that the network is given, in channel order."""
        return tuple(self.value.split("+"))


_HEADS = {
    Task.MASK: (Head.MASK,),
    Task.DEPTH: (Head.DEPTH,),
    Task.MASK_DEPTH: (Head.MASK, Head.DEPTH),
}


def mask_channels(classes: Sequence[str]) -> int:
    """Return K, the channels of the mask logits: 1 for two classes (one logit, sigmoid), else the number of classes."""
    if len(classes) < 2:
        raise ConfigError(f"data.classes must name at least two classes, got {list(classes)}")
    if len(classes) == 2:
        return 1
    return len(classes)


def heads(task: str, classes: Sequence[str]) -> dict[str, int]:
    """Return the heads of a task and the channels of each, for example `{"mask": 1, "depth": 1}`."""
    found = one_of(Task, task, what="task").heads
    return {head.value: mask_channels(classes) if head is Head.MASK else 1 for head in found}


def in_channels(inputs: str, channels: int = 3) -> int:
    """Return the number of input channels: those of each picture, red, green and blue or any bands, one by one."""
    return channels * len(one_of(Inputs, inputs, what="inputs").names)

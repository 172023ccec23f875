"""The words that a setting can take, one enumeration each. A member is its word: it compares, prints and hashes so."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from segbench.core.errors import ConfigError, nearest


class Split(StrEnum):
    """A part of the data."""

    TRAIN = "train"
    """What the weights are fitted to."""
    VAL = "val"
    """What epoch and settings are chosen on."""
    TEST = "test"
    """What is reported of the choice."""


SPLITS = tuple(Split)
SCORED = (Split.VAL, Split.TEST)
"""The splits that are scored: of training, the loss is all that is looked at."""


class Fit(StrEnum):
    """How a picture comes to another size."""

    STRETCH = "stretch"
    """Each axis by itself; the aspect ratio changes."""
    CROP = "crop"
    """The aspect ratio stays; what is too much is cut off evenly on both sides."""
    PAD = "pad"
    """The aspect ratio stays; bars that are ignored fill the rest."""


class Precision(StrEnum):
    """Number formats of a training, in Lightning's words."""

    SINGLE = "32-true"
    """32 bits throughout."""
    BF16_MIXED = "bf16-mixed"
    """Weights in 32 bits; matrix products and convolutions in bfloat16."""
    FP16_MIXED = "16-mixed"
    """Weights in 32 bits; matrix products and convolutions in float16, with the loss scaled."""
    BF16 = "bf16-true"
    """bfloat16 throughout."""
    DOUBLE = "64-true"
    """64 bits throughout."""


class Accelerator(StrEnum):
    """The kind of device that is asked for."""

    AUTO = "auto"
    """Whatever torch finds."""
    CPU = "cpu"
    GPU = "gpu"
    CUDA = "cuda"
    MPS = "mps"
    """The GPU of a Mac."""


class Strategy(StrEnum):
    """How several devices share the work."""

    AUTO = "auto"
    """`ddp` where there are several."""
    DDP = "ddp"
    """A process a device; each has a copy of the network and a part of every batch."""
    FSDP = "fsdp"
    """The same, but each keeps only its part of weights, gradients and the optimizer's state; for large networks."""


class Freeze(StrEnum):
    """What of a network is not trained."""

    ENCODER = "encoder"
    """The part that pretrained weights are for."""


class Auto(StrEnum):
    """The word for what is decided by measuring, beside true and false."""

    AUTO = "auto"
    """Whichever is done sooner."""


class NonFinite(StrEnum):
    """What a NaN or infinite training loss does."""

    RAISE = "raise"
    """The run ends with an error."""
    SKIP = "skip"
    """The step is left out, and counted."""
    ROLLBACK = "rollback"
    """The run goes back to its last checkpoint, with half the learning rate."""


Choice = TypeVar("Choice", bound=StrEnum)


def one_of(choices: Iterable[Choice], value: object, *, what: str, why: str = "") -> Choice:
    """Return the member of an enumeration that a word names.

    Args:
        choices: The enumeration, or those of its members that will do.
        value: The word.
        what: What it is, such as `split`, for the message.
        why: What it is for, such as `to score`, for the message.

    Raises:
        ConfigError: where there is none, with the nearest one.
    """
    members = tuple(choices)
    for member in members:
        if member == value:
            return member
    reason = f" {why}" if why else ""
    raise ConfigError(f"there is no {what} '{value}'{reason}{nearest(str(value), members)}")


class Sampler(StrEnum):
    """How a search chooses the settings of a trial."""

    TPE = "tpe"
    """By what the trials before have shown: a tree of Parzen estimators (Bergstra et al., 2011)."""
    RANDOM = "random"
    """At random (Bergstra and Bengio, 2012)."""
    GRID = "grid"
    """Every combination of the given values, once, in an order at random."""


class Pruner(StrEnum):
    """Which trials of a search are ended early, by their val score."""

    NONE = "none"
    """None."""
    MEDIAN = "median"
    """Those below the median of the others at the same epoch."""
    ASHA = "asha"
    """All but the best part at each rung of epochs: asynchronous successive halving (Li et al., 2020)."""
    HYPERBAND = "hyperband"
    """As `asha`, with several first rungs in turn, for scores that rise late (Li et al., 2018)."""


def check_word(setting: str, word: object, *, valid: Iterable[str]) -> None:
    """Raise a ConfigError where a word is not one that a setting knows, with the nearest one."""
    words = tuple(valid)
    if word not in words:
        raise ConfigError(f"there is no {setting} '{word}'{nearest(str(word), words)}")

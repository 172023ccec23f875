"""The words of `segbench export`: kinds of files, and what comes into them beside the network. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from segbench.core.choices import one_of
from segbench.core.errors import ConfigError


class Format(StrEnum):
    """A kind of file."""

    ONNX = "onnx"
    """A graph that ONNX Runtime and others run, without torch."""
    TORCH = "torch"
    """A trace in TorchScript, which torch runs without segbench, also from C++."""
    SAFETENSORS = "safetensors"
    """The weights alone, by the network's own names, which `model.init_from` reads."""

    @property
    def file(self) -> str:
        """The name of the file."""
        return {"onnx": "model.onnx", "torch": "model.pt", "safetensors": "model.safetensors"}[self.value]


class Step(StrEnum):
    """What a file does beside the network."""

    NORMALISATION = "normalisation"
    """Before it: pictures come with the values of their files."""
    RESIZE = "resize"
    """Around it: pictures come at their own size, and predictions go back to that."""
    ARGMAX = "argmax"
    """After it: class ids instead of logits."""


def steps_of(words: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that words such as `normalisation,resize` name, in the order in which they are made.

    Raises:
        ConfigError: for a word that is none, or a step without one that it needs.
    """
    named = [one.strip() for word in words for one in word.split(",") if one.strip()]
    found = {one_of(Step, word, what="--with") for word in named}
    if Step.RESIZE in found and Step.NORMALISATION not in found:
        raise ConfigError(
            "--with resize needs normalisation too, since a run resizes pictures before it normalises them: give --with"
            " normalisation,resize"
        )
    return tuple(step for step in Step if step in found)

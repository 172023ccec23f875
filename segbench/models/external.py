"""Networks of other libraries, held to the same contract."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.models.base import Network


class External(Network):
    """Wraps a module that returns a tensor, or a dict with `out`, as the only head of a task.

    Args:
        module: Maps `[B, C, H, W]` to `[B, channels, H, W]`.
        heads: The one head of the task and its channels.
    """

    def __init__(self, module: nn.Module, heads: Mapping[str, int]) -> None:
        super().__init__()
        if len(heads) != 1:
            raise ConfigError(
                f"{type(module).__name__} gives one prediction, but the task has the heads {', '.join(heads)};"
                " use task=mask or a model of this project"
            )
        self.module = module
        ((self.head, self.channels),) = heads.items()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the prediction under the head's name; raises ConfigError where its shape does not fit."""
        output = self.module(image)
        if isinstance(output, Mapping):
            output = output["out"]
        wanted = (image.shape[0], self.channels, *image.shape[-2:])
        if tuple(output.shape) != wanted:
            raise ConfigError(
                f"{type(self.module).__name__} returned {list(output.shape)} for an image {list(image.shape)}, but the"
                f" head '{self.head}' must be {list(wanted)}; set its number of classes to {self.channels}"
            )
        return {self.head: output}


def as_network(module: nn.Module, heads: Mapping[str, int]) -> nn.Module:
    """Return a `Network` as it is, and any other module wrapped."""
    if isinstance(module, Network):
        return module
    return External(module, heads)

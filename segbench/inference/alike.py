"""Whether the predictions of several runs can be averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segbench.config.values import shown
from segbench.core.errors import ConfigError

if TYPE_CHECKING:
    from segbench.inference.load import TrainedRun


def check_alike(runs: Sequence[TrainedRun]) -> None:
    """Raise a ConfigError if the predictions of runs cannot be averaged."""
    first = runs[0]
    for other in runs[1:]:
        facts = {
            "bands": (first.parts.data.channels.bands, other.parts.data.channels.bands),
            "classes": (first.parts.data.classes, other.parts.data.classes),
            "task": (first.config.task, other.config.task),
            "inputs": (first.config.inputs, other.config.inputs),
        }
        for name, (ours, theirs) in facts.items():
            if ours != theirs:
                raise ConfigError(
                    f"{other.run.path} cannot be averaged with {first.run.path}: its {name} {shown(theirs)}"
                    f" instead of {shown(ours)}; give runs that have the same"
                )

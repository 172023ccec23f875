"""Settings that say the opposite of each other, or that nothing would come of."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.config.schema import RunConfig
from segbench.core.errors import ConfigError
from segbench.core.tasks import Task


def check_contradictions(typed: Sequence[str], config: RunConfig) -> None:
    """Raise a ConfigError for a setting that the task has no use for, or that trains nothing.

    The defaults hold a loss for masks and one for depth whatever the task is, so it counts what was typed.

    Args:
        typed: The groups and keys of the command line.
        config: The checked configuration.
    """
    task = config.task
    for key in typed:
        depth = key.startswith(("loss/depth", "loss.depth"))
        if depth and task == Task.MASK:
            raise ConfigError(
                f"{key} is about depth, which task=mask does not train; add task=depth or task=mask_depth"
            )
        if key.startswith("loss") and not depth and task == Task.DEPTH:
            raise ConfigError(
                f"{key} is about masks, which task=depth does not train; give loss.depth=l1 or another of its options,"
                " or task=mask_depth"
            )
        if key == "depth_weight" and task != Task.MASK_DEPTH:
            raise ConfigError(f"depth_weight weighs two losses, but task={task} has one; add task=mask_depth")
    if config.optimizer.arguments.get("lr") == 0:
        raise ConfigError("optimizer.lr=0 trains nothing; give a number above 0 such as 1e-3")

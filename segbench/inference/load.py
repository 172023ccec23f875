"""A trained run from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.config.labels import check_plugins
from segbench.config.pretrained import without_pretrained
from segbench.config.saved import read_saved_config, saved_config, with_changes
from segbench.config.schema import RunConfig
from segbench.core.errors import CheckpointError
from segbench.inference.checkpoints import load_best
from segbench.inference.module import ScoredModule
from segbench.inference.parts import Parts, build_parts
from segbench.inference.weights import scored_weights
from segbench.runs.checkpoints import BEST, has_best
from segbench.runs.folder import RunFolder, open_run


@dataclass
class TrainedRun:
    """A run, its parts, and the module with the weights of its best epoch."""

    run: RunFolder
    """The run folder."""

    config: RunConfig
    """Its configuration."""

    parts: Parts
    """Data, network and loss."""

    module: ScoredModule
    """The network with its preprocessing and the best weights."""


def load_trained(
    path: str | Path, changes: Sequence[str] = (), *, plugins: Sequence[str] = (), scores: bool = False
) -> TrainedRun:
    """Return the run at `path` with the weights of best.ckpt.

    Args:
        path: The run folder, or a file in it.
        changes: Settings as `key=value`, such as `data.root=DIR` where the data was moved, or `plugins=[mylab]`.
        plugins: Packages of the user's own whose classes the run may name; never taken from the folder.
        scores: Whether it is going to be scored, also by metrics of the user's own.

    Raises:
        ConfigError: if there is no run, or its configuration cannot be built.
        CheckpointError: if there is no best checkpoint, or it does not fit the network.
    """
    run = open_run(path)
    changed = with_changes(read_saved_config(run.config), changes)
    config = saved_config({**changed, "plugins": [*check_plugins(changed["plugins"]), *plugins]})
    if not scores:
        config = replace(config, metrics={})
    best = run.checkpoints / BEST
    if not has_best(run.checkpoints):
        raise CheckpointError(
            f"{run.path} has no checkpoints/{BEST} yet: the run has not finished an epoch with a validation"
        )
    parts = build_parts(without_pretrained(config))
    checkpoint = load_best(run.checkpoints)
    parts.data.adopt_values(checkpoint.get("origin", {}).get("values"))
    module = parts.scored_module()
    try:
        module.load_state_dict(scored_weights(checkpoint, module))
    except (CheckpointError, RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{best} does not fit the network that {run.config} describes: {reason}") from None
    module.eval()
    return TrainedRun(run, config, parts, module)

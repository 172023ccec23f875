"""Weights that a network begins with: found on this machine, put into it, and recorded with their digest."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from segbench.config.instantiate import find_class
from segbench.config.schema import Part, RunConfig
from segbench.core.errors import ConfigError
from segbench.core.text import and_more
from segbench.inference.checkpoints import load_best, load_safely
from segbench.inference.weights import AVERAGE
from segbench.models.base import Network
from segbench.models.sources import find_weights
from segbench.models.weights import inflate, read_state
from segbench.runs.checkpoints import has_best
from segbench.runs.folder import RunFolder

log = logging.getLogger("segbench")

INIT = "init_from"
NETWORK = "network."
"""What the names of a network's weights begin with in a checkpoint."""

Record = dict[str, str]
"""The setting that named weights, the file, and its SHA-256."""


def with_local_weights(config: RunConfig) -> tuple[Part, list[Record]]:
    """Return the network's node as its class takes it, with a file for a name of weights, and what is loaded.

    Raises:
        ConfigError: for weights that are not on this machine.
    """
    arguments = {name: value for name, value in config.model.arguments.items() if name != INIT}
    word = arguments.get("weights")
    kind = find_class(config.model.target, config.plugins, where="model")
    source = None
    if word not in (None, "none") and issubclass(kind, Network):
        source = kind.weights_source(str(word), arguments)
    if source is None:
        return Part(target=config.model.target, arguments=arguments), []
    file = find_weights(str(word), source, dirs=config.weights.dirs, download=config.weights.download)
    arguments["weights"] = str(file)
    return Part(target=config.model.target, arguments=arguments), [_record("model.weights", str(word), file=file)]


def _record(setting: str, word: str, *, file: Path) -> Record:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"setting": setting, "name": word, "file": str(file.absolute()), "sha256": digest}


def begin_from(network: nn.Module, word: str, *, heads: Mapping[str, int]) -> Record:
    """Put the weights of another run into a network; its heads stay new where the classes are others.

    The network also takes over what that run normalised its pictures with.

    Args:
        network: The new network.
        word: A run folder, a checkpoint of a run, or a file of weights.
        heads: Channels of each prediction of the network.

    Returns:
        What was loaded.

    Raises:
        ConfigError: for something that is none of these, or that does not fit.
        CheckpointError: for a checkpoint that is damaged.
    """
    where = f"model.{INIT}={word}"
    file, state = _read(word, where)
    statistics = {name: state.pop(name).flatten().tolist() for name in ("mean", "std") if name in state}
    new = fill(network, _of_network(state), where=where, heads=heads)
    for name, values in statistics.items():
        setattr(network, name, tuple(values))
    if new:
        log.info("  %s: new, since the classes or tasks are others: %s", where, ", ".join(new))
    return _record(f"model.{INIT}", word, file=file)


def _read(word: str, where: str) -> tuple[Path, dict[str, Tensor]]:
    path = Path(word).expanduser()
    if not path.exists():
        raise ConfigError(
            f"{where} is not there; give a run folder, a checkpoint or a file of weights, or null for none"
        )
    if path.is_dir():
        run = RunFolder(path)
        if not has_best(run.checkpoints):
            raise ConfigError(
                f"{where} holds no checkpoints/best.ckpt; give the folder of a run that has one, or a file"
            )
        checkpoint = load_best(run.checkpoints)
        return run.checkpoints / "best.ckpt", dict(checkpoint["state_dict"])
    if path.suffix == ".ckpt":
        return path, dict(load_safely(path)["state_dict"])
    return path, read_state(path, f"model.{INIT}")


def _of_network(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by the network's own names: those of an average where there is one."""
    for beginning in (f"{AVERAGE}{NETWORK}", NETWORK):
        found = {name.removeprefix(beginning): value for name, value in state.items() if name.startswith(beginning)}
        if found:
            return found
    return dict(state)


def fill(network: nn.Module, state: Mapping[str, Tensor], *, where: str, heads: Mapping[str, int]) -> list[str]:
    """Put weights into a network, and return the names of the heads' tensors that stay new.

    Args:
        network: The network.
        state: Tensors by its names.
        where: The setting that named the weights, for messages.
        heads: Channels of each prediction of the network.

    Raises:
        ConfigError: naming up to five tensors of other parts that are missing, unknown or of another shape.
    """
    own = network.state_dict()
    fitting = {name: inflate(value, own[name]) for name, value in state.items() if name in own}
    fitting = {name: value for name, value in fitting.items() if value.shape == own[name].shape}
    differ = [name for name in [*own, *(name for name in state if name not in own)] if name not in fitting]
    outputs = {*heads.values(), sum(heads.values()), max(2, *heads.values()) + 1}  # the last: of queries, with none
    wrong = [name for name in differ if not _is_of_a_head(name, state.get(name), now=own.get(name), outputs=outputs)]
    if wrong:
        more = and_more(len(wrong), 5)
        raise ConfigError(
            f"{where} is of another network: {', '.join(wrong[:5])}{more} are missing, unknown or of another shape;"
            " give a run with the same model settings"
        )
    if not fitting:
        raise ConfigError(f"{where} holds nothing of this network")
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def _is_of_a_head(name: str, before: Tensor | None, *, now: Tensor | None, outputs: set[int]) -> bool:
    """Whether a tensor may differ: one of a head, or of as many outputs as there are classes."""
    if "heads" in name.split("."):
        return True
    if before is None or now is None:
        return False
    # networks that keep no heads apart end in a layer whose outputs are the classes
    return now.ndim > 0 and now.shape[0] in outputs and before.shape[1:] == now.shape[1:]

"""From a plain configuration to the parts of an experiment, and the refusal of combinations that cannot work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segbench.config.instantiate import build
from segbench.core.classes import TASKS, heads, input_names
from segbench.core.errors import ConfigError
from segbench.core.rng import torch_seed
from segbench.data.loading.datamodule import SegmentationData
from segbench.losses.base import Loss
from segbench.losses.external import as_loss
from segbench.models.base import Network
from segbench.models.external import as_network
from segbench.training.module import MakeOptimizer
from segbench.training.schedules import Schedule


@dataclass
class Experiment:
    """The parts that a configuration names, built but not yet fed."""

    data: SegmentationData
    network: nn.Module
    loss: Loss
    make_optimizer: MakeOptimizer
    schedule: Schedule

    @property
    def mean(self) -> Sequence[float]:
        """Mean that images are normalised with: of the pretrained weights where there are any, else of the data."""
        return getattr(self.network, "mean", None) or self.data.mean

    @property
    def std(self) -> Sequence[float]:
        """Standard deviation likewise."""
        return getattr(self.network, "std", None) or self.data.std


def build_experiment(config: Mapping[str, Any]) -> Experiment:
    """Build every part and refuse what cannot work, before any data is read.

    Args:
        config: The composed, checked and resolved configuration as plain data.

    Raises:
        ConfigError: naming what does not fit, why, and what would work.
    """
    plugins = config["plugins"]
    data = build(config["data"], plugins=plugins, where="data")
    _check_inputs(config, data)
    torch.manual_seed(torch_seed("weights", config["seed"]))
    sizes = heads(config["task"], data.classes)
    network = as_network(build(config["model"], plugins=plugins, where="model"), sizes)
    loss = as_loss(build(config["loss"], plugins=plugins, where="loss"))
    loss.check(data.classes)
    for head in TASKS[config["task"]]:
        if head != loss.head:
            raise ConfigError(
                f"task={config['task']} has a {head} head, but the loss works on {loss.head} alone;"
                f" use task={loss.head}"
            )
    if isinstance(network, Network):
        network.check_size(*data.size)
    make_optimizer = _optimizer(config["optimizer"], plugins)
    schedule = build(config["scheduler"], plugins=plugins, where="scheduler")
    return Experiment(data, network, loss, make_optimizer, schedule)


def _check_inputs(config: Mapping[str, Any], data: SegmentationData) -> None:
    needed = {
        f"task={config['task']}": TASKS[config["task"]],
        f"inputs={config['inputs']}": input_names(config["inputs"]),
    }
    for setting, names in needed.items():
        for name in names:
            if name not in data.entries:
                raise ConfigError(f"{setting} needs a {name} with every image, which this data set does not have")


def _optimizer(node: Mapping[str, Any], plugins: list[str]) -> MakeOptimizer:
    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return build(node, list(parameters), plugins=plugins, where="optimizer")

    make([nn.Parameter(torch.zeros(1))])  # a wrong argument shows now, not after the data was read
    return make

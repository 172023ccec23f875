"""From a plain configuration to the parts of an experiment, and the refusal of combinations that cannot work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segbench.config.instantiate import build, find_class
from segbench.core.errors import ConfigError
from segbench.core.rng import torch_seed
from segbench.core.tasks import IGNORE_INDEX, TASKS, heads, input_names
from segbench.data.loading.datamodule import SegmentationData
from segbench.losses.base import Loss
from segbench.losses.external import as_loss, takes_ignore_index
from segbench.losses.weighted_sum import WeightedSum
from segbench.models.base import Network
from segbench.models.external import as_network
from segbench.training.module import MakeOptimizer, SegmentationModule
from segbench.training.rehearsal import check_output, check_training
from segbench.training.resolution import Resolution
from segbench.training.schedules import Schedule


@dataclass
class Experiment:
    """The parts that a configuration names, built but not yet fed."""

    config: Mapping[str, Any]
    data: SegmentationData
    network: nn.Module
    loss: Loss
    make_optimizer: MakeOptimizer
    schedule: Schedule
    resolution: Resolution | None
    shared: dict[str, SegmentationData] | None = None

    @property
    def mean(self) -> Sequence[float]:
        """Mean that images are normalised with: of the pretrained weights where there are any, else of the data."""
        return getattr(self.network, "mean", None) or self.data.mean

    @property
    def std(self) -> Sequence[float]:
        """Standard deviation likewise."""
        return getattr(self.network, "std", None) or self.data.std

    def check_training(self, devices: int) -> None:
        """Raise a ConfigError if the network cannot be trained on batches of this size, shared by so many devices."""
        sizes = [self.data.size] if self.resolution is None else self.resolution.of_phases()
        check_training(self.network, _channels(self.config), sizes, max(1, self.data.batch_size // devices))

    def read_data(self) -> None:
        """Read and check the data, and tell the loss what it wants to know about it; raises DataError."""
        self.data.order_seed = self.config["seed"]
        if self.shared is None or self.data not in self.shared.values():
            self.data.setup()
        if self.shared is not None:
            self.shared.clear()  # of one data set only: it may fill the memory
            self.shared[_data_key(self.config)] = self.data
        if self.loss.wants_class_weights:
            self.loss.set_class_weights(torch.from_numpy(self.data.class_weights()).float())

    def module(self, total_steps: int = 1) -> SegmentationModule:
        """Return the LightningModule of the parts; `total_steps` is what the schedule is spread over."""
        trainer = self.config["trainer"]
        module = SegmentationModule(
            self.network,
            self.loss,
            self.make_optimizer,
            self.schedule,
            total_steps,
            self.config["task"],
            self.data.classes,
            self.mean,
            self.std,
            self.config["inputs"],
            self.config["seed"],
            trainer.get("channels_last", True),
            self.resolution,
            trainer.get("ema"),
            trainer.get("ema_warmup", True),
            trainer.get("non_finite", "raise"),
        )
        module.origin |= {"mean": list(self.data.mean), "std": list(self.data.std)}
        return module


def _data_key(config: Mapping[str, Any]) -> str:
    return json.dumps([config["data"], config["plugins"]], sort_keys=True)


def build_experiment(config: Mapping[str, Any], shared: dict[str, SegmentationData] | None = None) -> Experiment:
    """Build every part and refuse what cannot work, before any data is read.

    Args:
        config: The composed, checked and resolved configuration as plain data.
        shared: Data that an earlier run of this process has read, by its settings: used where they are the same, and
            replaced. None: none, every run reads its own.

    Raises:
        ConfigError: naming what does not fit, why, and what would work.
    """
    plugins = config["plugins"]
    data = (shared or {}).get(_data_key(config)) or build(config["data"], plugins=plugins, where="data")
    _check_inputs(config, data)
    torch.manual_seed(torch_seed("weights", config["seed"]))
    sizes = heads(config["task"], data.classes)
    network = as_network(build(config["model"], plugins=plugins, where="model"), sizes)
    loss = _loss(config, plugins)
    loss.check(data.classes)
    resolution = _resolution(config, data.size)
    if isinstance(network, Network):
        network.check_size(*(data.size if resolution is None else resolution.smallest()))
    check_output(network, _channels(config), sizes, data.size)
    make_optimizer = _optimizer(config["optimizer"], plugins)
    schedule = build(config["scheduler"], plugins=plugins, where="scheduler")
    return Experiment(config, data, network, loss, make_optimizer, schedule, resolution, shared)


def _loss(config: Mapping[str, Any], plugins: list[str]) -> Loss:
    """Return the loss of the task: the mask's, the depth's, or their weighted sum."""
    mask = {name: value for name, value in config["loss"].items() if name != "depth"}
    nodes = {"mask": (mask, "loss"), "depth": (config["loss"].get("depth"), "loss.depth")}
    parts: dict[str, Loss] = {}
    for head in TASKS[config["task"]]:
        node, where = nodes[head]
        node = _ignoring(node, plugins, where)
        parts[head] = as_loss(build(node, plugins=plugins, where=where), where)
        if parts[head].heads != (head,):
            raise ConfigError(
                f"{where} works on {' and '.join(parts[head].heads)}, but has to work on the {head} head: choose one"
                f" of conf/{where.replace('.', '/')}, with {where}.head={head} where it has that setting"
            )
    if len(parts) == 1:
        return next(iter(parts.values()))
    if not 0 < config["depth_weight"] < float("inf"):
        raise ConfigError(f"depth_weight must be a number above 0, got {config['depth_weight']}; else use task=mask")
    return WeightedSum(parts, {"mask": 1.0, "depth": config["depth_weight"]})


def _channels(config: Mapping[str, Any]) -> int:
    return 3 * len(input_names(config["inputs"]))


def _ignoring(node: Any, plugins: list[str], where: str) -> Any:
    """Return a loss's node in which those of other libraries are told that 255 is ignored, where they can be."""
    if not isinstance(node, Mapping):
        return node
    told = {name: _ignoring(value, plugins, f"{where}.{name}") for name, value in node.items()}
    maps = node.get("mode") == "multilabel"  # of maps smp's losses know no ignored class, and one breaks if it is told
    if "_target_" in node and not maps and takes_ignore_index(find_class(node["_target_"], plugins, where)):
        told.setdefault("ignore_index", IGNORE_INDEX)
    return told


def _resolution(config: Mapping[str, Any], size: tuple[int, int]) -> Resolution | None:
    if config["resolution"] is None:
        return None
    sides, epochs = _sides(config["resolution"]), config["trainer"]["max_epochs"]
    if len(sides) > epochs:
        raise ConfigError(
            f"resolution={sides} has {len(sides)} phases, of which trainer.max_epochs={epochs} would leave some out;"
            " give each phase an epoch at least"
        )
    return Resolution(sides, size)


def _sides(resolution: Any) -> list[int]:
    sides = resolution if isinstance(resolution, list) else [resolution]
    if not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise ConfigError(f"resolution must be sizes in pixels such as 64,128,192, got {resolution!r}")
    return sides


def _check_inputs(config: Mapping[str, Any], data: SegmentationData) -> None:
    needed = {
        f"task={config['task']}": TASKS[config["task"]],
        f"inputs={config['inputs']}": input_names(config["inputs"]),
    }
    for setting, names in needed.items():
        for name in names:
            if name not in data.entries:
                raise ConfigError(
                    f"{setting} needs a {name} with every image, which this data set does not have; use task=mask"
                    " inputs=image, or data=fgbg or data=synthetic"
                )


def _optimizer(node: Mapping[str, Any], plugins: list[str]) -> MakeOptimizer:
    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return build(node, list(parameters), plugins=plugins, where="optimizer")

    make([nn.Parameter(torch.zeros(1))])  # a wrong argument shows now, not after the data was read
    return make

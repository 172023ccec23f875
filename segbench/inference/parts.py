"""From a plain configuration to the parts that predict and are scored, and the refusal of those that cannot work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torchmetrics import Metric

from segbench.config.instantiate import build, find_class
from segbench.config.schema import Losses, Part, RunConfig
from segbench.core.errors import ConfigError
from segbench.core.plain import Plain
from segbench.core.rng import torch_seed
from segbench.core.tasks import IGNORE_INDEX, Head, Task, heads, in_channels
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.loaded import INIT, Record, begin_from, with_local_weights
from segbench.inference.module import ScoredModule
from segbench.losses.base import Loss
from segbench.losses.contract import check_own_losses
from segbench.losses.external import as_loss, takes_ignore_index
from segbench.losses.weighted_sum import WeightedSum
from segbench.metrics.own import OwnMetrics
from segbench.metrics.split_scores import SplitScores
from segbench.models.base import Network
from segbench.models.external import as_network
from segbench.models.rehearsal import check_output


@dataclass
class Parts:
    """The data, the network and the loss that a configuration names, built but without any data read."""

    config: RunConfig
    """The configuration."""

    data: SegmentationData
    """The data set."""

    network: nn.Module
    """The network, with its first weights."""

    loss: Loss
    """The loss of the task's heads."""

    shared: dict[str, SegmentationData] | None
    """Data that earlier runs of this process have read, by its settings; None: every run reads its own."""

    loaded: list[Record]
    """The weights that the network begins with: the setting, the file and its digest."""

    @property
    def mean(self) -> Sequence[float]:
        """Mean that images are normalised with: of the pretrained weights where there are any, else of the data.

        Before data without a given mean is read, it is 0, for a checkpoint to say.
        """
        return self._own("mean") or self.data.mean or (0.0,) * self.data.channels.count

    @property
    def std(self) -> Sequence[float]:
        """Standard deviation likewise."""
        return self._own("std") or self.data.std or (1.0,) * self.data.channels.count

    def _own(self, name: str) -> Sequence[float] | None:
        """Return what the pretrained weights were normalised with; it says nothing about other bands than theirs."""
        own: Sequence[float] | None = getattr(self.network, name, None)
        if own is not None and len(own) == self.data.channels.count:
            return own
        return None

    @property
    def channels(self) -> int:
        """Channels of what the network is given."""
        return in_channels(self.config.inputs, self.data.channels.count)

    @property
    def origin(self) -> Plain:
        """What the data says of its normalisation, for checkpoints."""
        return {
            "mean": list(self.data.mean or ()),
            "std": list(self.data.std or ()),
            "values": self.data.values_record(),
        }

    def read_data(self) -> None:
        """Read and check the data, and tell the loss what it wants to know about it; raises DataError."""
        self.data.order_seed = self.config.seed
        if self.shared is None or self.data not in self.shared.values():
            self.data.setup()
        if self.shared is not None:
            self.shared.clear()  # of one data set only: it may fill the memory
            self.shared[_data_key(self.config)] = self.data
        if self.loss.wants_class_weights:
            self.loss.set_class_weights(torch.from_numpy(self.data.class_weights()).float())

    def own_metrics(self) -> OwnMetrics:
        """Return the metrics of the user's own, new ones; raises ConfigError for what is none."""
        plugins = self.config.plugins
        found = {
            name: _metric(part, plugins, where=f"metrics.{name}") for name, part in (self.config.metrics or {}).items()
        }
        if found and Head.MASK not in self.config.task.heads:
            raise ConfigError(f"metrics are computed of masks, which task={self.config.task} does not predict")
        return OwnMetrics(found, self.data.classes)

    def scored_module(self) -> ScoredModule:
        """Return the module that predicts and is scored, without what only a training needs."""
        module = ScoredModule(
            self.network,
            self.loss,
            task=self.config.task,
            classes=self.data.classes,
            mean=self.mean,
            std=self.std,
            inputs=self.config.inputs,
            channels_last=self.config.trainer.channels_last,
            view=self.data.view,
            settings=self.config.evaluate,
            make_metrics=self.own_metrics,
        )
        module.origin |= self.origin
        return module


def build_parts(config: RunConfig, shared: dict[str, SegmentationData] | None = None) -> Parts:
    """Build data, network and loss, and refuse what cannot work, before any data is read.

    Args:
        config: The checked configuration.
        shared: Data that an earlier run of this process has read, by its settings: used where they are the same, and
            replaced. None: none, every run reads its own.

    Raises:
        ConfigError: naming what does not fit, why, and what would work.
    """
    plugins = config.plugins
    data = (shared or {}).get(_data_key(config)) or build(config.data, plugins=plugins, where="data")
    _check_inputs(config, data)
    torch.manual_seed(torch_seed("weights", config.seed))
    sizes = heads(config.task, data.classes)
    model, loaded = with_local_weights(config)
    network = as_network(build(model, plugins=plugins, where="model"), sizes)
    word = config.model.arguments.get(INIT)
    if word not in (None, "none", ""):
        loaded.append(begin_from(network, str(word), heads=sizes))
    loss = build_loss(config.loss, config.task, depth_weight=config.depth_weight, plugins=plugins)
    loss.check(data.classes)
    check_own_losses(loss, data.classes)
    parts = Parts(config, data, network, loss, shared, loaded)
    if isinstance(network, Network):
        network.check_inputs(data.channels.count, len(config.inputs.names))
        network.check_size(*data.size)
    check_output(network, parts.channels, heads=sizes, size=data.size)
    SplitScores(config.task, data.classes, own=parts.own_metrics())
    return parts


def _data_key(config: RunConfig) -> str:
    return json.dumps([config.data.plain(), config.plugins], sort_keys=True)


def build_loss(losses: Losses, task: Task, *, depth_weight: float = 1.0, plugins: Sequence[str] = ()) -> Loss:
    """Return the loss of the task: the mask's, the depth's, or their weighted sum."""
    described = {Head.MASK: (losses.mask, "loss"), Head.DEPTH: (losses.depth, "loss.depth")}
    parts: dict[str, Loss] = {}
    for head in task.heads:
        part, where = described[head]
        if part is None:
            raise ConfigError(f"task={task} needs a loss of the {head}: give {where}=...")
        node = _ignoring(part.plain(), plugins, where=where)
        parts[head] = as_loss(build(node, plugins=plugins, where=where), where)
        if parts[head].heads != (head,):
            raise ConfigError(
                f"{where} works on {' and '.join(parts[head].heads)}, but has to work on the {head} head: choose one"
                f" of conf/{where.replace('.', '/')}, with {where}.head={head} where it has that setting"
            )
    if len(parts) == 1:
        return next(iter(parts.values()))
    return WeightedSum(parts, {"mask": 1.0, "depth": depth_weight})


def _ignoring(node: object, plugins: Sequence[str], *, where: str) -> object:
    """Return a loss's node in which those of other libraries are told that 255 is ignored, where they can be."""
    if not isinstance(node, Mapping):
        return node
    told = {name: _ignoring(value, plugins, where=f"{where}.{name}") for name, value in node.items()}
    maps = node.get("mode") == "multilabel"  # of maps smp's losses know no ignored class, and one breaks if it is told
    if "_target_" in node and not maps and takes_ignore_index(find_class(node["_target_"], plugins, where=where)):
        told.setdefault("ignore_index", IGNORE_INDEX)
    return told


def _metric(part: Part, plugins: Sequence[str], *, where: str) -> Metric:
    made = build(_ignoring(part.plain(), plugins, where=where), plugins=plugins, where=where)
    if not isinstance(made, Metric):
        raise ConfigError(f"{where} ({type(made).__name__}) is no metric; derive it from torchmetrics.Metric")
    return made


def _check_inputs(config: RunConfig, data: SegmentationData) -> None:
    needed = {
        f"task={config.task}": config.task.heads,
        f"inputs={config.inputs}": config.inputs.names,
    }
    for setting, names in needed.items():
        for name in names:
            if name not in data.entries:
                raise ConfigError(
                    f"{setting} needs a {name} with every image, which this data set does not have; use task=mask"
                    " inputs=image, or data=fgbg or data=synthetic"
                )

"""From a plain configuration to everything that a training consists of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import pytorch_lightning as pl
import torch
from torch import nn

from segbench.config.instantiate import build, find_class
from segbench.config.schema import Part, RunConfig
from segbench.core.errors import ConfigError
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.parts import Parts, build_parts
from segbench.inference.trainer import device_kind
from segbench.metrics.monitor import Monitor
from segbench.models.base import Network
from segbench.models.rehearsal import check_training
from segbench.training.average import AveragedNetwork
from segbench.training.frozen import Frozen
from segbench.training.module import MakeAverage, MakeOptimizer, SegmentationModule
from segbench.training.own_callbacks import make_callbacks
from segbench.training.parameter_groups import Group, Grouping, encoder_parts
from segbench.training.resolution import Resolution
from segbench.training.schedule_free import ScheduleFreeNetwork, averages
from segbench.training.schedules import Schedule
from segbench.training.speed.fused import fused, is_fused
from segbench.training.torch_schedules import make_schedule

WHOLE = ("Muon",)
"""Classes of optimizers whose step of a weight is not that of its parts."""


@dataclass
class Experiment(Parts):
    """The parts that a configuration names, built but without any data read."""

    make_optimizer: MakeOptimizer
    """Makes the optimizer of the parameters that are trained."""

    make_average: MakeAverage | None
    """Makes the average of the weights that is scored and used; None: the weights themselves are."""

    grouping: Grouping
    """Which parameters are trained at which rate."""

    schedule: Schedule
    """Factor of the learning rate by step."""

    is_fused: bool
    """Whether the optimizer's step is one kernel for all weights."""

    callbacks: list[pl.Callback]
    """Those of the user's own."""

    resolution: Resolution | None
    """Sizes that training images are shrunk to, by epoch; None for none."""

    def check_training(self, devices: int) -> None:
        """Raise a ConfigError if the network cannot be trained on batches of this size, shared by `devices` devices."""
        if self.resolution is None:
            sizes = [self.data.size]
        else:
            sizes = self.resolution.of_phases()
        check_training(self.network, self.channels, sizes=sizes, batch=max(1, self.data.batch_size // devices))

    def module(self, total_steps: int = 1) -> SegmentationModule:
        """Return the LightningModule of the parts; `total_steps` is what the schedule is spread over."""
        settings = self.config.trainer
        module = SegmentationModule(
            self.network,
            self.loss,
            make_optimizer=self.make_optimizer,
            schedule=self.schedule,
            total_steps=total_steps,
            task=self.config.task,
            classes=self.data.classes,
            mean=self.mean,
            std=self.std,
            inputs=self.config.inputs,
            seed=self.config.seed,
            channels_last=settings.channels_last,
            resolution=self.resolution,
            make_average=self.make_average,
            non_finite=settings.non_finite,
            view=self.data.view,
            settings=self.config.evaluate,
            grouping=self.grouping,
            options=self.config.optimizer.arguments,
            frozen=encoder_parts(self.network) if settings.freeze else (),
            unfreeze_at=settings.unfreeze_at,
            make_metrics=self.own_metrics,
        )
        module.origin |= self.origin
        return module


def build_experiment(config: RunConfig, shared: dict[str, SegmentationData] | None = None) -> Experiment:
    """Build every part and refuse what cannot work, before any data is read.

    Args:
        config: The checked configuration.
        shared: As `build_parts` takes it.

    Raises:
        ConfigError: naming what does not fit, why, and what would work.
    """
    parts = build_parts(config, shared)
    resolution = _resolution(config, parts.data.size)
    if isinstance(parts.network, Network) and resolution is not None:
        parts.network.check_size(*resolution.smallest())
    plugins = config.plugins
    grouping, optimizer = Grouping.of(config.optimizer)
    kind = find_class(optimizer.target, plugins, where="optimizer")
    fuses = is_fused(kind, optimizer.arguments, settings=config.trainer, device=device_kind(config.trainer))
    make_optimizer = _optimizer(fused(optimizer) if fuses else optimizer, plugins)
    groups = _groups(config, parts.network, grouping=grouping, optimizer=optimizer)
    _check_sharded(config)
    schedule = make_schedule(config.scheduler, higher=Monitor.of(config.task).higher, plugins=plugins)
    schedule.try_on(make_optimizer(groups))
    return Experiment(
        **vars(parts),
        make_optimizer=make_optimizer,
        make_average=_average(config),
        grouping=grouping,
        schedule=schedule,
        is_fused=fuses,
        callbacks=make_callbacks(config.callbacks, plugins=plugins),
        resolution=resolution,
    )


def _check_sharded(config: RunConfig) -> None:
    """Raise a ConfigError for an optimizer that needs whole matrices, where each process has a part of each."""
    name = config.optimizer.target.rpartition(".")[2]
    if config.trainer.is_sharded and name in WHOLE:
        raise ConfigError(
            f"optimizer ({name}) turns whole matrices, of which trainer.strategy=fsdp leaves each process a part: take"
            " optimizer=adamw, or trainer.strategy=ddp"
        )


def _average(config: RunConfig) -> MakeAverage | None:
    """Return what makes the average of the weights; raises ConfigError for two of them."""
    ema = config.trainer.ema
    if averages(find_class(config.optimizer.target, config.plugins, where="optimizer")):
        if ema is not None:
            raise ConfigError(
                f"trainer.ema={ema} averages weights that {config.optimizer.target} averages already; leave it out, or"
                " take another optimizer"
            )
        return ScheduleFreeNetwork
    return None if ema is None else partial(AveragedNetwork, decay=ema, warmup=config.trainer.ema_warmup)


def _resolution(config: RunConfig, size: tuple[int, int]) -> Resolution | None:
    if config.resolution is None:
        return None
    if isinstance(config.resolution, int):
        sides = [config.resolution]
    else:
        sides = list(config.resolution)
    epochs = config.trainer.max_epochs
    if len(sides) > epochs:
        raise ConfigError(
            f"resolution={sides} has {len(sides)} phases, of which trainer.max_epochs={epochs} would leave some out;"
            " give each phase an epoch at least"
        )
    return Resolution(sides, size)


def _groups(config: RunConfig, network: nn.Module, *, grouping: Grouping, optimizer: Part) -> list[Group]:
    """Return what is trained; raises ConfigError for an encoder that is not there, or settings that do nothing."""
    settings = config.trainer
    frozen = Frozen(network, encoder_parts(network) if settings.freeze else (), until=settings.unfreeze_at)
    groups = grouping.groups(network, frozen.optimized(), options=optimizer.arguments)
    if settings.unfreeze_at is not None and settings.unfreeze_at >= settings.max_epochs:
        raise ConfigError(
            f"trainer.unfreeze_at={settings.unfreeze_at} is never reached: epochs are counted from 0, and"
            f" trainer.max_epochs={settings.max_epochs} is their number; give a smaller one, or null"
        )
    return groups


def _optimizer(part: Part, plugins: Sequence[str]) -> MakeOptimizer:
    def make(parameters: Iterable[nn.Parameter] | Iterable[Group]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = build(part, list(parameters), plugins=plugins, where="optimizer")
        return optimizer

    make([nn.Parameter(torch.zeros(1))])  # a wrong argument shows now, not after the data was read
    return make

"""The Lightning Trainer that trains and evaluates, and the switches of torch that go with it."""

from __future__ import annotations

import logging
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.parallel import ParallelStrategy

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.errors import ConfigError
from segbench.core.world import World

SETTLED = (
    ".*smaller than the logging interval.*",  # metrics.csv has a row at the end of every epoch in any case
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # Lightning's own call into torch
    ".*broadcast_buffers. is deprecated.*",  # its successor is not in every torch that is supported
    ".*FSDP2-wrapped module .* returned a view tensor.*",  # no loss changes a prediction in place
)
"""Warnings of Lightning and torch about what is a choice of this project, or not for its users to fix."""

WORKSPACES = (":4096:8", ":16:8")
"""Buffers of cuBLAS in which it adds up in one order; it reads them from CUBLAS_WORKSPACE_CONFIG when it starts."""


@cache
def own_threads() -> int:
    """Return how many threads torch takes by itself, before a run has given it others: the number of cores."""
    return torch.get_num_threads()


def prepare_torch(settings: TrainerSettings) -> None:
    """Set torch's global switches, each both ways: a sweep runs many jobs in one process.

    Raises:
        ConfigError: for a GPU that is not there, or a workspace of its libraries that `deterministic` cannot use.
    """
    if settings.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"trainer.accelerator={settings.accelerator}, but torch sees no GPU here; use trainer=default"
        )
    if settings.sync_batchnorm and device_kind(settings) != "cuda":
        raise ConfigError("trainer.sync_batchnorm=true works on GPUs alone; leave it false")
    workspace = os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACES[0])
    if settings.deterministic and device_kind(settings) == "cuda" and workspace not in WORKSPACES:
        raise ConfigError(
            f"trainer.deterministic=true needs CUBLAS_WORKSPACE_CONFIG to be {' or '.join(WORKSPACES)}, but the"
            f" environment has {workspace}: unset it, or leave trainer.deterministic false"
        )
    torch.use_deterministic_algorithms(settings.deterministic)
    deterministic = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set through the module's class
    torch.backends.cudnn.benchmark = not settings.deterministic
    torch.set_float32_matmul_precision("highest" if settings.deterministic else "high")
    world = World.here()
    _check_gpus(settings, world)
    free = own_threads()
    shared = 1
    if device_kind(settings) == "cpu":
        shared = world.local_size
    torch.set_num_threads(settings.threads or max(1, free // shared))


def _check_gpus(settings: TrainerSettings, world: World) -> None:
    """Raise a ConfigError for fewer GPUs than processes on this machine; choose that of this process."""
    if device_kind(settings) != "cuda" or settings.devices == 1:
        return
    there = torch.cuda.device_count()
    if _has_own_gpu(world):
        torch.cuda.set_device(0)
        return
    if there < world.local_size:
        raise ConfigError(
            f"there are {world.local_size} processes on this machine, but torch sees {there} GPU{'s' * (there > 1)}:"
            f" start as many as there are GPUs"
        )
    torch.cuda.set_device(world.local_rank)


def _has_own_gpu(world: World) -> bool:
    """Whether SLURM shows each process only the GPU that is its own, as with --gpus-per-task=1."""
    return world.starter == "srun" and torch.cuda.device_count() == 1


class _Placed(ClusterEnvironment):
    """Tells Lightning which process of how many this is; they have met before."""

    def __init__(self, world: World, *, own_device: bool) -> None:
        super().__init__()
        self._world = world
        self._own_device = own_device

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._world.address

    @property
    def main_port(self) -> int:
        return self._world.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._world.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        if self._own_device:
            return 0
        return self._world.local_rank

    def node_rank(self) -> int:
        return 0


def device_kind(settings: TrainerSettings) -> str:
    """Return the kind of device that the settings run on here: cpu, cuda or mps."""
    accelerator = settings.accelerator
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return "cuda"
    if accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        return "mps"
    return "cpu"


def describe_device(settings: TrainerSettings) -> str:
    """Return where and how the settings run, in a few words."""
    is_gpu = device_kind(settings) == "cuda"
    if is_gpu:
        name = torch.cuda.get_device_name()
    else:
        name = f"{torch.get_num_threads()} CPU threads"
    several = ""
    if settings.devices > 1:
        several = f", {settings.devices} processes"
    return f"{name}{several}, {settings.precision}"


def make_trainer(
    settings: TrainerSettings,
    folder: Path,
    *,
    epochs: int = 1,
    callbacks: list[pl.Callback] | None = None,
    loggers: list[Logger] | None = None,
    checkpoint_io: CheckpointIO | None = None,
    profiler: Profiler | None = None,
    sharding: ParallelStrategy | None = None,
) -> pl.Trainer:
    """Return a Trainer that only loops: files, progress, sampling and signals are this project's own.

    With `sharding` several processes share the weights; else each has all of them.
    """
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in SETTLED:
        warnings.filterwarnings("ignore", message=message)
    strategy, devices, plugins = _processes(settings, sharding)
    if checkpoint_io is not None:
        plugins.append(checkpoint_io)
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=settings.accelerator,
        devices=devices,
        sync_batchnorm=settings.sync_batchnorm,
        strategy=strategy,
        precision=settings.precision,  # type: ignore[arg-type]
        deterministic=settings.deterministic,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        check_val_every_n_epoch=settings.val_every,
        log_every_n_steps=settings.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=sharding is None,  # weights that were brought together there could not be trained afterwards
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=callbacks or [],
        logger=loggers or False,
        profiler=profiler,
        plugins=plugins,
    )


def _processes(settings: TrainerSettings, sharding: ParallelStrategy | None) -> tuple[Any, int, list[Any]]:
    """Return Lightning's strategy, its devices on this machine, and the plugin that says which process this is."""
    if settings.devices == 1:
        return "auto", 1, [LightningEnvironment()]  # not SLURM's: it would requeue from within a signal handler
    world = World.here()
    own = device_kind(settings) == "cuda" and _has_own_gpu(world)
    devices = 1 if own else world.local_size
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # else the strategy takes all processors
    copies = DDPStrategy(broadcast_buffers=False)  # they are sent before an evaluation: see ScoredModule
    return sharding or copies, devices, [_Placed(world, own_device=own)]

"""The `trainer` settings, and the Lightning Trainer they make."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.plugins.io import CheckpointIO

from segbench.core.errors import ConfigError, nearest

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true", "bf16-true")
SETTLED = (
    ".*smaller than the logging interval.*",  # metrics.csv has a row at the end of every epoch in any case
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # Lightning's own call into torch
)
"""Warnings of Lightning about what is a choice of this project, or not for its users to mend."""

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


@dataclass(frozen=True)
class TrainerSettings:
    """What `conf/trainer/*.yaml` holds; each setting is explained there."""

    max_epochs: int
    max_steps: int | None
    accelerator: str
    devices: int
    strategy: str
    precision: str
    deterministic: bool
    channels_last: bool
    compile: bool
    accumulate: int
    gradient_clip: float | None
    val_every: int
    log_every: int
    checkpoint_every: int
    panels_every: int
    threads: int | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainerSettings:
        """Return the settings of a configuration; raises ConfigError where its `trainer` has others than these."""
        try:
            return cls(**config["trainer"])
        except TypeError as error:
            raise ConfigError(f"trainer does not hold the settings that it should: {error}") from None

    def __post_init__(self) -> None:
        for name, valid in (("precision", PRECISIONS), ("accelerator", ACCELERATORS)):
            value = getattr(self, name)
            if value not in valid:
                raise ConfigError(f"there is no trainer.{name} '{value}'{nearest(value, valid)}")
        for name in ("max_epochs", "max_steps", "devices", "accumulate", "val_every", "log_every", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"trainer.{name} must be at least 1, got {value}")
        for name in ("checkpoint_every", "panels_every", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"trainer.{name} must not be negative, got {value}")
        if self.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
            raise ConfigError(
                f"trainer.accelerator={self.accelerator}, but torch sees no GPU here; use trainer=default"
            )

    def prepare_torch(self) -> None:
        """Set torch's global switches, each both ways: a sweep runs many jobs in one process."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it did not write
        torch.backends.cudnn.benchmark = not self.deterministic
        torch.set_float32_matmul_precision("highest" if self.deterministic else "high")
        if self.threads is not None:
            torch.set_num_threads(self.threads)

    def total_steps(self, batches: int) -> int:
        """Return the optimizer steps of the whole training, with `batches` in an epoch."""
        steps = self.max_epochs * self._steps(batches)
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def epochs(self, batches: int) -> int:
        """Return the epochs that the training needs, the last one perhaps in part."""
        return -(-self.total_steps(batches) // self._steps(batches))

    def _steps(self, batches: int) -> int:
        return -(-batches // self.accumulate)

    def where(self, trainer: pl.Trainer) -> str:
        """Return where and how the training runs, in a few words."""
        device = trainer.strategy.root_device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
        several = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
        return f"{name}{several}, {self.precision}"


def make_trainer(
    settings: TrainerSettings, batches: int, folder: Path, callbacks: list[Any], loggers: list[Any], io: CheckpointIO
) -> pl.Trainer:
    """Return a Trainer that only loops: files, progress, sampling and signals are this project's own."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in SETTLED:
        warnings.filterwarnings("ignore", message=message)
    plugins: list[Any] = [io]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return pl.Trainer(
        max_epochs=settings.epochs(batches),
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision=settings.precision,  # type: ignore[arg-type]
        deterministic=settings.deterministic,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        check_val_every_n_epoch=settings.val_every,
        log_every_n_steps=settings.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=loggers or False,
        plugins=plugins,
    )

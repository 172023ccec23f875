"""The `trainer` settings, and the Lightning Trainer they make."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.strategies import DDPStrategy

from segbench.core.errors import ConfigError, nearest

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true", "bf16-true")
SETTLED = (
    ".*smaller than the logging interval.*",  # metrics.csv has a row at the end of every epoch in any case
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # Lightning's own call into torch
    ".*broadcast_buffers. is deprecated.*",  # its successor is not in every torch that is supported
)
"""Warnings of Lightning about what is a choice of this project, or not for its users to mend."""

MOST_THREADS = 1024
"""More threads or processes than any machine has cores: starting them would only fail later, and worse."""

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp")
NON_FINITE = ("raise", "skip", "rollback")
THREADS = torch.get_num_threads()
"""What torch takes by itself: the number of cores."""
PEER_TIMEOUT = timedelta(minutes=10)
"""How long a process of several waits for the others before it gives up."""


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
    checkpoint_minutes: float = 0
    ema: float | None = None
    ema_warmup: bool = True
    patience: int | None = None
    non_finite: str = "raise"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainerSettings:
        """Return the settings of a configuration; raises ConfigError where its `trainer` has others than these."""
        try:
            return cls(**config["trainer"])
        except TypeError as error:
            raise ConfigError(f"trainer does not hold the settings that it should: {error}") from None

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        if self.ema is not None and not (_is_number(self.ema, float) and 0 < self.ema < 1):
            raise ConfigError(f"trainer.ema is the decay of an average in (0, 1), such as 0.999, got {self.ema}")
        if self.ema is None and not self.ema_warmup:
            raise ConfigError("trainer.ema_warmup=false does nothing without trainer.ema; give a decay such as 0.999")
        if self.non_finite == "rollback" and self.devices > 1:
            raise ConfigError(
                "trainer.non_finite=rollback works with one process; use skip with trainer.devices above 1"
            )
        if self.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
            raise ConfigError(
                f"trainer.accelerator={self.accelerator}, but torch sees no GPU here; use trainer=default"
            )

    def _check_choices(self) -> None:
        choices = {
            "precision": PRECISIONS,
            "accelerator": ACCELERATORS,
            "strategy": STRATEGIES,
            "non_finite": NON_FINITE,
        }
        for name, valid in choices.items():
            value = getattr(self, name)
            if value not in valid:
                raise ConfigError(f"there is no trainer.{name} '{value}'{nearest(value, valid)}")

    def _check_numbers(self) -> None:
        whole = ("max_epochs", "max_steps", "devices", "accumulate", "val_every", "log_every", "threads", "patience")
        for name in (*whole, "checkpoint_every", "panels_every"):
            value, least = getattr(self, name), int(name in whole)
            if value is not None and not (_is_number(value, int) and value >= least):
                raise ConfigError(f"trainer.{name} must be a whole number of at least {least}, got {value}")
        for name in ("threads", "devices"):
            if (getattr(self, name) or 0) > MOST_THREADS:
                raise ConfigError(f"trainer.{name} must be at most {MOST_THREADS:,}, got {getattr(self, name):,}")
        minutes, clip = self.checkpoint_minutes, self.gradient_clip
        if not (_is_number(minutes, int | float) and 0 <= minutes < float("inf")):
            raise ConfigError(f"trainer.checkpoint_minutes must be a number of at least 0, got {minutes}")
        if clip is not None and not (_is_number(clip, int | float) and 0 < clip < float("inf")):
            raise ConfigError(f"trainer.gradient_clip must be a number above 0, or null for no limit, got {clip}")

    def prepare_torch(self) -> None:
        """Set torch's global switches, each both ways: a sweep runs many jobs in one process."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it did not write
        torch.backends.cudnn.benchmark = not self.deterministic
        torch.set_float32_matmul_precision("highest" if self.deterministic else "high")
        shared = self.devices if self.device == "cpu" else 1
        torch.set_num_threads(self.threads or max(1, THREADS // shared))

    @property
    def device(self) -> str:
        """The kind of device that the training runs on: cpu, cuda or mps."""
        if self.accelerator in ("gpu", "cuda") or (self.accelerator == "auto" and torch.cuda.is_available()):
            return "cuda"
        if self.accelerator == "mps" or (self.accelerator == "auto" and torch.backends.mps.is_available()):
            return "mps"
        return "cpu"

    def where(self) -> str:
        """Return where and how the training runs, in a few words."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
        several = f", {self.devices} processes" if self.devices > 1 else ""
        return f"{name}{several}, {self.precision}"


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def make_trainer(
    settings: TrainerSettings, epochs: int, folder: Path, callbacks: list[Any], loggers: list[Any], io: CheckpointIO
) -> pl.Trainer:
    """Return a Trainer that only loops: files, progress, sampling and signals are this project's own."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in SETTLED:
        warnings.filterwarnings("ignore", message=message)
    strategy: Any = "auto"
    if settings.devices > 1:  # buffers are sent before an evaluation instead: see SegmentationModule
        strategy = DDPStrategy(broadcast_buffers=False, timeout=PEER_TIMEOUT)
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=strategy,
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
        plugins=[io, LightningEnvironment()],  # not SLURM's: it would requeue from within a signal handler
    )

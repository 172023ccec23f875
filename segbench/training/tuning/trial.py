"""Some steps of a training that leave nothing behind: no run folder, no validation, no checkpoint."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from segbench.config.schema import RunConfig
from segbench.core.choices import NonFinite
from segbench.core.errors import ConfigError
from segbench.data.loading.batches import Batch
from segbench.inference.trainer import make_trainer, prepare_torch
from segbench.training.lightning_private import batches_begun
from segbench.training.parts import Experiment, build_experiment

NEVER = 10**9
"""Epochs until a validation that is not wanted."""


def tried(config: RunConfig) -> Experiment:
    """Return the experiment of a configuration with its data read, as a trial trains it.

    Raises:
        SegbenchError: for what cannot be trained.
    """
    if config.trainer.devices > 1:
        raise ConfigError("tune works with one process; give trainer.devices=1, and the same trainer.accelerator")
    settings = replace(config.trainer, val_every=NEVER, non_finite=NonFinite.RAISE, profile=False)
    prepare_torch(settings)
    experiment = build_experiment(replace(config, trainer=settings, callbacks={}, metrics={}))
    experiment.check_training(1)
    experiment.read_data()
    return experiment


def train_some(experiment: Experiment, steps: int, *, watch: pl.Callback) -> None:
    """Train so many optimizer steps; `watch` may end it earlier by `trainer.should_stop`.

    Raises:
        NonFiniteError: if the loss is not finite any more.
    """
    settings = experiment.config.trainer
    module = experiment.module(steps)
    data = experiment.data
    with tempfile.TemporaryDirectory(prefix="segbench-tune-") as folder:
        epochs = -(-steps * settings.accumulate // data.train_batches)
        trainer = make_trainer(settings, Path(folder), epochs=epochs, callbacks=[watch, _End(steps)])
        data.position = lambda: (trainer.current_epoch, batches_begun(trainer))
        try:
            trainer.fit(module, datamodule=data)
        finally:
            data.trainer = data.position = None


class _End(pl.Callback):
    """Ends the training after its steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.steps

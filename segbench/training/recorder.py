"""Keeps the numbers of a run: rows in metrics.csv, best and last of every metric, throughput."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from segbench.core.errors import NonFiniteError
from segbench.runs.metrics_log import MetricsLog
from segbench.training.limits import ends_epoch
from segbench.training.module import Batch, SegmentationModule
from segbench.training.monitor import Monitor


def in_training(trainer: pl.Trainer) -> bool:
    """Whether a validation belongs to the training, rather than to the final evaluation of the best epoch."""
    return trainer.state.fn == TrainerFn.FITTING


class Recorder(pl.Callback):
    """Writes every number once, and remembers what results.json needs.

    The losses are summed on the device and fetched every `log_every` steps and at the end of an epoch, so that a GPU
    is not made to wait for the host at each step.

    Args:
        table: The metrics table.
        monitor: The score that decides what the best epoch is.
        log_every: Steps between rows of the training loss.
    """

    def __init__(self, table: MetricsLog, monitor: Monitor, log_every: int) -> None:
        self.table, self.monitor, self.log_every = table, monitor, log_every
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.best_epoch = -1
        self.improved = False
        self.loss_sum, self.loss_count = 0.0, 0
        self._pending: list[Tensor] = []
        self._val: dict[str, float] = {}
        self.images, self.train_seconds, self._began, self._warm = 0, 0.0, 0.0, False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the sums of a new epoch; one that is continued in its middle keeps its sums."""
        self.loss_sum, self.loss_count, self._pending = 0.0, 0, []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start the clock at the first batch that is read."""
        self._began = self._began or time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Take note of the loss, and write a row every `log_every` steps."""
        self._pending.append(outputs["loss"].detach().float())
        if self._warm:
            self.images += batch["image"].shape[0]
        else:
            self._warm, self._began = True, 0.0  # the first step of a process also compiles and allocates
        if trainer.global_step % self.log_every == 0 or ends_epoch(trainer):
            loss = self._fetch(trainer)
            terms = {f"train/{name}": float(value) for name, value in outputs.get("terms", {}).items()}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            row = {"train/loss": loss, "lr": rate, **terms}
            self.table.add("train", trainer.current_epoch, trainer.global_step, row)
            for logger in trainer.loggers:
                logger.log_metrics(row, step=trainer.global_step)
        if ends_epoch(trainer):
            self._stop_clock()

    def flush(self, trainer: pl.Trainer) -> None:
        """Fetch the losses that are still on the device, before a checkpoint is written."""
        if self._pending:
            self._fetch(trainer)

    def _fetch(self, trainer: pl.Trainer) -> float:
        values = torch.stack(self._pending).tolist()
        self._pending = []
        for value in values:
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"the training loss became {value} in epoch {trainer.current_epoch}, within the"
                    f" {len(values)} steps before step {trainer.global_step}; a lower optimizer.lr or"
                    " trainer.gradient_clip=1.0 may help; the last checkpoint is from before"
                )
            self.loss_sum += value
        self.loss_count += len(values)
        return values[-1]

    def _stop_clock(self) -> None:
        if self._began:
            self.train_seconds += time.perf_counter() - self._began
            self._began = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the scores of the validation that has just ended, if it was one within training."""
        assert isinstance(pl_module, SegmentationModule)
        if not in_training(trainer):
            return
        scores, _ = pl_module.finish_split("val")
        self._val = {f"val/{name}": value for name, value in scores.items()}
        pl_module.schedule.observe(self.monitor.merit(self._val))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row and decide whether it is the best one."""
        values = {"train/loss": self.loss_sum / max(1, self.loss_count), **self._val}
        self.last.update(values)
        self.improved = self.monitor.merit(self._val) > self.monitor.merit(self.best)
        if self.improved:
            self.best, self.best_epoch = dict(values), trainer.current_epoch
        self._val = {}
        self.table.add("epoch", trainer.current_epoch, trainer.global_step, values)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    @property
    def images_per_second(self) -> float:
        """Images trained a second by this process, without validation and start-up."""
        return self.images / self.train_seconds if self.train_seconds else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers that a resume continues from."""
        return {
            "best": self.best, "last": self.last, "best_epoch": self.best_epoch,
            "loss_sum": self.loss_sum, "loss_count": self.loss_count,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.best, self.last = dict(state_dict["best"]), dict(state_dict["last"])
        self.best_epoch = state_dict["best_epoch"]
        self.loss_sum, self.loss_count = state_dict["loss_sum"], state_dict["loss_count"]

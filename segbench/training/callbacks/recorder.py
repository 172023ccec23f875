"""Keeps the numbers of a run: rows in metrics.csv, best and last of every metric, throughput."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from segbench.core.choices import Split
from segbench.core.errors import ConfigError
from segbench.data.loading.loader import Batch
from segbench.metrics.monitor import Monitor
from segbench.runs.metrics_log import MetricsLog
from segbench.training.module import SegmentationModule
from segbench.training.trainer_state import ends_epoch, in_training

SKIPPED = "train/skipped_steps"
"""Column of the steps that `trainer.non_finite=skip` has left out so far."""


class Recorder(pl.Callback):
    """Writes every number once, and remembers what results.json needs.

    The losses are summed on the device and fetched every `log_every` steps and at the end of an epoch, so that a GPU
    is not made to wait for the host at each step.

    Args:
        table: The metrics table; None in a process that is not the first of several.
        monitor: The score that decides what the best epoch is.
        log_every: Steps between rows of the training loss.
    """

    def __init__(self, table: MetricsLog | None, monitor: Monitor, *, log_every: int) -> None:
        self.table = table
        self.monitor = monitor
        self.log_every = log_every
        self._own_names = () if table is None else table.fixed
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.best_epoch = -1
        self.improved = False
        self.waited = 0
        self.validated = -1
        self.loss_sum = 0.0
        self.loss_count = 0
        self._pending: list[Tensor] = []
        self._val: dict[str, float] = {}
        self.images = 0
        self.train_seconds = 0.0
        self._began = 0.0
        self._warm = False
        self._seconds_before = 0.0
        self._cpu_seconds_before = 0.0
        self._made = time.perf_counter()
        self._cpu_made = time.process_time()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the sums of a new epoch; one that is continued in its middle keeps its sums."""
        self.loss_sum = 0.0
        self.loss_count = 0
        self._pending = []
        trainer.callback_metrics.clear()  # else what was logged in an earlier epoch would stand in this one's row

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start the clock at the first batch that is read."""
        self._began = self._began or time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Take note of the loss, and write a row every `log_every` steps."""
        self._pending.append(outputs["value"].float())
        if self._warm:
            self.images += batch["image"].shape[0]
        else:
            # the first step of a process also compiles and allocates
            self._warm = True
            self._began = 0.0
        if trainer.global_step % self.log_every == 0 or ends_epoch(trainer):
            loss = self._fetch(trainer)
            names = list(outputs.get("terms", {}))
            terms = list(outputs.get("terms", {}).values())
            row = {"train/loss": loss, "lr": trainer.optimizers[0].param_groups[0]["lr"]}
            row |= dict(zip((f"train/{name}" for name in names), _mean(trainer, terms), strict=True))
            self._write(trainer, Split.TRAIN, row=row)
        if ends_epoch(trainer):
            self._stop_clock()

    def flush(self, trainer: pl.Trainer) -> None:
        """Fetch the losses that are still on the device, before a checkpoint is written."""
        if self._pending:
            self._fetch(trainer)

    def _fetch(self, trainer: pl.Trainer) -> float:
        values = _mean(trainer, self._pending)
        self._pending = []
        for value in values:  # one by one: the sum must not depend on when they were fetched
            if math.isfinite(value):  # others were left out of the training as well
                self.loss_sum += value
                self.loss_count += 1
        return values[-1]

    def _write(self, trainer: pl.Trainer, split: str, *, row: dict[str, float]) -> None:
        if self.table is not None:
            self.table.add(split, trainer.current_epoch, step=trainer.global_step, values=row)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)

    def _stop_clock(self, on: bool = False) -> None:
        now = time.perf_counter()
        if self._began:
            self.train_seconds += now - self._began
            self._began = now if on else 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the scores of the validation that has just ended, if it was one within training."""
        assert isinstance(pl_module, SegmentationModule)
        if not in_training(trainer):
            return
        scores, _ = pl_module.finish_split(Split.VAL)
        self._val = {f"val/{name}": value for name, value in scores.items()}
        pl_module.schedule.observe(self.monitor.maximized(self._val), self._val)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row and decide whether it is the best one."""
        values = {"train/loss": self.loss_sum / max(1, self.loss_count), **self._val, **self._logged(trainer)}
        self.last.update(values)
        self.improved = self.monitor.maximized(self._val) > self.monitor.maximized(self.best)
        if self.improved:
            self.best = dict(values)
            self.best_epoch = trainer.current_epoch
            self.waited = 0
        elif self._val:
            self.waited += 1
        if self._val:
            self.validated = trainer.current_epoch
        self._val = {}
        skipped = 0
        if isinstance(pl_module, SegmentationModule):
            skipped = len(pl_module.finite.skipped)
        self._write(trainer, "epoch", row={**values, SKIPPED: skipped})

    def _logged(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return what callbacks of the user's own have logged in the epoch."""
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        taken = [name for name in found if name in self._own_names]
        if taken:
            raise ConfigError(f"a callback logs {taken[0]}, which is a column that every run has; give it another name")
        if self.table is not None:
            self.table.extend(found)
        return found

    @property
    def images_per_second(self) -> float:
        """Images trained a second by this process, without validation and start-up, of all its sessions."""
        if not self.train_seconds:
            return math.nan
        return self.images / self.train_seconds

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken so far, without what a kill has undone."""
        return self._seconds_before + time.perf_counter() - self._made

    @property
    def cpu_seconds(self) -> float:
        """Seconds that processors worked for this process so far, all its threads together, loader workers left out.

        NaN for a run that was begun before these were counted.
        """
        return self._cpu_seconds_before + time.process_time() - self._cpu_made

    def state_dict(self) -> dict[str, object]:
        """Return the numbers that a resume continues from."""
        self._stop_clock(on=True)
        return {
            "best": self.best,
            "last": self.last,
            "best_epoch": self.best_epoch,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "waited": self.waited,
            "validated": self.validated,
            "images": self.images,
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.best = dict(state_dict["best"])
        self.last = dict(state_dict["last"])
        self.best_epoch = state_dict["best_epoch"]
        self.loss_sum = state_dict["loss_sum"]
        self.loss_count = state_dict["loss_count"]
        self.waited = state_dict["waited"]
        self.validated = state_dict["validated"]
        self.images = state_dict["images"]
        self.train_seconds = state_dict["train_seconds"]
        self._seconds_before = state_dict["seconds"]
        self._cpu_seconds_before = state_dict.get("cpu_seconds", math.nan)


def _mean(trainer: pl.Trainer, values: list[Tensor]) -> list[float]:
    """Return the means over all processes of scalars that are still on the device, fetched together."""
    if not values:
        return []
    together = torch.stack([value.detach().float() for value in values])
    return trainer.strategy.reduce(together, reduce_op="mean").tolist()

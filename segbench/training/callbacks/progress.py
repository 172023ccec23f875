"""What a user sees while a run trains: a header, a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from segbench.data.loading.loader import Batch
from segbench.training.callbacks.recorder import Recorder

log = logging.getLogger("segbench")
REFRESH = 0.25


class ProgressReport(pl.Callback):
    """A bar with loss and val IoU on a terminal; one line an epoch either way.

    Args:
        console: Where to write; it knows whether it is a terminal.
        recorder: Has the numbers.
        steps: Optimizer steps of the whole run.
    """

    def __init__(self, console: Console, recorder: Recorder, *, steps: int) -> None:
        self.console = console
        self.steps = steps
        self.recorder = recorder
        self._bar: Progress | None = None
        self._shown = 0.0
        self._began = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self.steps, completed=trainer.global_step, numbers="")
            self._bar.start()
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Move the bar, at most four times a second, since showing the loss waits for the device."""
        now = time.perf_counter()
        if self._bar is not None and now - self._shown > REFRESH:
            self._shown = now
            self._bar.update(
                self._task,
                completed=trainer.global_step,
                description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
                numbers=f"loss {float(outputs['value']):.4f}{self._score()}",
            )

    def _score(self) -> str:
        monitor = self.recorder.monitor
        value = self.recorder.last.get(monitor.key)
        if value is None:
            return ""
        return f"  val {monitor.label} {value:.4f}"

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say one line: losses, val IoU, whether it is the best, seconds."""
        last = self.recorder.last
        parts = [f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}", f"loss {last['train/loss']:.4f}"]
        if self.recorder.validated == trainer.current_epoch:
            parts.append(f"val loss {last['val/loss']:.4f}{self._score()}")
        parts.append(f"{time.perf_counter() - self._began:.0f} s")
        if self.recorder.improved:
            parts.append("best")
        log.info("  ".join(parts))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message stands below it."""
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

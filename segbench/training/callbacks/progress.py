"""What a user sees while a run trains: a bar on a terminal, a line an epoch, and one a minute within long epochs."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from segbench.core.text import duration
from segbench.data.loading.loader import Batch
from segbench.training.callbacks.recorder import Recorder

log = logging.getLogger("segbench")
REFRESH = 0.25
"""Seconds between two looks of a bar."""

PLAIN_REFRESH = 60.0
"""Seconds without a line after which there is one within an epoch, where there is no bar."""

NARROW = 100
"""Columns of a terminal from which on the images a second are shown."""


class ProgressReport(pl.Callback):
    """A bar with step, loss, val IoU, images a second and time left on a terminal; one line an epoch either way.

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
        self._first_step = 0
        self._images = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[numbers]}"),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=self.steps, completed=trainer.global_step, numbers="")
            self._bar.start()
        self._began = time.perf_counter()
        self._shown = self._began
        self._first_step = trainer.global_step
        self._images = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Move the bar, at most four times a second, since showing the loss waits for the device; or write a line."""
        self._images += batch["image"].shape[0] * trainer.world_size
        now = time.perf_counter()
        interval = PLAIN_REFRESH if self._bar is None else REFRESH
        if now - self._shown < interval:
            return
        self._shown = now
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        numbers = self._numbers(trainer.global_step, float(outputs["value"]), seconds=now - self._began)
        if self._bar is None:
            log.info("  ".join([epoch, *numbers]))
        else:
            self._bar.update(self._task, completed=trainer.global_step, description=epoch, numbers="  ".join(numbers))

    def _numbers(self, step: int, loss: float, *, seconds: float) -> list[str]:
        """Return what is shown of a step, `seconds` after the beginning."""
        numbers = [f"step {step:,}/{self.steps:,}", f"loss {loss:.4f}{self._score()}"]
        if self._bar is None or self.console.width >= NARROW:
            numbers.append(f"{self._images / seconds:.0f} images/s")
        made = step - self._first_step
        if made:
            numbers.append(f"{duration(seconds / made * (self.steps - step))} left")
        return numbers

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
        self._shown = time.perf_counter()
        parts.append(f"{self._shown - self._began:.0f} s")
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

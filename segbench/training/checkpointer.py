"""When checkpoints are written, which are kept, and what happens on a signal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from segbench.core.errors import Interrupted
from segbench.core.files import sync_folder
from segbench.training.checkpoint_io import load_safely, point_to, step_checkpoints
from segbench.training.limits import ends_epoch
from segbench.training.module import Batch
from segbench.training.recorder import Recorder
from segbench.training.signals import StopSignals

BEST = "best.ckpt"


class Checkpointer(pl.Callback):
    """Writes a step-numbered checkpoint after every epoch, every `every` steps, and on a signal.

    None is written at the last step of an epoch before its validation: one from there would skip the validation when
    it is resumed. The epoch's checkpoint comes after validation and holds its outcome.

    Args:
        folder: The run's checkpoint folder.
        recorder: Knows whether the epoch was the best; its state travels in the checkpoint.
        signals: Tells whether the person or the scheduler wants the run to stop.
        every: Steps between checkpoints within an epoch; 0 for none.
        keep: How many step-numbered checkpoints are kept, beside the best.
    """

    def __init__(self, folder: Path, recorder: Recorder, signals: StopSignals, every: int = 0, keep: int = 2) -> None:
        self.folder, self.recorder, self.signals, self.every, self.keep = folder, recorder, signals, every, keep

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over again from Lightning, which would end with exit status 0."""
        self.signals.install()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Write a checkpoint if one is due, and stop if a signal came; only between two optimizer steps."""
        if ends_epoch(trainer) or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = self.every and trainer.global_step % self.every == 0
        if due or self.signals.received:
            self._save(trainer)
        self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's checkpoint; the best one so far is also kept as best.ckpt."""
        path = self._save(trainer)
        if self.recorder.improved and trainer.is_global_zero:
            _replace_by_link(path, self.folder / BEST)
        self._stop_if_asked(trainer)

    def _save(self, trainer: pl.Trainer) -> Path:
        self.recorder.flush(trainer)
        path = self.folder / f"step-{trainer.global_step:08d}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            point_to(path, trainer.global_step)
            for old in step_checkpoints(self.folder)[: -self.keep]:
                old.unlink(missing_ok=True)
        return path

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self.signals.received:
            raise Interrupted(f"stopped at step {trainer.global_step} with a checkpoint", self.signals.exit_code)


def restore_best(path: Path) -> None:
    """Make best.ckpt of a checkpoint that knows it is the best: a kill may have come before the link was made."""
    checkpoint = load_safely(path)
    recorded = checkpoint["callbacks"][Recorder.__qualname__]
    if checkpoint["epoch_is_over"] and recorded["best_epoch"] == checkpoint["epoch"]:
        _replace_by_link(path, path.parent / BEST)


def _replace_by_link(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    sync_folder(target.parent)

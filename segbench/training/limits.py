"""Where training ends, and that what ends has been validated."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from segbench.training.module import Batch


class Limits(pl.Callback):
    """Ends training after the last step, and validates the last epoch whatever `trainer.val_every` is.

    Args:
        total_steps: Optimizer steps of the whole training.
        val_every: Epochs from one validation to the next.
    """

    def __init__(self, total_steps: int, val_every: int) -> None:
        self.total_steps, self.val_every = total_steps, val_every

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Have the last epoch validated."""
        last = trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        trainer.check_val_every_n_epoch = 1 if last else self.val_every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Ask for the end after the last step; Lightning then validates once more and stops."""
        if trainer.global_step >= self.total_steps:
            trainer.should_stop = True


def ends_epoch(trainer: pl.Trainer) -> bool:
    """Whether the validation comes next: the step was the last one of the epoch, or of the training."""
    return trainer.is_last_batch or trainer.should_stop

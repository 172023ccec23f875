"""Where training ends, and that what ends has been validated."""

from __future__ import annotations

import pytorch_lightning as pl

from segbench.data.loading.loader import Batch
from segbench.training.callbacks.recorder import Recorder


class Limits(pl.Callback):
    """Ends training after the last step, and validates the last epoch whatever `trainer.val_every` is.

    Args:
        total_steps: Optimizer steps of the whole training.
        val_every: Epochs from one validation to the next.
    """

    def __init__(self, total_steps: int, val_every: int) -> None:
        self.total_steps = total_steps
        self.val_every = val_every

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Have the last epoch validated."""
        last = trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        trainer.check_val_every_n_epoch = 1 if last else self.val_every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Ask for the end after the last step; Lightning then validates once more and stops."""
        if trainer.global_step >= self.total_steps:
            trainer.should_stop = True


class Patience(pl.Callback):
    """Ends training when the best epoch is too long ago (Prechelt, "Early stopping, but when?", 1998).

    It has no state of its own, so a resume cannot get it wrong.

    Args:
        recorder: Counts the validations since the best one; it comes before this one among the callbacks.
        patience: Validations without a better score after which training ends; None for never.
    """

    def __init__(self, recorder: Recorder, patience: int | None) -> None:
        self.recorder = recorder
        self.patience = patience

    @property
    def over(self) -> bool:
        """Whether training has ended for this reason."""
        return self.patience is not None and self.recorder.waited >= self.patience

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not go on with a run that was stopped between its last checkpoint and its results."""
        trainer.should_stop = self.over

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask for the end."""
        trainer.should_stop = trainer.should_stop or self.over

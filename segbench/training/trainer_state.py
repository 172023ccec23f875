"""Where in its work a trainer is."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn


def in_training(trainer: pl.Trainer) -> bool:
    """Whether a validation belongs to the training, rather than to the final evaluation of the best epoch."""
    return trainer.state.fn == TrainerFn.FITTING


def ends_epoch(trainer: pl.Trainer) -> bool:
    """Whether the validation comes next: the step was the last one of the epoch, or of the training."""
    return trainer.is_last_batch or trainer.should_stop


def comes_before_last(trainer: pl.Trainer, batch: int) -> bool:
    """Whether the step that ends with this batch, counted from 0, is followed by the last one of the epoch."""
    return batch + 1 + trainer.accumulate_grad_batches >= trainer.num_training_batches

"""What looks at every picture that an evaluation scores, beside the scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl

from segbench.data.loading.batches import EvaluationBatch
from segbench.inference.forward import Answer, Heads
from segbench.inference.module import ScoredModule


class PictureObserver(pl.Callback):
    """Is shown each picture of val or test; subclasses say what they make of it."""

    @abstractmethod
    def observe(self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> None:
        """Look at a picture.

        Args:
            module: The network and how it is scored.
            said: What it says of the batch, for each picture, by head.
            batch: The batch.
            place: Which of its pictures.
        """

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the pictures of a batch of val."""
        assert isinstance(pl_module, ScoredModule)
        for place in range(len(batch["index"])):
            self.observe(pl_module, outputs, batch=batch, place=place)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show those of a batch of test."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)


def mask_answer(module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> Answer:
    """Return what a network says of the classes of a picture, at the size of the mask that it is scored against."""
    heads: Heads = {"mask": said["mask"][place]}
    truth = module.scored_mask(batch, place)
    return Answer(heads, module.view, (truth.shape[-2], truth.shape[-1]))

"""What looks at every picture that an evaluation scores, beside the scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl

from segbench.core.choices import Split
from segbench.data.loading.batches import EvaluationBatch
from segbench.inference.forward import Answer, Heads
from segbench.inference.module import ScoredModule


class BatchObserver(pl.Callback):
    """Is shown each batch of val or test when it has been scored; subclasses say what they make of it."""

    @abstractmethod
    def observe_batch(
        self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, split: Split
    ) -> None:
        """Look at a batch.

        Args:
            module: The network and how it is scored.
            said: What it says of the batch, for each picture, by head.
            batch: The batch.
            split: `val` or `test`.
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
        """Show a batch of val."""
        assert isinstance(pl_module, ScoredModule)
        self.observe_batch(pl_module, outputs, batch=batch, split=Split.VAL)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show a batch of test."""
        assert isinstance(pl_module, ScoredModule)
        self.observe_batch(pl_module, outputs, batch=batch, split=Split.TEST)


class PictureObserver(BatchObserver):
    """Is shown each picture of val or test."""

    @abstractmethod
    def observe(self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> None:
        """Look at a picture.

        Args:
            module: The network and how it is scored.
            said: What it says of the batch, for each picture, by head.
            batch: The batch.
            place: Which of its pictures.
        """

    def observe_batch(
        self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, split: Split
    ) -> None:
        """Show one picture of the batch after the other."""
        for place in range(len(batch["index"])):
            self.observe(module, said, batch=batch, place=place)


def mask_answer(module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> Answer:
    """Return what a network says of the classes of a picture, at the size of the mask that it is scored against."""
    heads: Heads = {"mask": said["mask"][place]}
    truth = module.scored_mask(batch, place)
    return Answer(heads, module.view, (truth.shape[-2], truth.shape[-1]))

"""Counts how sure a network is, beside its scores: of the same predictions, at the same size."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from segbench.data.loading.batches import EvaluationBatch
from segbench.inference.forward import Answer
from segbench.inference.module import ScoredModule
from segbench.metrics.calibration import Calibration


class CountConfidence(pl.Callback):
    """Adds every scored picture of an evaluation to a `Calibration`.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int) -> None:
        self.calibration = Calibration()
        self._classes = classes

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch of val."""
        assert isinstance(pl_module, ScoredModule)
        for place, logits in enumerate(outputs["mask"]):
            truth = pl_module.scored_mask(batch, place)
            answer = Answer({"mask": logits}, pl_module.view, (truth.shape[-2], truth.shape[-1]))
            self.calibration.update(answer.ids(), answer.confidence(), truth=truth, classes=self._classes)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch of test."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

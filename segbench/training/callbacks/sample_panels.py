"""Panels of the same few validation samples, so that epochs and runs can be laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from segbench.core.choices import Split
from segbench.data.loading.batches import EvaluationBatch
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.module import ScoredModule
from segbench.inference.observer import BatchObserver
from segbench.inference.shown import shown_row
from segbench.report.panels import draw_panel
from segbench.runs.folder import RunFolder
from segbench.training.distributed.ranks import ALONE, Ranks
from segbench.training.trainer_state import in_training


class SamplePanels(BatchObserver):
    """Writes `samples/epoch-0003.png` every few epochs and `samples/test.png` at the test.

    Args:
        run: The run folder.
        data: Names of the classes and of the samples.
        inputs: The pictures that the network is given: `image`, perhaps `background`.
        every: Epochs between panels; 0 writes none but the test's.
        count: Samples in a panel: the first ones of the split.
        ranks: The processes of the run.
    """

    def __init__(
        self,
        run: RunFolder,
        data: SegmentationData,
        *,
        inputs: Sequence[str],
        every: int,
        count: int = 6,
        ranks: Ranks = ALONE,
    ) -> None:
        self.run = run
        self.data = data
        self.inputs = inputs
        self.every = every
        self.count = count
        self.ranks = ranks
        self._rows: dict[int, dict[str, np.ndarray]] = {}
        """By the number of the sample, those of this process."""
        self._seen = False
        """Whether no further batch holds any of them."""

    def observe_batch(
        self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, split: Split
    ) -> None:
        """Keep the first samples of the test, and of val in epochs that get a panel."""
        if self._seen or (split is Split.VAL and not self._due(module.trainer)):
            return
        indices = batch["index"]
        assert isinstance(indices, torch.Tensor)
        numbers = indices.tolist()  # of the first batches alone, since a GPU is waited for
        self._seen = numbers[-1] >= self.count  # they rise from batch to batch
        for place, index in enumerate(numbers):
            if index < self.count:
                self._rows[index] = shown_row(said, batch, place=place, data=self.data, inputs=self.inputs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the panel of the epoch."""
        if self._due(trainer):
            self._write(Split.VAL, f"epoch-{trainer.current_epoch + 1:04d}.png")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the panel of the test."""
        self._write(Split.TEST, "test.png")

    def _due(self, trainer: pl.Trainer) -> bool:
        epoch = trainer.current_epoch + 1
        return in_training(trainer) and self.every > 0 and (epoch % self.every == 0 or epoch in (1, trainer.max_epochs))

    def _write(self, split: Split, file: str) -> None:
        found: dict[int, dict[str, np.ndarray]] = {}
        for part in self.ranks.gathered(self._rows):
            found |= part
        self._rows = {}
        self._seen = False
        if found:
            names = [self.data.image_name(split, index) for index in sorted(found)]
            rows = [found[index] for index in sorted(found)]
            draw_panel(rows, self.data.classes, path=self.run.samples / file, names=names)

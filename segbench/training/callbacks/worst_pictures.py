"""Thumbnails of the test pictures that the best epoch does worst on, for the page of `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl

from segbench.core.choices import Split
from segbench.data.loading.batches import EvaluationBatch
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.module import ScoredModule
from segbench.inference.observer import BatchObserver
from segbench.inference.shown import shown_row
from segbench.metrics.split_scores import SplitScores
from segbench.report.thumbnails import WorstPictures
from segbench.runs.folder import RunFolder
from segbench.training.distributed.ranks import ALONE, Ranks


class WorstThumbnails(BatchObserver):
    """Writes `samples/worst/` at the test; several processes each look for the worst in their share.

    Args:
        run: The run folder.
        data: Names of the classes.
        inputs: The pictures that the network is given: `image`, perhaps `background`.
        ranks: The processes of the run.
    """

    def __init__(self, run: RunFolder, data: SegmentationData, *, inputs: Sequence[str], ranks: Ranks = ALONE) -> None:
        self.run = run
        self.data = data
        self.inputs = inputs
        self.ranks = ranks
        self._worst = WorstPictures()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with none."""
        self._worst = WorstPictures()

    def observe_batch(
        self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, split: Split
    ) -> None:
        """Keep the worst pictures of the test so far, by the scores that the table of images gets."""
        if split is not Split.TEST:
            return
        scores = module.scores["test_split"]
        assert isinstance(scores, SplitScores)
        if scores.masks is None:
            return
        for place, iou in enumerate(scores.masks.last_ious(len(batch["index"]))):
            row = partial(shown_row, said, batch, place=place, data=self.data, inputs=self.inputs)
            self._worst.consider(iou, int(batch["index"][place]), row=row)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write those of all processes."""
        worst = WorstPictures()
        for part in self.ranks.gathered(self._worst):
            worst.join(part)
        worst.write(self.run.worst)

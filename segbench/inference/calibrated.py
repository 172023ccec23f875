"""Counts how sure a network is, beside its scores: of the same predictions, at the same size."""

from __future__ import annotations

from typing import Any

from segbench.data.loading.batches import EvaluationBatch
from segbench.inference.module import ScoredModule
from segbench.inference.observer import PictureObserver, mask_answer
from segbench.metrics.calibration import Calibration


class CountConfidence(PictureObserver):
    """Adds every scored picture of an evaluation to a `Calibration`.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int) -> None:
        self.calibration = Calibration()
        self._classes = classes

    def observe(self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> None:
        """Count a picture."""
        answer = mask_answer(module, said, batch=batch, place=place)
        truth = module.scored_mask(batch, place)
        self.calibration.update(answer.ids(), answer.confidence(), truth=truth, classes=self._classes)

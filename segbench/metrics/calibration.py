"""Whether a network is as sure as it may be: how often it is right among the pixels of each confidence."""

from __future__ import annotations

import torch
from torch import Tensor

from segbench.metrics.confusion import occurrences
from segbench.runs.results import CalibrationRecord, ConfidenceBin

BINS = 15
"""Bins of equal width, the number of Guo et al., "On Calibration of Modern Neural Networks", 2017."""


class Calibration:
    """Counts of the labelled pixels of a split by the probability of the class that was predicted."""

    def __init__(self) -> None:
        self._pixels = torch.zeros(BINS, dtype=torch.int64)
        self._right = torch.zeros(BINS, dtype=torch.int64)
        self._confidence = torch.zeros(BINS, dtype=torch.float64)

    def update(self, ids: Tensor, confidence: Tensor, *, truth: Tensor, classes: int) -> None:
        """Add a picture.

        Args:
            ids: Predicted class ids `[H,W]`.
            confidence: Probability of the predicted class, float in 0..1, `[H,W]`.
            truth: Class ids `[H,W]`; what is none of the classes, such as 255, is not counted.
            classes: How many classes there are.
        """
        known = (truth >= 0) & (truth < classes)
        confidence = confidence[known]
        right = ids[known] == truth[known]
        places = (confidence * BINS).long().clamp(max=BINS - 1)
        self._pixels += occurrences(places, BINS).cpu()
        self._right += occurrences(places[right], BINS).cpu()
        self._confidence += torch.bincount(places.cpu(), weights=confidence.cpu().double(), minlength=BINS)

    def record(self) -> CalibrationRecord:
        """Return what was counted, as it is written into JSON files; there must have been a labelled pixel."""
        pixels = self._pixels.double()
        total = float(pixels.sum())
        accuracy = self._right / pixels.clamp(min=1)
        confidence = self._confidence / pixels.clamp(min=1)
        bins: list[ConfidenceBin] = []
        for count, sure, right in zip(self._pixels.tolist(), confidence.tolist(), accuracy.tolist(), strict=True):
            bins.append({"pixels": count, "confidence": sure, "accuracy": right})
        return {
            "expected_calibration_error": float((self._right - self._confidence).abs().sum()) / total,
            "mean_confidence": float(self._confidence.sum()) / total,
            "accuracy": float(self._right.sum()) / total,
            "bins": bins,
        }

"""Data sets of pictures that have sizes of their own: what training sees of them, and what an evaluation sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segbench.core.choices import Fit, one_of
from segbench.data.loading.crops import TrainingCrops
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import Arrays
from segbench.data.loading.views import EvaluationView, TrainingView


class ViewedData(SegmentationData):
    """Pictures of any size: whole ones fitted to `size`, or random crops of that size.

    Args:
        fit: How whole pictures come to `size`: `stretch`, `crop` or `pad` (see `EvaluationView`).
        view: `whole` to train on whole pictures, or `crop` for random crops of `size`, at the picture's own scale.
        scale: Least and greatest magnification of crops; None for 0.5 and 2.
        crop_class_share: No crop of which one class has more, as far as ten draws find one; None for any.
        crop_balanced: Whether crops are laid around pixels of classes that are drawn evenly.
        **common: As for every data set: `SegmentationData`.

    Raises:
        ConfigError: for a view or a fit that there is none of, or settings that have no use together.
    """

    def __init__(
        self,
        fit: str = "stretch",
        view: str = "whole",
        *,
        scale: Sequence[float] | None = None,
        crop_class_share: float | None = None,
        crop_balanced: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.fit = one_of(Fit, fit, what="data.fit")
        self.training_view = TrainingView(self.size, self.fit)
        self.crop = TrainingCrops(view, scale, crop_class_share, crop_balanced).crop(self.size, fit)

    @property
    def view(self) -> EvaluationView:
        """What a network sees of a whole picture: its own pixels where it was trained on crops of them."""
        return EvaluationView(self.size, self.fit, own_scale=self.crop is not None)

    def trained_on(self, original: Arrays, *, epoch: int, index: int) -> Arrays:
        """Return what training sees of a picture in an epoch, all of it or a crop, as arrays that may be changed."""
        if self.crop is not None:
            found = self.crop(original, self.mean or (), seed=self.order_seed, epoch=epoch, index=index)
        else:
            found = self.training_view.arrays(original)
        return {name: _own(array, original[name]) for name, array in found.items()}


def _own(array: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return an array that shares no memory with the picture, which may be kept for the next epoch."""
    if not np.may_share_memory(array, original):
        return array
    return array.copy()

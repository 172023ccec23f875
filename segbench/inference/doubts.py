"""The pictures of a split whose labels a network doubts: it is sure, and says something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segbench.data.loading.batches import EvaluationBatch
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.forward import Answer
from segbench.inference.module import ScoredModule
from segbench.inference.observer import PictureObserver, mask_answer
from segbench.inference.shown import shown_row
from segbench.report.thumbnails import WorstPictures

SURE = 0.9
"""Probability of another class from which on a label is doubted."""

TEMPERATURE = 0.1
"""Of the soft minimum, that of Lad and Mueller."""


@dataclass(frozen=True)
class Doubt:
    """What a network thinks of the labels of one picture."""

    index: int
    """Number of the picture in its split."""
    quality: float
    """Soft minimum over the labelled pixels of the probability of their label, 0..1: low where the label looks wrong.

    Lad and Mueller, "Estimating label quality and errors in semantic segmentation data via any model", 2023.
    """
    labelled: int
    """Labelled pixels."""
    doubted: int
    """Those to which the network gives another class with a probability of `SURE` or more."""
    label: str
    """The label of most of these; empty where there are none."""
    looks_like: str
    """What most of those look like."""


class FindDoubts(PictureObserver):
    """Judges the labels of every scored picture of an evaluation, and keeps thumbnails of the worst.

    Args:
        data: Names of the classes.
        inputs: The pictures that the network is given: `image`, perhaps `background`.
        pictures: How many thumbnails are kept.
    """

    def __init__(self, data: SegmentationData, *, inputs: Sequence[str], pictures: int) -> None:
        self.data = data
        self.inputs = inputs
        self.doubts: list[Doubt] = []
        self.worst = WorstPictures(pictures)

    def observe(self, module: ScoredModule, said: dict[str, Any], *, batch: EvaluationBatch, place: int) -> None:
        """Judge the labels of a picture."""
        answer = mask_answer(module, said, batch=batch, place=place)
        truth = module.scored_mask(batch, place)
        doubt = doubt_of(answer, truth, index=int(batch["index"][place]), classes=self.data.classes)
        if doubt.labelled:
            self.doubts.append(doubt)
            self.worst.consider(doubt.quality, doubt.index, row=partial(self._row, said, batch, place=place))

    def _row(self, outputs: dict[str, list[Tensor]], batch: EvaluationBatch, *, place: int) -> dict[str, np.ndarray]:
        """Return what is shown of a picture; of its errors only those that the network is sure of."""
        row = shown_row(outputs, batch, place=place, data=self.data, inputs=self.inputs)
        logits = outputs["mask"][place].float()
        if logits.shape[1] == 1:
            logits = torch.cat([-logits, logits], dim=1) / 2
        unsure = logits.softmax(dim=1)[0].max(dim=0).values < SURE
        row["errors"] = np.where(unsure.cpu().numpy()[..., None], np.uint8(255), row["errors"])
        return row


def doubt_of(answer: Answer, truth: Tensor, *, index: int, classes: Sequence[str]) -> Doubt:
    """Return what a network thinks of a picture's labels.

    Args:
        answer: What it says of the picture.
        truth: The labels `[H,W]`; what is none of the classes, such as 255, is left out.
        index: Number of the picture.
        classes: Names of the classes.
    """
    known = (truth >= 0) & (truth < len(classes))
    right = answer.likelihood(truth)[known].double()
    weights = ((1 - right) / TEMPERATURE).exp()
    ids = answer.ids()
    wrong = known & (ids != truth) & (answer.confidence() >= SURE)
    pairs = torch.bincount(truth[wrong].long() * len(classes) + ids[wrong].long(), minlength=1)
    label = looks_like = ""
    if len(right) and pairs.sum():
        true, said = divmod(int(pairs.argmax()), len(classes))
        label = classes[true]
        looks_like = classes[said]
    return Doubt(
        index=index,
        quality=float((right * weights).sum() / weights.sum()),
        labelled=len(right),
        doubted=int(wrong.sum()),
        label=label,
        looks_like=looks_like,
    )

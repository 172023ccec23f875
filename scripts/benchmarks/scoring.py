"""Rows on scoring: what an epoch and what its end compute, over one bincount; and over the network that is scored."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from scripts.benchmarks.measure import Pair, Row, ready
from segbench.data.loading.views import EvaluationView
from segbench.inference.forward import Answer
from segbench.metrics.boundary import BoundaryScores
from segbench.metrics.confusion import confusion_counts
from segbench.models.unet import UNet

CAMVID = (8, 360, 480, 11)
CITYSCAPES = (2, 1024, 2048, 19)
"""Pictures, height, width and classes."""

Shape = tuple[int, int, int, int]


class Scored:
    """A batch of smooth logits, and a truth that is their classes moved by a few pixels."""

    def __init__(self, shape: Shape) -> None:
        pictures, height, width, self.classes = shape
        draw = torch.Generator().manual_seed(0)
        # patches of some 60 pixels, as photographs have them
        coarse = torch.rand(pictures, self.classes, height // 60, width // 60, generator=draw)
        self.logits = F.interpolate(coarse, (height, width), mode="bicubic")
        self.guess = self.logits.argmax(1).byte()
        self.truth = self.guess.roll((2, 3), (1, 2))
        self.size = (height, width)

    def bincount(self) -> Tensor:
        """Return the least that a confusion matrix takes."""
        return torch.bincount((self.truth.long() * self.classes + self.guess).flatten(), minlength=self.classes**2)

    def in_epochs(self) -> None:
        """Do what every validation does."""
        view = EvaluationView(self.size)
        ids = torch.stack([Answer({"mask": one[None]}, view, self.size).ids() for one in self.logits])
        confusion_counts(ids, self.truth, classes=self.classes)

    def outlines(self) -> None:
        """Do what the end of a training does."""
        BoundaryScores([str(number) for number in range(self.classes)]).update(self.guess, self.truth)


def in_epochs(shape: Shape) -> AbstractContextManager[Pair]:
    """Class ids and confusion matrix over one bincount."""
    scored = Scored(shape)
    return ready(scored.in_epochs, scored.bincount)


def outlines(shape: Shape) -> AbstractContextManager[Pair]:
    """Boundary scores over one bincount."""
    scored = Scored(shape)
    return ready(scored.outlines, scored.bincount)


def beside_network(shape: Shape) -> AbstractContextManager[Pair]:
    """Class ids and confusion matrix over a U-Net of width 32 and them."""
    scored = Scored(shape)
    network = UNet(3, {"mask": shape[3]}, width=32).eval().to(memory_format=torch.channels_last)
    images = torch.rand(shape[0], 3, *shape[1:3]).contiguous(memory_format=torch.channels_last)

    def validation() -> None:
        with torch.inference_mode():
            network(images)
        scored.in_epochs()

    return ready(scored.in_epochs, validation)


def _named(shape: Shape) -> str:
    return f"{shape[0]} x {shape[1]} x {shape[2]}, {shape[3]} classes"


ROWS = [
    Row("metrics-camvid", f"metrics in epochs over one bincount, {_named(CAMVID)}", 3, partial(in_epochs, CAMVID)),
    Row("metrics-city", f"the same, {_named(CITYSCAPES)}", 3, partial(in_epochs, CITYSCAPES)),
    Row(
        "metrics-share",
        f"the same over a validation by a U-Net, {_named(CAMVID)}",
        0.03,
        partial(beside_network, CAMVID),
    ),
    Row("boundary-camvid", f"boundary scores over one bincount, {_named(CAMVID)}", 8, partial(outlines, CAMVID)),
    Row("boundary-city", f"the same, {_named(CITYSCAPES)}", 8, partial(outlines, CITYSCAPES)),
]

"""Rows on losses: forward and backward over torch's cross entropy of the same logits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

import torch
from torch.nn import functional as F

from scripts.benchmarks.measure import Pair, Row, ready
from segbench.losses.base import Loss
from segbench.losses.cross_entropy import CrossEntropy, Focal
from segbench.losses.dice import Dice
from segbench.losses.edge import Edge
from segbench.losses.jaccard import Jaccard
from segbench.losses.lovasz import Lovasz
from segbench.losses.ssim import SSIM
from segbench.losses.tversky import Tversky

SHAPE = (8, 11, 360, 480)
"""Pictures, classes, height and width."""

LOSSES: dict[str, tuple[Loss, float]] = {
    "cross_entropy": (CrossEntropy(), 1.5),
    "focal": (Focal(), 2.0),
    "dice": (Dice(), 1.5),
    "jaccard": (Jaccard(), 1.5),
    "tversky": (Tversky(), 1.5),
    "edge": (Edge(), 2.0),
    "ssim": (SSIM(), 5.0),
    "lovasz": (Lovasz(), 10.0),
}
"""Each loss and its goal."""


def over_cross_entropy(loss: Loss) -> AbstractContextManager[Pair]:
    """Forward and backward over those of torch's cross entropy."""
    draw = torch.Generator().manual_seed(0)
    pictures, classes, height, width = SHAPE
    logits = torch.randn(SHAPE, generator=draw, requires_grad=True)
    mask = torch.randint(0, classes, (pictures, height, width), generator=draw)

    def ours() -> None:
        logits.grad = None
        torch.autograd.backward(loss({"mask": logits}, {"mask": mask})[0])

    def baseline() -> None:
        logits.grad = None
        torch.autograd.backward(F.cross_entropy(logits, mask, ignore_index=255))

    return ready(ours, baseline)


ROWS = [
    Row(
        f"loss-{name}",
        f"loss={name} over torch's cross entropy, {' x '.join(map(str, SHAPE))}",
        goal,
        partial(over_cross_entropy, loss),
    )
    for name, (loss, goal) in LOSSES.items()
]

"""How well outlines are met: the boundary F-score of a whole split, in integer counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from segbench.core.tasks import IGNORE_INDEX

TOLERANCE = 0.0075
"""Distance at which an outline still counts as met, as a share of the picture's diagonal (Csurka et al., 2013)."""


def outlines(regions: Tensor, known: Tensor) -> Tensor:
    """Return bool `[B,H,W]`: pixels of a region beside a known pixel, above, below, left or right, that is not of it.

    Args:
        regions: bool `[B,H,W]`.
        known: bool `[B,H,W]`; what is not known makes no outline.
    """
    outside = ~regions & known
    beside = torch.zeros_like(outside)
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    beside[:, :, 1:] |= outside[:, :, :-1]
    beside[:, :, :-1] |= outside[:, :, 1:]
    return regions & known & beside


def within(pixels: Tensor, distance: float) -> Tensor:
    """Return bool `[B,H,W]`: all pixels at most `distance` away from one that is set, from centre to centre.

    A disc is a stack of rows: each is the pixels grown sideways by half the disc's width at that height.

    Args:
        pixels: bool `[B,H,W]`.
        distance: Euclidean, in pixels.
    """
    grown = [pixels]
    for columns in range(1, math.floor(distance) + 1):
        wider = grown[-1].clone()
        wider[:, :, columns:] |= pixels[:, :, :-columns]
        wider[:, :, :-columns] |= pixels[:, :, columns:]
        grown.append(wider)
    near = grown[-1].clone()
    for rows in range(1, len(grown)):
        row = grown[math.floor(math.sqrt(distance**2 - rows**2))]
        near[:, rows:] |= row[:, :-rows]
        near[:, :-rows] |= row[:, rows:]
    return near


class BoundaryScores(Metric):
    """Boundary F-score for each class: the harmonic mean of precision and recall of its outline's pixels.

    A pixel of the predicted outline is right if the true outline passes within a distance of 0.75 % of the picture's
    diagonal, at least one pixel, and the other way round (Csurka et al., 2013). Distances are Euclidean. Counts are
    summed over the split. A class without any outline has no score (NaN).
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(sync_on_compute=False)  # SplitScores.gather joins processes, for the tables as well
        self.classes = list(classes)
        self.add_state("counts", torch.zeros((len(self.classes), 4), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def names(self) -> list[str]:
        """The keys of `compute`."""
        return ["mean_boundary_f1", *(f"boundary_f1/{name}" for name in self.classes)]

    def update(self, predicted: Tensor, mask: Tensor) -> None:
        """Add a batch: predicted and true ids `[B,H,W]`."""
        known = mask != IGNORE_INDEX
        distance = max(1.0, TOLERANCE * math.hypot(*mask.shape[-2:]))
        for number in range(len(self.classes)):
            truth = outlines(mask == number, known)
            guess = outlines(predicted == number, known)
            right = guess & within(truth, distance)
            found = truth & within(guess, distance)
            self.counts[number] += torch.stack([part.sum() for part in (right, guess, found, truth)])

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name; see `names`."""
        right, guess, found, truth = self.counts.cpu().double().unbind(dim=1)
        precision, recall = right / guess.clamp(min=1), found / truth.clamp(min=1)
        score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        score = torch.where(guess + truth > 0, score, torch.nan)
        each = {f"boundary_f1/{name}": score[number] for number, name in enumerate(self.classes)}
        return {"mean_boundary_f1": score.nanmean(), **each}

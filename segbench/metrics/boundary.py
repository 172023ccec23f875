"""How well outlines are met: the boundary F-score of a whole split, in integer counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from segbench.core.tasks import IGNORE_INDEX
from segbench.metrics.confusion import occurrences

TOLERANCE = 0.0075
"""Distance at which an outline still counts as met, as a share of the picture's diagonal (Csurka et al., 2013)."""


WORDS = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}
"""Types that hold a set of classes as bits."""


def outlines(ids: Tensor, known: Tensor) -> Tensor:
    """Return bool `[B,H,W]`: known pixels beside a known pixel of another class, above, below, left or right.

    Args:
        ids: ids `[B,H,W]`, uint8.
        known: bool `[B,H,W]`; what is not known makes no outline.
    """
    found = torch.zeros_like(known)
    for axis in (1, 2):
        pairs = ids.shape[axis] - 1
        differ = ids.narrow(axis, 0, pairs) != ids.narrow(axis, 1, pairs)
        differ &= known.narrow(axis, 0, pairs) & known.narrow(axis, 1, pairs)
        found.narrow(axis, 0, pairs).logical_or_(differ)
        found.narrow(axis, 1, pairs).logical_or_(differ)
    return found


def within(pixels: Tensor, distance: float) -> Tensor:
    """Return `[B,H,W]`: the bits of all pixels at most `distance` away, from centre to centre, joined by OR.

    A disc is a stack of rows: each is the pixels grown sideways by half the disc's width at that height, which a row
    is while it grows.

    Args:
        pixels: bool `[B,H,W]`, or whole numbers whose bits are then grown all at once.
        distance: Euclidean, in pixels.
    """
    radius = math.floor(distance)
    widths = [math.floor(math.sqrt(distance**2 - rows**2)) for rows in range(radius + 1)]
    row = pixels.clone()
    near = torch.zeros_like(pixels)
    for columns in range(radius + 1):
        _join(row, pixels, shift=columns, axis=2)
        for rows, width in enumerate(widths):
            if width == columns:
                _join(near, row, shift=rows, axis=1)
    return near


def _join(bits: Tensor, others: Tensor, *, shift: int, axis: int) -> None:
    """Add the bits of others, shifted both ways along an axis, in place."""
    length = max(0, bits.shape[axis] - shift)
    # methods, since |= on a part copies the part onto itself
    bits.narrow(axis, bits.shape[axis] - length, length).bitwise_or_(others.narrow(axis, 0, length))
    bits.narrow(axis, 0, length).bitwise_or_(others.narrow(axis, bits.shape[axis] - length, length))


def met(ids: Tensor, edges: Tensor, *, others: Tensor, other_edges: Tensor, distance: float, classes: int) -> Tensor:
    """Return bool `[B,H,W]`: pixels of `edges` that the other outline of their class passes within a distance.

    Args:
        ids: uint8 `[B,H,W]`, and `edges`, bool, their outlines.
        edges: See `ids`.
        others: The ids whose outlines are to be near.
        other_edges: Their outlines.
        distance: Euclidean, in pixels.
        classes: Number of classes; each is a bit, so that one pass grows the outlines of all.
    """
    found = torch.zeros_like(edges)
    width = next((width for width in WORDS if classes <= width), max(WORDS))
    for first in range(0, classes, width):
        near = within(_bits(others, other_edges, first=first, width=width), distance)
        found |= (near & _bits(ids, edges, first=first, width=width)) != 0
    return found


def _bits(ids: Tensor, edges: Tensor, *, first: int, width: int) -> Tensor:
    """Return the bit of each outline pixel's class, of the classes from `first` on; 0 for others."""
    place = ids.to(WORDS[max(16, width)]) - first
    shown = edges & (place >= 0) & (place < width)
    one = torch.ones((), dtype=WORDS[width], device=ids.device)
    return torch.where(shown, one << place.clamp(0, width - 1).to(WORDS[width]), 0)


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
        distance = max(1.0, TOLERANCE * math.hypot(*mask.shape[-2:]))
        for guess, truth in zip(predicted.byte(), mask.byte(), strict=True):
            self.counts += self._counted(guess[None], truth[None], distance=distance)

    def _counted(self, guess: Tensor, truth: Tensor, *, distance: float) -> Tensor:
        """Return int64 `[C,4]`: pixels of the guessed outline that are right and all, of the true one met and all."""
        known = truth != IGNORE_INDEX
        sides = [(guess, outlines(guess, known)), (truth, outlines(truth, known))]
        classes = len(self.classes)
        counts = []
        for (ids, edges), (others, other_edges) in (sides, sides[::-1]):
            hits = met(ids, edges, others=others, other_edges=other_edges, distance=distance, classes=classes)
            table = occurrences(ids.int() * 4 + edges.int() * 2 + hits, 4 * 256).reshape(256, 4)[:classes]
            counts += [table[:, 3], table[:, 2] + table[:, 3]]
        return torch.stack(counts, dim=1)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name; see `names`."""
        right, guess, found, truth = self.counts.cpu().double().unbind(dim=1)
        precision = right / guess.clamp(min=1)
        recall = found / truth.clamp(min=1)
        score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        score = torch.where(guess + truth > 0, score, torch.nan)
        each = {f"boundary_f1/{name}": score[number] for number, name in enumerate(self.classes)}
        return {"mean_boundary_f1": score.nanmean(), **each}

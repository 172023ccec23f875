"""The confusion matrix of a whole split, in integer counts on the device, and all scores that follow from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from segbench.core.tasks import IGNORE_INDEX


def predicted_ids(logits: Tensor) -> Tensor:
    """Return class ids `[B,H,W]` of logits `[B,K,H,W]`; one logit means foreground where it is above 0."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).long()
    return logits.argmax(dim=1)


def confusion_counts(predicted: Tensor, target: Tensor, *, classes: int) -> Tensor:
    """Return int64 `[B,C,C]`: for each image, pixels by true class (row) and predicted class (column).

    Pixels whose true id is not in 0..C-1, such as 255, are not counted. The sums are of integers, so they are exact and
    repeatable in any order.

    Args:
        predicted: ids `[B,H,W]` in 0..C-1, of any whole-number type.
        target: ids `[B,H,W]` likewise.
        classes: C.
    """
    places = target.int() * classes + predicted  # a mask of bytes would wrap around at 256
    bins = 256 * classes
    if target.dtype != torch.uint8:
        # bytes have a bin each, also those that are no class: that is cheaper than to look for them
        known = (target >= 0) & (target < classes)
        bins = classes * classes + 1
        places = torch.where(known, places, classes * classes)
    counts = torch.stack([occurrences(image, bins) for image in places])
    return counts[:, : classes * classes].reshape(-1, classes, classes)


def occurrences(values: Tensor, bins: int) -> Tensor:
    """Return int64 `[bins]`: how often each whole number from 0 to bins-1 occurs in a tensor of any shape."""
    values = values.reshape(-1)
    if values.device.type == "cpu":
        return torch.bincount(values, minlength=bins)
    # bincount would wait for the device; on a CPU this takes ten times as long
    counts = torch.zeros(bins, dtype=torch.long, device=values.device)
    return counts.scatter_add_(0, values.long(), torch.ones_like(values, dtype=torch.long))


class SegmentationScores(Metric):
    """IoU, Dice and accuracy of a split, per class and as means over the classes that occur.

    A class that is in neither truth nor prediction has no score (NaN) and is left out of the means.

    Args:
        classes: Names of the classes.
        per_image: Also keep the counts of every image, and give `image_mean_iou`: the mean over images of each image's
            mean IoU, which is another number than the data set's `mean_iou`.
    """

    full_state_update = False
    counts: Tensor
    out_of_range: Tensor
    indices: list[Tensor]
    images: list[Tensor]

    def __init__(self, classes: Sequence[str], per_image: bool = False) -> None:
        super().__init__(sync_on_compute=False)  # SplitScores.gather joins processes, for the tables as well
        self.classes = list(classes)
        self.per_image = per_image
        size = len(self.classes)
        self.add_state("counts", torch.zeros((size, size), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("out_of_range", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("images", [], dist_reduce_fx="cat")

    @property
    def names(self) -> list[str]:
        """The keys of `compute`."""
        each = [f"{kind}/{name}" for name in self.classes for kind in ("iou", "dice", "accuracy")]
        per_image = ["image_mean_iou"] if self.per_image else []
        return ["mean_iou", "mean_dice", "accuracy", "mean_accuracy", *per_image, *each]

    def update(self, predicted: Tensor, mask: Tensor, index: Tensor | None = None) -> None:
        """Add a batch: predicted and true ids `[B,H,W]`, and the images' numbers `[B]`."""
        counts = confusion_counts(predicted, mask, classes=len(self.classes))
        self.counts += counts.sum(dim=0)
        wrong = (mask != IGNORE_INDEX) & ((mask < 0) | (mask >= len(self.classes)))
        self.out_of_range += wrong.sum()
        if self.per_image and index is not None:
            self.indices.append(index)
            self.images.append(_three(counts))

    def last_ious(self, count: int) -> list[float]:
        """Return the mean IoU of each of the last images that were added, in their order; NaN where none is scored."""
        hits, wrong, missed = torch.cat(self.images[-count:])[-count:].double().unbind(dim=1)
        means: list[float] = _ratio(hits, hits + wrong + missed).nanmean(dim=1).tolist()
        return means

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name; see `names`."""
        scores = scores_of_counts(self.counts, self.classes)
        if self.per_image:
            scores["image_mean_iou"] = torch.from_numpy(self.per_image_table()["iou"]).nanmean()
        return scores

    def per_image_table(self) -> dict[str, np.ndarray]:
        """Return the images' `index` `[N]`, `iou` `[N]` (mean over occurring classes) and `tp`, `fp`, `fn` `[N,C]`."""
        index = dim_zero_cat(self.indices)  # a list here, one tensor while several processes are joined
        order = index.argsort()
        hits, wrong, missed = dim_zero_cat(self.images)[order].cpu().unbind(dim=1)
        iou = _ratio(hits.double(), (hits + wrong + missed).double()).nanmean(dim=1)
        table = {"index": index[order].cpu(), "iou": iou, "tp": hits, "fp": wrong, "fn": missed}
        return {name: value.numpy() for name, value in table.items()}


def scores_of_counts(counts: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return IoU, Dice and accuracy of a confusion matrix `[C,C]`, as means and by class; NaN where a class has none.

    Args:
        counts: Pixels by true class (row) and predicted class (column).
        classes: Names of the classes.
    """
    hits, wrong, missed = _three(counts[None].cpu())[0].double()
    iou = _ratio(hits, hits + wrong + missed)
    dice = _ratio(hits, hits + (wrong + missed) / 2)
    accuracy = _ratio(hits, hits + missed)
    scores = {
        "mean_iou": iou.nanmean(),
        "mean_dice": dice.nanmean(),
        "accuracy": _ratio(hits.sum(), (hits + missed).sum()),
        "mean_accuracy": accuracy.nanmean(),
    }
    for number, name in enumerate(classes):
        scores |= {f"iou/{name}": iou[number], f"dice/{name}": dice[number], f"accuracy/{name}": accuracy[number]}
    return scores


def _three(counts: Tensor) -> Tensor:
    """Return true positives, false positives and false negatives int64 `[B,3,C]` of counts `[B,C,C]`."""
    hits = counts.diagonal(dim1=1, dim2=2)
    return torch.stack([hits, counts.sum(dim=1) - hits, counts.sum(dim=2) - hits], dim=1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1e-12), torch.nan)

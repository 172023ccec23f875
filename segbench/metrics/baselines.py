"""The trivial baselines of a split: what one class painted everywhere, or one depth told everywhere, would score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segbench.metrics.confusion import scores_of_counts
from segbench.runs.results import Baseline


def mask_baselines(counts: Tensor, classes: Sequence[str]) -> dict[str, Baseline]:
    """Return the scores of painting one class everywhere, by the same code and on the same pixels as any other score.

    They follow from how many pixels each class has in truth, so no further pass over the data is needed.

    Args:
        counts: Confusion matrix `[C,C]`: pixels by true class (row) and predicted class (column).
        classes: Names of the classes.

    Returns:
        `most_frequent`: `class`, and the scores of painting the class that most pixels of the split are of. For two
        classes also `all_foreground`: the same of painting the second.
    """
    truth = counts.sum(dim=1).cpu()
    baselines = {"most_frequent": _painted(truth, int(truth.argmax()), classes=classes)}
    if len(classes) == 2:
        baselines["all_foreground"] = _painted(truth, 1, classes=classes)
    return baselines


def depth_baselines(total: Tensor, squares: Tensor, *, pixels: Tensor) -> dict[str, Baseline]:
    """Return the error of telling the split's mean depth everywhere: `depth` and `depth/rmse`.

    The other errors would need all depths once more, with the mean (or the median) known.

    Args:
        total: Sum of the known depths, float64.
        squares: Sum of their squares, float64.
        pixels: How many there are.
    """
    mean = total / pixels
    error = (squares / pixels - mean**2).clamp(min=0).sqrt()
    return {"mean_depth": {"depth": float(mean), "depth/rmse": float(error)}}


def _painted(truth: Tensor, chosen: int, *, classes: Sequence[str]) -> Baseline:
    counts = torch.zeros((len(classes), len(classes)), dtype=torch.long)
    counts[:, chosen] = truth
    scores = scores_of_counts(counts, classes)
    return {"class": classes[chosen], **{name: float(value) for name, value in scores.items()}}

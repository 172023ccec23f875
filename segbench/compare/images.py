"""The scores of a split's single images, as counts that add up to the score of any choice of images."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from segbench.compare.bootstrap import Score
from segbench.compare.files import Unusable, read_text
from segbench.compare.runs import Run
from segbench.runs.folder import RunFolder

MAX_TABLE = 64_000_000
"""Bytes: 5,000 images of 81 classes take about 7 million."""

MASK_SCORES = ("mean_iou", "iou", "mean_dice", "dice", "mean_accuracy", "accuracy")
TOLERANCE = 1e-6
"""How far the table's score may be from that in results.json, as a share of it: depth errors have nine digits."""


@dataclass(frozen=True)
class ImageCounts:
    """What the images of one run add to its score.

    index: the images' numbers `[N]`, ascending. counts: `[N, K]`; for masks true positives, false positives and false
    negatives of the C classes (K = 3 C), for depth the squared error and the known pixels (K = 2).
    """

    index: np.ndarray
    counts: np.ndarray


def scorer(metric: str, classes: tuple[str, ...]) -> Score | None:
    """Return how to score summed counts, or None for a metric that they do not give.

    As in training: the mean over classes leaves out those in neither truth nor prediction.

    Args:
        metric: Such as `test/mean_iou`, `val/dice/road`, `test/depth/rmse`.
        classes: Names of the classes.
    """
    _, _, name = metric.partition("/")
    if name == "depth/rmse":
        return lambda sums: np.sqrt(_ratio(sums[..., 0], sums[..., 1]))
    kind, _, wanted = name.partition("/")
    if kind not in MASK_SCORES or (wanted and wanted not in classes):
        return None
    if name == "accuracy":
        return lambda sums: _ratio(_three(sums)[0].sum(-1), (_three(sums)[0] + _three(sums)[2]).sum(-1))
    if kind.startswith("mean_") != (not wanted):
        return None
    part = kind.removeprefix("mean_")
    return lambda sums: _of_classes(part, sums, classes.index(wanted) if wanted else None)


def _of_classes(kind: str, sums: np.ndarray, number: int | None) -> np.ndarray:
    hits, wrong, missed = _three(sums)
    whole = {"iou": hits + wrong + missed, "dice": hits + (wrong + missed) / 2, "accuracy": hits + missed}[kind]
    each = _ratio(hits, whole)
    if number is not None:
        return each[..., number]
    return _ratio(np.nansum(each, axis=-1), (~np.isnan(each)).sum(axis=-1))


def _three(sums: np.ndarray) -> np.ndarray:
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def read_counts(run: Run, metric: str) -> ImageCounts:
    """Return the counts of the images of the metric's split.

    Raises:
        Unusable: if the table is missing, broken, or does not add up to the score in results.json.
    """
    split, _, name = metric.partition("/")
    path = RunFolder(run.path).per_image(split)
    wanted = ["depth/squared_error", "depth/pixels"]
    if not name.startswith("depth/"):
        wanted = [f"{kind}/{label}" for kind in ("tp", "fp", "fn") for label in run.classes]
    try:
        rows = list(csv.reader(read_text(path, MAX_TABLE).splitlines()))
        places = [rows[0].index(column) for column in ("index", *wanted)]
        table = np.array([[float(row[place]) for place in places] for row in rows[1:]])
    except (csv.Error, ValueError, IndexError):
        raise Unusable(f"{path.name} is no table of images") from None
    if not len(table) or not np.isfinite(table).all() or (table < 0).any():
        raise Unusable(f"{path.name} is no table of images")
    table = table[table[:, 0].argsort(kind="stable")]
    if (np.diff(table[:, 0]) == 0).any():
        raise Unusable(f"{path.name} has an image twice")
    counts = ImageCounts(table[:, 0], table[:, 1:])
    _check_sum(counts, run, metric, path.name)
    return counts


def _check_sum(counts: ImageCounts, run: Run, metric: str, name: str) -> None:
    score = scorer(metric, run.classes)
    value = float("nan") if score is None else float(score(counts.counts.sum(axis=0)))
    told = run.metrics[metric]
    if not abs(value - told) <= TOLERANCE * max(abs(told), 1.0):
        raise Unusable(f"{name} adds up to {value:.6f}, results.json says {told:.6f}")

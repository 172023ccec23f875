"""The images that each of the best runs does worst on."""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from dataclasses import dataclass

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable, read_text
from segbench.compare.images import MAX_TABLE
from segbench.compare.runs import Run
from segbench.compare.text import printable
from segbench.report.html.choice import best_of_groups, run_label
from segbench.runs.folder import RunFolder

MAX_RUNS, MAX_IMAGES = 12, 10


@dataclass(frozen=True)
class Worst:
    """A run's worst images: (number, mean IoU, whether at least half of the shown runs of its data have it too)."""

    label: str
    name: str
    data: str
    images: list[tuple[int, float, bool]]
    reason: str = ""


def worst_images(comparison: Comparison) -> list[Worst]:
    """Return the MAX_IMAGES images of lowest mean IoU of the best run of each of the first MAX_RUNS groups."""
    split = comparison.metric.partition("/")[0]
    found: list[tuple[tuple[str, str, str], list[tuple[float, int]], str]] = []
    for run, group in zip(best_of_groups(comparison, MAX_RUNS), comparison.groups, strict=False):
        words = run_label(comparison, run), printable(run.name), comparison.data_labels[group.data]
        try:
            found.append((words, read_worst(run, split), ""))
        except Unusable as unusable:
            found.append((words, [], printable(str(unusable))))
    shared = Counter((words[2], index) for words, images, _ in found for _, index in images)
    runs = Counter(words[2] for words, images, _ in found if images)
    return [
        Worst(*words, [(i, iou, 1 < shared[words[2], i] >= runs[words[2]] / 2) for iou, i in images], reason)
        for words, images, reason in found
    ]


def read_worst(run: Run, split: str, most: int = MAX_IMAGES) -> list[tuple[float, int]]:
    """Return (mean IoU, number) of the worst images of `val` or `test`, worst first.

    Raises:
        Unusable: if the table is missing, broken or has no mean IoU, as that of a run for depth.
    """
    path = RunFolder(run.path).per_image(split)
    try:
        table = csv.reader(read_text(path, MAX_TABLE).splitlines())
        heads = next(table, [])
        index, iou = heads.index("index"), heads.index("mean_iou")
        scores = [(float(row[iou]), int(float(row[index]))) for row in table if row[iou]]
    except (csv.Error, ValueError, IndexError, OverflowError):
        raise Unusable(f"{path.name} has no mean IoU of each image") from None
    return heapq.nsmallest(most, (score for score in scores if 0 <= score[0] <= 1))

"""The images that each of the best runs does worst on."""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable, read_text
from segbench.compare.images import MAX_TABLE
from segbench.compare.runs import Run
from segbench.compare.text import LONGEST
from segbench.core.choices import Split
from segbench.core.text import printable
from segbench.report.html.choice import best_of_groups, run_label
from segbench.report.html.pictures import picture_uri
from segbench.report.thumbnails import thumbnail_name
from segbench.runs.folder import RunFolder

MAX_RUNS = 12
MAX_IMAGES = 10
MAX_LABEL = 24
MAX_SIDE = 600
"""Pixels of a thumbnail."""
MAX_TOTAL = 800_000
"""Characters of the data URIs of all thumbnails."""
LARGE_THUMBNAIL = 8_000
"""Bytes of a thumbnail as PNG beyond which it is sent as JPEG."""


@dataclass(frozen=True)
class WorstImage:
    """An image that a run does badly on."""

    index: int
    """Its number in the split."""
    iou: float
    """Mean IoU of its classes."""
    name: str
    """What its table calls it."""
    thumbnail: str = ""
    """Data URI of picture, truth, prediction and errors; "" where the run has none."""
    hard: bool = False
    """Whether at least half of the shown runs of the same data have it too."""

    @property
    def label(self) -> str:
        """The end of its name, which tells it from others."""
        if len(self.name) <= MAX_LABEL:
            return self.name
        return f"…{self.name[-MAX_LABEL:]}"


@dataclass(frozen=True)
class Worst:
    """A run's worst images, or the reason why there are none."""

    label: str
    """Of the group."""

    name: str
    """Of the run."""

    data: str
    """Letter of the run's data."""

    images: list[WorstImage]
    """Worst first."""

    reason: str = ""
    """Why there are none."""


def worst_images(comparison: Comparison) -> list[Worst]:
    """Return the MAX_IMAGES images of lowest mean IoU of the best run of each of the first MAX_RUNS groups."""
    split = comparison.metric.partition("/")[0]
    found: list[Worst] = []
    for run, group in zip(best_of_groups(comparison, MAX_RUNS), comparison.groups, strict=False):
        words = run_label(comparison, run), printable(run.name, LONGEST), comparison.data_labels[group.data]
        try:
            found.append(Worst(*words, _with_thumbnails(run, split, images=read_worst(run, split))))
        except Unusable as unusable:
            found.append(Worst(*words, [], printable(str(unusable), LONGEST)))
    found = _within_room(found)
    shared = Counter((worst.data, image.index) for worst in found for image in worst.images)
    runs = Counter(worst.data for worst in found if worst.images)
    return [
        replace(
            worst,
            images=[
                replace(image, hard=1 < shared[worst.data, image.index] >= runs[worst.data] / 2)
                for image in worst.images
            ],
        )
        for worst in found
    ]


def _with_thumbnails(run: Run, split: str, *, images: list[WorstImage]) -> list[WorstImage]:
    """Return the images with their thumbnails, as far as the run has them: of the test alone."""
    if split != Split.TEST:
        return images
    folder = RunFolder(run.path).worst
    return [replace(image, thumbnail=_thumbnail(folder / thumbnail_name(image.index))) for image in images]


def _within_room(found: list[Worst]) -> list[Worst]:
    """Return them with the first thumbnails alone that take MAX_TOTAL characters together."""
    room = MAX_TOTAL
    kept = []
    for worst in found:
        images = []
        for image in worst.images:
            room -= len(image.thumbnail)
            images.append(image if room >= 0 else replace(image, thumbnail=""))
        kept.append(replace(worst, images=images))
    return kept


def _thumbnail(path: Path) -> str:
    try:
        uri, width, height = picture_uri(path, LARGE_THUMBNAIL)
    except Unusable:
        return ""
    if max(width, height) <= MAX_SIDE:
        return uri
    return ""


def read_worst(run: Run, split: str, *, most: int = MAX_IMAGES) -> list[WorstImage]:
    """Return the worst images of `val` or `test`, worst first.

    Raises:
        Unusable: if the table is missing, broken or has no mean IoU, as that of a run for depth.
    """
    path = RunFolder(run.path).per_image(split)
    try:
        table = csv.reader(read_text(path, MAX_TABLE).splitlines())
        heads = next(table, [])
        index = heads.index("index")
        iou = heads.index("mean_iou")
        name = heads.index("image")
        images = [
            WorstImage(int(float(row[index])), float(row[iou]), printable(row[name], 120)) for row in table if row[iou]
        ]
    except (csv.Error, ValueError, IndexError, OverflowError):
        raise Unusable(f"{path.name} has no name and mean IoU of each image") from None
    possible = (image for image in images if 0 <= image.iou <= 1)
    return heapq.nsmallest(most, possible, key=lambda image: (image.iou, image.index))

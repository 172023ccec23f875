"""Masks of any program scored as a run's own are: the same truth, the same metrics, the same tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from PIL import Image

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.core.tasks import IGNORE_INDEX, Task
from segbench.core.text import and_more
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import Arrays
from segbench.data.loading.views import EvaluationView, Size, resized
from segbench.inference.predictions import Paired, PredictionReader, Sample
from segbench.metrics.split_scores import SplitScores
from segbench.report.panels import sample_row
from segbench.report.thumbnails import WorstPictures

SHOWN = 6
"""Samples in the panel."""
NAMED = 8
"""Files of a kind of problem that are named."""

Problems = dict[str, list[str]]


@dataclass
class Scored:
    """What scoring came to."""

    scores: dict[Split, SplitScores]
    """The metrics of each split, with their counts."""

    rows: list[dict[str, np.ndarray]] = field(default_factory=list)
    """Rows of the panel."""

    worst: WorstPictures = field(default_factory=WorstPictures)
    """Pictures of the last split that are predicted worst."""

    upsampled: int = 0
    """Predictions that had the size of what a network sees, and were brought to the picture's own."""


def score_masks(data: SegmentationData, paired: Paired, *, reader: PredictionReader, splits: Sequence[Split]) -> Scored:
    """Score predictions against the truth that a run is scored against: the masks at their own size.

    A prediction has the picture's own size, or that of what a network sees of it (`data.size`, `data.fit`), from which
    it then comes to the picture's own, each pixel that of the nearest.

    Args:
        data: The prepared data set.
        paired: The predictions.
        reader: Reads them.
        splits: The splits to score; every picture of them needs a prediction.

    Raises:
        DataError: listing everything that is missing, surplus or cannot be used, by kind.
    """
    problems = _names(data, paired, splits=splits)
    found = Scored({split: SplitScores(Task.MASK, data.classes) for split in splits})
    for sample, file in sorted(paired.files.items()):
        arrays = data.original(sample.split, sample.index)
        try:
            ids, upsampled = _at_own_size(data.view, arrays["mask"].shape, ids=reader.read(file))
            predicted = _with_class(ids, arrays["mask"], classes=len(data.classes))
        except DataError as error:
            problems.setdefault(getattr(error, "kind", "unusable"), []).append(f"{file.name} ({error})")
            continue
        found.upsampled += upsampled
        truth = {"mask": torch.from_numpy(arrays["mask"])[None], "index": torch.tensor([sample.index])}
        found.scores[sample.split].update({"mask": torch.from_numpy(predicted)[None]}, truth)
        if sample.split == splits[-1]:
            _show(found, sample, row=partial(_row, arrays, predicted, data=data))
    _raise_any(problems)
    return found


def _show(found: Scored, sample: Sample, *, row: Callable[[], dict[str, np.ndarray]]) -> None:
    if len(found.rows) < SHOWN:
        found.rows.append(row())
    masks = found.scores[sample.split].masks
    if masks is not None:
        (iou,) = masks.last_ious(1)
        found.worst.consider(iou, sample.index, row=row)


class _WrongSize(DataError):
    kind = "wrong size"


class _NoClass(DataError):
    kind = "no class"


def _names(data: SegmentationData, paired: Paired, *, splits: Sequence[Split]) -> Problems:
    wanted = [Sample(split, index) for split in splits for index in range(data.num_samples(split))]
    missing = [data.describe_sample(sample.split, sample.index) for sample in wanted if sample not in paired.files]
    kinds = {
        "missing": missing,
        "surplus": paired.surplus,
        "could be several pictures": paired.unclear,
        "second prediction of a picture": paired.twice,
    }
    return {kind: names for kind, names in kinds.items() if names}


def _raise_any(problems: Mapping[str, list[str]]) -> None:
    if problems:
        groups = [f"{kind} ({len(names)}): {_some(names)}" for kind, names in problems.items()]
        raise DataError(f"the predictions do not fit the data: {'; '.join(groups)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + and_more(len(names), NAMED)


def _at_own_size(view: EvaluationView, own: Size, *, ids: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return ids of a picture's own size, and whether they had to be brought to it from that of its view."""
    if ids.shape == own:
        return ids, False
    place = view.place(*own)
    if ids.shape == place.canvas:
        return resized(ids[place.window], own, resampling=Image.Resampling.NEAREST), True
    sizes = " or ".join(f"{height} x {width}" for height, width in dict.fromkeys((own, place.canvas)))
    raise _WrongSize(f"{ids.shape[0]} x {ids.shape[1]} instead of {sizes}")


def _with_class(ids: np.ndarray, truth: np.ndarray, *, classes: int) -> np.ndarray:
    """Return ids of classes alone; 255 is allowed where the truth is not scored."""
    blank = int(((ids == IGNORE_INDEX) & (truth != IGNORE_INDEX)).sum())
    if blank:
        advice = ""
        if classes == 2:
            advice = "; give --masks binary if 255 is the foreground"
        raise _NoClass(f"255 at {blank:,} labelled pixels{advice}")
    return np.where(ids == IGNORE_INDEX, 0, ids).astype(np.uint8)


def _row(arrays: Arrays, predicted: np.ndarray, *, data: SegmentationData) -> dict[str, np.ndarray]:
    pictures = {"image": data.channels.shown(arrays["image"]), "mask": arrays["mask"], "prediction": predicted}
    return sample_row(pictures, data.classes)

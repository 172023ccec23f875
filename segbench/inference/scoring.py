"""Masks of any program scored as a run's own are: the same truth, the same metrics, the same tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.core.tasks import IGNORE_INDEX, Task
from segbench.data.files.dataset import FileData
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import Arrays
from segbench.inference.predictions import Paired, PredictionReader, Sample
from segbench.metrics.split_scores import SplitScores
from segbench.report.panels import sample_row

SHOWN = 6
"""Samples in the panel."""
NAMED = 8
"""Files of a kind of problem that are named."""

Problems = dict[str, list[str]]


@dataclass
class Scored:
    """What scoring came to: the metrics of each split with their counts, rows of the panel, and resized predictions."""

    scores: dict[Split, SplitScores]
    rows: list[dict[str, np.ndarray]] = field(default_factory=list)
    resized: int = 0


def score_masks(data: SegmentationData, paired: Paired, reader: PredictionReader, splits: Sequence[Split]) -> Scored:
    """Score predictions against the truth that a run is scored against.

    A prediction has the size of the data set's samples, or the picture's own, from which it then comes to that size by
    the same geometry as the truth (`data.fit`, nearest).

    Args:
        data: The prepared data set.
        paired: The predictions.
        reader: Reads them.
        splits: The splits to score; every picture of them needs a prediction.

    Raises:
        DataError: listing everything that is missing, surplus or cannot be used, by kind.
    """
    problems = _names(data, paired, splits)
    found = Scored({split: SplitScores(Task.MASK, data.classes) for split in splits})
    for sample, file in sorted(paired.files.items()):
        arrays = data.sample(sample.split, 0, sample.index)
        try:
            ids, resized = _fitted(data, sample, arrays["mask"], reader, file)
            predicted = _with_class(ids, arrays["mask"], len(data.classes))
        except DataError as error:
            problems.setdefault(getattr(error, "kind", "unusable"), []).append(f"{file.name} ({error})")
            continue
        found.resized += resized
        mask = torch.from_numpy(arrays["mask"].astype(np.int64))[None]
        logits = {"mask": _logits(predicted, len(data.classes))}
        found.scores[sample.split].update(logits, {"mask": mask, "index": torch.tensor([sample.index])})
        if sample.split == splits[-1] and len(found.rows) < SHOWN:
            found.rows.append(_row(arrays, predicted, data.classes))
    _raise_any(problems)
    return found


class _WrongSize(DataError):
    kind = "wrong size"


class _NoClass(DataError):
    kind = "no class"


def _names(data: SegmentationData, paired: Paired, splits: Sequence[Split]) -> Problems:
    wanted = [Sample(split, index) for split in splits for index in range(data.num_samples(split))]
    missing = [data.describe_sample(*sample) for sample in wanted if sample not in paired.files]
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
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _fitted(
    data: SegmentationData, sample: Sample, truth: np.ndarray, reader: PredictionReader, file: Path
) -> tuple[np.ndarray, bool]:
    """Return ids of the truth's size, and whether they had to be brought to it from the picture's own."""
    ids = reader.read(file)
    if ids.shape == truth.shape:
        return ids, False
    own = _own_size(data, sample, truth)
    if ids.shape == own and isinstance(data, FileData):
        return data.training_view.mask(ids), True
    sizes = " or ".join(f"{height} x {width}" for height, width in dict.fromkeys((truth.shape, own)))
    raise _WrongSize(f"{ids.shape[0]} x {ids.shape[1]} instead of {sizes}")


def _own_size(data: SegmentationData, sample: Sample, truth: np.ndarray) -> tuple[int, int]:
    if not isinstance(data, FileData):
        return truth.shape
    return data.read(data.items[sample.split][sample.index])[1].shape


def _with_class(ids: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Return ids of classes alone; 255 is allowed where the truth is not scored."""
    blank = int(((ids == IGNORE_INDEX) & (truth != IGNORE_INDEX)).sum())
    if blank:
        advice = "; give --masks binary if 255 is the foreground" if classes == 2 else ""
        raise _NoClass(f"255 at {blank:,} labelled pixels{advice}")
    return np.where(ids == IGNORE_INDEX, 0, ids)


def _logits(ids: np.ndarray, classes: int) -> Tensor:
    """Return logits `[1,K,H,W]` that the metrics read as these ids."""
    predicted = torch.from_numpy(ids.astype(np.int64))[None]
    if classes == 2:
        return (2.0 * predicted - 1.0)[:, None]
    return F.one_hot(predicted, classes).permute(0, 3, 1, 2).float()


def _row(arrays: Arrays, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    return sample_row({"image": arrays["image"], "mask": arrays["mask"], "prediction": predicted}, classes)

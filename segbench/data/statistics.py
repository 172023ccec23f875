"""Counting what a data set consists of, in whole numbers: classes, unlabelled pixels, colours, repeated pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segbench.core.choices import Split
from segbench.core.plain import Json, Plain
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.loading.source import Source

Repeat = tuple[Split, int, Split, int]
"""A sample and another one that shows the same image, each by its split and number."""


@dataclass
class Statistics:
    """Counts over the samples of a split, as they are without augmentation."""

    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """Pixels of each id 0..255."""

    pictures: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """Samples in which each id occurs."""

    area: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    """All pixels of those samples."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros(1))
    """Sum of the values of each channel, up to `full`."""

    squares: np.ndarray = field(default_factory=lambda: np.zeros(1))
    """Sum of their squares."""

    full: float = 255.0
    """The largest value: 255, or 1 for floats."""

    digests: dict[bytes, list[int]] = field(default_factory=dict)
    """The numbers of the samples that show an image, by its content."""

    samples: int = 0
    """How many were counted."""

    def add(self, image: np.ndarray, mask: np.ndarray, *, index: int) -> None:
        """Count a sample: image `[H,W,C]`, uint8 or float32 in 0..1, mask uint8 `[H,W]`."""
        counts = np.bincount(mask.ravel(), minlength=256)
        present = counts > 0
        self.pixels += counts
        self.pictures += present
        self.area[present] += counts.sum()
        self.full = 255.0 if image.dtype == np.uint8 else 1.0
        sums, squares = zip(*(_sums(image[..., channel]) for channel in range(image.shape[2])), strict=True)
        self.sums = self.sums + sums
        self.squares = self.squares + squares
        self.digests.setdefault(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), []).append(index)
        self.samples += 1

    def record(self) -> Plain:
        """Return the counts as plain data, without the digests."""
        columns = {name: getattr(self, name).tolist() for name in COLUMNS}
        return {**columns, "full": self.full, "samples": self.samples}

    @classmethod
    def of_record(cls, record: Json) -> Statistics:
        """Return what `record` gave; a KeyError, TypeError or ValueError for anything else."""
        kinds = {name: np.int64 if name in WHOLE else np.float64 for name in COLUMNS}
        columns: dict[str, Any] = {name: np.array(record[name], kind) for name, kind in kinds.items()}
        if any(columns[name].shape != (256,) for name in WHOLE) or columns["sums"].shape != columns["squares"].shape:
            raise ValueError("no statistics")
        return cls(**columns, full=float(record["full"]), samples=int(record["samples"]))

    def mean_std(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of each channel over all pixels, in 0..1."""
        count = max(1, int(self.pixels.sum()))
        mean = self.sums / count
        variance = np.maximum(self.squares / count - mean**2, 0)
        return (mean / self.full).tolist(), (np.sqrt(variance) / self.full).tolist()

    def void_share(self) -> float:
        """Return the share of pixels that are ignored, 0..1."""
        return float(self.pixels[IGNORE_INDEX] / max(1, self.pixels.sum()))

    def shares(self, classes: int) -> list[float]:
        """Return each class's share of all pixels, ignored ones included, 0..1."""
        shares: list[float] = (self.pixels[:classes] / max(1, self.pixels.sum())).tolist()
        return shares

    def outside(self, classes: int) -> dict[int, int]:
        """Return the number of pixels of each id that is neither a class nor 255."""
        return {int(k): int(self.pixels[k]) for k in np.flatnonzero(self.pixels[:IGNORE_INDEX]) if k >= classes}

    def class_weights(self, classes: int) -> np.ndarray:
        """Return median-frequency weights, float64 `[C]`; 1 for a class that never occurs.

        A class's frequency is its pixels over all pixels of the pictures it occurs in; its weight is the
        median frequency over its own (Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels", 2015).
        """
        frequency = self.pixels[:classes] / np.maximum(self.area[:classes], 1)
        present = frequency > 0
        if not present.any():
            return np.ones(classes)
        return np.where(present, np.median(frequency[present]) / np.where(present, frequency, 1), 1.0)


WHOLE = ("pixels", "pictures", "area")
COLUMNS = (*WHOLE, "sums", "squares")


def _sums(values: np.ndarray) -> tuple[float, float]:
    """Return the sum of values and of their squares, exact for uint8."""
    if values.dtype != np.uint8:
        wide = values.astype(np.float64)
        return float(wide.sum()), float((wide**2).sum())
    histogram = np.bincount(values.ravel(), minlength=256)
    levels = np.arange(256)
    return float(histogram @ levels), float(histogram @ levels**2)


def measure(data: Source, split: Split, *, limit: int | None = None) -> Statistics:
    """Return the statistics of a split, of the first `limit` samples at most (None: all)."""
    count = data.num_samples(split)
    statistics = Statistics()
    for index in range(count if limit is None else min(limit, count)):
        arrays = data.original(split, index)
        statistics.add(arrays["image"], arrays["mask"], index=index)
    return statistics


def repeated(splits: dict[Split, Statistics], pairs: Sequence[tuple[Split, Split]]) -> list[Repeat]:
    """Return (split, index, split, index) of every image that both splits of a pair show."""
    found = []
    for first, second in pairs:
        ours = splits[first].digests
        theirs = splits[second].digests
        common = sorted(ours.keys() & theirs.keys(), key=lambda digest: ours[digest])
        found += [(first, ours[digest][0], second, index) for digest in common for index in theirs[digest]]
    return found

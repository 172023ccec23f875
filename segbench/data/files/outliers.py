"""Values that lie outside of what becomes 0 to 1, or stretch it: what has to be known about them, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segbench.core.choices import Split
from segbench.data.channels import Levels
from segbench.data.files.facts import FactTable
from segbench.data.files.levels import PERCENTILES

SMALL_PART = 0.1
"""Part of a range that is so small that what lies beside it may be no measurement, but a mark for missing data."""

FEW_PICTURES = 50
"""Most training pictures that are looked at for such marks."""


def clipped_notes(levels: Levels, splits: Mapping[Split, FactTable]) -> list[str]:
    """Return a sentence for each split of which pictures hold values beyond the range."""
    notes = []
    for split, pictures in splits.items():
        count = _beyond(pictures, levels)
        if count:
            notes.append(
                f"values: {count:,} of {len(pictures):,} pictures of {split} hold some beyond that range, which are"
                " clipped to it"
            )
    return notes


def _beyond(pictures: FactTable, levels: Levels) -> int:
    low, high = (level.astype(np.float32) for level in levels)
    values = pictures.extremes.values.reshape(-1, len(low))
    outside = (values["low"] < low) | (values["high"] > high)
    return int(outside.any(axis=1).sum())


def stretched_notes(levels: Levels, pixels: np.ndarray, *, bands: Sequence[int] | None) -> list[str]:
    """Return a sentence for each band of which nearly all values, or all but those at an end, lie in a small part.

    Args:
        levels: The range.
        pixels: Some of the values, `[N,C]`.
        bands: Numbers of the bands in the files; None for the first ones.
    """
    notes = []
    for channel, (start, end) in enumerate(zip(*levels, strict=True)):
        values = pixels[:, channel]
        band = channel if bands is None else bands[channel]
        small = SMALL_PART * (end - start)
        low, high = np.percentile(values, PERCENTILES)
        if high - low < small:
            notes.append(
                f"values: 99 % of those of band {band} are {low:.6g} to {high:.6g}, a small part of the range;"
                " data.range=percentile leaves out ends that mark missing data"
            )
            continue
        for mark in (start, end):
            notes += _mark_note(values, mark, band=band, small=small)
    return notes


def _mark_note(values: np.ndarray, mark: float, *, band: int, small: float) -> list[str]:
    """Return a sentence where many values are the end of the range, and the others far from it and close together."""
    others = values[values != mark]
    if len(others) in (0, len(values)):
        return []
    low, high = np.percentile(others, PERCENTILES)
    if high - low >= small:
        return []
    return [
        f"values: {1 - len(others) / len(values):.1%} of those of band {band} are {mark:.6g}, and nearly all others"
        f" {low:.6g} to {high:.6g}, a small part of the range; if that marks missing data, data.range=[low,high] of the"
        " others leaves it out"
    ]

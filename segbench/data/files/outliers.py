"""Values that lie outside of what becomes 0 to 1, or stretch it: what has to be known about them, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segbench.core.choices import Split
from segbench.data.channels import Levels
from segbench.data.files.facts import FactTable

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


def stretched_notes(levels: Levels, typical: Levels, *, bands: Sequence[int] | None) -> list[str]:
    """Return a sentence for each band of which nearly all values lie in a small part of the range.

    Args:
        levels: The range.
        typical: Percentiles of the values.
        bands: Numbers of the bands in the files; None for the first ones.
    """
    low, high = typical
    channels = np.flatnonzero(high - low < SMALL_PART * (levels[1] - levels[0])).tolist()
    return [
        f"values: 99 % of those of band {channel if bands is None else bands[channel]} are {low[channel]:.6g} to"
        f" {high[channel]:.6g}, a small part of the range; data.range=percentile leaves out ends that mark missing data"
        for channel in channels
    ]

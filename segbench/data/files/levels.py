"""What values of a file become 0 and 1: given, or measured on the training split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.channels import Levels
from segbench.data.files.facts import FactTable
from segbench.data.problems import NAMED, first_names
from segbench.data.values import KINDS

MEASURED = ("auto", "percentile")
Range = str | Sequence[Any]
"""`auto`, `percentile`, `[low, high]`, or such a pair for each channel."""

PERCENTILES = (0.5, 99.5)
"""As nnU-Net clips the intensities of computed tomography (Isensee et al., 2021)."""

PICTURES = 1000
PIXELS = 4096
"""Most training pictures, and pixels of each, that percentiles are taken from: evenly spaced ones."""


def given_levels(wanted: Range, channels: int) -> Levels | None:
    """Return the levels that `data.range` gives as numbers; None where they have to be measured.

    Raises:
        ConfigError: for an unknown word, or anything that is not `low < high` once or for each channel.
    """
    if isinstance(wanted, str):
        if wanted not in MEASURED:
            raise ConfigError(f"data.range={wanted} is no range{nearest(wanted, (*MEASURED, '[low,high]'))}")
        return None
    try:
        pairs = np.broadcast_to(np.asarray(wanted, np.float64), (channels, 2))
    except (TypeError, ValueError):
        pairs = np.zeros((channels, 2))
    if not np.isfinite(pairs).all() or not (pairs[:, 0] < pairs[:, 1]).all():
        raise ConfigError(
            f"data.range must be auto, percentile, [low,high] with low below high, or {channels} such pairs, got"
            f" {list(wanted)}"
        )
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def kind_of(kinds: np.ndarray, name: Callable[[int], str], *, wanted: Range) -> str:
    """Return the type of values in all files.

    Args:
        kinds: Places in `KINDS` of each file's type, uint8 `[N]`; at least one.
        name: Gives the name of a file by its number.
        wanted: `data.range`.

    Raises:
        DataError: for several of them: how the values of one relate to those of another is not known. With a given
            range all of them mean the same.
    """
    counts = np.bincount(kinds, minlength=len(KINDS))
    usual = int(counts.argmax())
    if np.count_nonzero(counts) > 1 and isinstance(wanted, str):
        others = [place for place in np.flatnonzero(counts).tolist() if place != usual]
        told = "; ".join(f"{_names_of(np.flatnonzero(kinds == place), name)} of {KINDS[place]}" for place in others)
        raise DataError(
            f"pictures of different types, whose values cannot be compared: {told}, but {counts[usual]:,} of"
            f" {KINDS[usual]}; save all with one type, or give data.range=[low,high]"
        )
    return KINDS[usual]


def _names_of(rows: np.ndarray, name: Callable[[int], str]) -> str:
    shown = [name(int(row)) for row in rows[: NAMED + 1]]
    return first_names([*shown, *[""] * (len(rows) - len(shown))])


def extremes(training: FactTable, channels: int) -> Levels:
    """Return the smallest and the largest value of each channel in the training split."""
    values = training.extremes.values.reshape(-1, channels)
    return _apart(values["low"].min(0), values["high"].max(0))


def sampled(training: Iterator[np.ndarray]) -> np.ndarray:
    """Return evenly spaced pixels of pictures `[H,W,C]`, float64 `[N,C]`."""
    pixels = []
    for values in training:
        flat = values.reshape(-1, values.shape[2])
        pixels.append(flat[:: max(1, len(flat) // PIXELS)])
    return np.concatenate(pixels).astype(np.float64)


def percentiles(pixels: np.ndarray) -> Levels:
    """Return the percentiles of each channel of pixels `[N,C]`."""
    low, high = np.percentile(pixels, PERCENTILES, axis=0)
    return _apart(low, high)


def spaced(count: int, most: int = PICTURES) -> list[int]:
    """Return up to `most` evenly spaced numbers below `count`."""
    if count <= most:
        return list(range(count))
    return [number * count // most for number in range(most)]


def _apart(low: np.ndarray, high: np.ndarray) -> Levels:
    """Return levels of which each high one is above its low one, also of a channel that has a single value."""
    return low, np.where(high > low, high, low + 1)

"""What the values of a data set's files are, and what of them becomes 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from segbench.core.choices import Split
from segbench.data.channels import Channels, Levels
from segbench.data.files.facts import FactTable
from segbench.data.files.levels import PICTURES, Range, extremes, kind_of, percentiles, sampled, spaced
from segbench.data.files.outliers import FEW_PICTURES, clipped_notes, stretched_notes
from segbench.data.values import Values


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The pictures whose values count."""

    range: Range
    """`data.range`: given levels, or a word for how they are measured."""
    channels: Channels
    """The bands that are read, with the levels that were given."""
    table: FactTable
    """The facts of all pictures."""
    training: np.ndarray
    """Rows of the training split, at least one, int64 `[N]`."""
    name: Callable[[int], str]
    """Returns the name of a row's file."""
    pair: Callable[[int], tuple[np.ndarray, np.ndarray]]
    """Returns picture and mask of a row."""

    def values(self, adopted: Values | None) -> Values:
        """Return what the values are.

        Args:
            adopted: As a run was trained that is evaluated; a given range counts more.

        Raises:
            DataError: for files of different types, or of another one than the run was trained on.
        """
        kind = kind_of(self.table.kinds, self.name, wanted=self.range)
        if not isinstance(self.range, str):
            return Values(kind, self.channels.levels, is_given=True)
        if adopted is not None:
            adopted.check(kind)
            return adopted
        if self.range == "percentile":
            return Values(kind, percentiles(self._pixels(PICTURES)))
        if kind == "uint8":
            return Values(kind, None)
        return Values(kind, extremes(self.table.take(self.training), self.channels.count))

    def notes(self, values: Values, splits: Mapping[Split, np.ndarray]) -> list[str]:
        """Return what has to be known about the values and bands of the pictures, in sentences.

        Args:
            values: As `values` returned them.
            splits: Rows of each split that has pictures of its own.
        """
        notes = []
        if values.levels is not None:
            source = "as given"
            if isinstance(self.range, str):
                source = "measured on the training split"
            notes.append(f"values: {values}, {source} (data.range={self.range})")
            notes += self._outliers(values.levels, splits)
        left_out = int(self.table.leaves_out.sum())
        if left_out:
            notes.append(
                f"bands: {left_out:,} of {len(self.table):,} pictures have more than red, green and blue, such as"
                " transparency, which is not used; data.bands=[0,1,2,3] uses the fourth"
            )
        return notes

    def _outliers(self, levels: Levels, splits: Mapping[Split, np.ndarray]) -> list[str]:
        """Return what there is to say of values far from all others; percentiles clip a few on purpose."""
        notes = []
        if self.range != "percentile":
            notes += clipped_notes(levels, {split: self.table.take(rows) for split, rows in splits.items()})
        if isinstance(self.range, str):
            notes += stretched_notes(levels, self._pixels(FEW_PICTURES), bands=self.channels.bands)
        return notes

    def _pixels(self, most: int) -> np.ndarray:
        """Return pixels of at most `most` training pictures, float64 `[N,C]`."""
        pairs = (self.pair(int(self.training[number])) for number in spaced(len(self.training), most))
        return sampled(image for image, _ in pairs)

"""What the pictures of a data set turned out to be: one by one, and all of them as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from segbench.core.ragged import Ragged
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.lookalikes import look
from segbench.data.values import KINDS

LABELS = np.dtype([("id", np.uint8), ("pixels", np.int64)])
EXTREMES = np.dtype([("low", np.float64), ("high", np.float64)])


@dataclass(frozen=True)
class Facts:
    """What a picture turned out to be."""

    height: int
    """Its own, in pixels."""

    width: int
    """Likewise."""

    labels: dict[int, int]
    """Pixels of each class id in its mask; 255 is unlabelled."""

    look: str
    """What the picture looks like, as a hash that is nearly the same for pictures that are."""

    dtype: str
    """Type of the values in its file: uint8, uint16, int16 or float32."""

    low: list[float]
    """The smallest value of each channel; empty for uint8."""

    high: list[float]
    """The largest value likewise."""

    leaves_out: bool
    """Whether the file has a band more, which nobody has chosen or left out."""

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, *, leaves_out: bool) -> Facts:
        """Return the facts of a picture that was read."""
        counts = np.bincount(mask.ravel(), minlength=256)
        ids = np.flatnonzero(counts)
        labels = dict(zip(ids.tolist(), counts[ids].tolist(), strict=True))
        height, width = mask.shape
        is_plain = image.dtype == np.uint8
        return cls(
            height=height,
            width=width,
            labels=labels,
            look=look(image),
            dtype=image.dtype.name,
            low=[] if is_plain else image.min((0, 1)).tolist(),
            high=[] if is_plain else image.max((0, 1)).tolist(),
            leaves_out=leaves_out,
        )


@dataclass(frozen=True, eq=False)
class FactTable:
    """The facts of many pictures, a row each."""

    digests: np.ndarray
    """uint8 `[N, 16]`: of the files' contents."""

    sizes: np.ndarray
    """int64 `[N, 2]`: height and width."""

    looks: np.ndarray
    """uint8 `[N, 16]`: hashes that are nearly the same for pictures that are."""

    kinds: np.ndarray
    """uint8 `[N]`: places in `KINDS` of the types of values."""

    leaves_out: np.ndarray
    """bool `[N]`: whether the file has a band more, which nobody has chosen or left out."""

    labels: Ragged
    """Class ids of each mask, ascending, with their pixels."""

    extremes: Ragged
    """The smallest and largest value of each channel; no rows for uint8."""

    @classmethod
    def of(cls, digests: Sequence[bytes], facts: Sequence[Facts]) -> FactTable:
        """Return the table of pictures with the digests of their files."""
        return cls(
            np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16),
            np.array([(found.height, found.width) for found in facts], np.int64).reshape(-1, 2),
            np.frombuffer(bytes.fromhex("".join(found.look for found in facts)), np.uint8).reshape(-1, 16),
            np.array([KINDS.index(found.dtype) for found in facts], np.uint8),
            np.array([found.leaves_out for found in facts], bool),
            Ragged.of([list(found.labels.items()) for found in facts], LABELS),
            Ragged.of([list(zip(found.low, found.high, strict=True)) for found in facts], EXTREMES),
        )

    @classmethod
    def joined(cls, tables: Sequence[FactTable]) -> FactTable:
        """Return the rows of several tables, one after the other; of none for no table."""
        if not tables:
            return cls.of([], [])
        columns = {name: [getattr(table, name) for table in tables] for name in COLUMNS}
        return cls(**{name: _join(parts) for name, parts in columns.items()})

    def take(self, rows: np.ndarray) -> FactTable:
        """Return the rows of these numbers, in their order."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        taken: dict[str, Any] = {n: c.take(rows) if isinstance(c, Ragged) else c[rows] for n, c in columns.items()}
        return FactTable(**taken)

    def __len__(self) -> int:
        return len(self.digests)

    def holds(self, value: int) -> np.ndarray:
        """Return whether each mask has a pixel of an id, bool `[N]`."""
        found = np.zeros(len(self), bool)
        found[self.labels.owners[self.labels.values["id"] == value]] = True
        return found

    @property
    def is_labelled(self) -> np.ndarray:
        """Whether any pixel of each mask has a class, bool `[N]`."""
        found = np.zeros(len(self), bool)
        found[self.labels.owners[self.labels.values["id"] != IGNORE_INDEX]] = True
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all columns as plain arrays."""
        found: dict[str, np.ndarray] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            if isinstance(column, Ragged):
                found[f"{name}_starts"] = column.starts
                found[name] = column.values
            else:
                found[name] = column
        return found

    @classmethod
    def of_arrays(cls, arrays: Any) -> FactTable:
        """Return what `arrays` gave; a KeyError or ValueError for anything that does not fit together."""
        ragged = ("labels", "extremes")
        columns: dict[str, Any] = {
            n: Ragged(arrays[f"{n}_starts"], arrays[n]) if n in ragged else arrays[n] for n in COLUMNS
        }
        table = cls(**columns)
        counts = {len(column) for column in columns.values()}
        types = table.labels.values.dtype == LABELS and table.extremes.values.dtype == EXTREMES
        if len(counts) != 1 or not types or not (table.labels.is_whole and table.extremes.is_whole):
            raise ValueError("columns that do not fit together")
        return table


COLUMNS = [field.name for field in fields(FactTable)]


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], Ragged):
        return Ragged.joined(parts)
    return np.concatenate(parts)

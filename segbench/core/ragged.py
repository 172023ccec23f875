"""Rows of different lengths, and Python values, in a few flat arrays, which forked workers share."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Generic, TypeVar, overload

import numpy as np

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths, one after the other."""

    starts: np.ndarray
    """int64 `[N + 1]`: row n is `values[starts[n]:starts[n + 1]]`."""

    values: np.ndarray
    """Of any type, in one dimension."""

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]], dtype: Any) -> Ragged:
        """Return rows of values of a numpy type."""
        lists = list(rows)
        starts = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(row) for row in lists], out=starts[1:])
        return cls(starts, np.array(list(chain.from_iterable(lists)), dtype))  # one array: each costs a microsecond

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Ragged:
        """Return texts as rows of bytes."""
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        starts = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=starts[1:])
        return cls(starts, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Return the rows of several, one after the other; there must be at least one."""
        lengths = np.concatenate([part.lengths for part in parts])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(starts, np.concatenate([part.values for part in parts]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of values in each row."""
        return np.diff(self.starts)

    @property
    def owners(self) -> np.ndarray:
        """The row of each value."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: np.ndarray) -> Ragged:
        """Return the rows of these numbers, in their order."""
        lengths = self.lengths[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], lengths)
        return Ragged(starts, self.values[places])

    def texts(self) -> list[str]:
        """Return what `of_texts` was made of."""
        content = self.values.tobytes()
        bounds = pairwise(self.starts.tolist())
        return [content[start:stop].decode("utf-8", "surrogateescape") for start, stop in bounds]

    @property
    def is_whole(self) -> bool:
        """Whether the starts fit the values, as those of a damaged file may not."""
        bounds = len(self.starts) > 0 and self.starts[0] == 0 and self.starts[-1] == len(self.values)
        return bool(bounds and (self.lengths >= 0).all())


class _Numbered(Sequence[Value], Generic[Value]):
    """Values by their numbers; a slice refers to them and makes none."""

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        if isinstance(index, slice):
            return Chosen(self, np.arange(len(self))[index])
        return self._at(range(len(self))[index])

    @abstractmethod
    def _at(self, number: int) -> Value:
        """Return the value of a number from 0 to the length."""


class Packed(_Numbered[Value]):
    """Values that are made anew each time they are asked for: a list of objects would be copied into every worker.

    Counting references writes to an object, so that a forked process soon has a copy of each one that it looks at.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        packed = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
        self._starts = np.zeros(len(packed) + 1, np.int64)
        np.cumsum([len(content) for content in packed], out=self._starts[1:])
        self._content = b"".join(packed)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _at(self, number: int) -> Value:
        value: Value = pickle.loads(self._content[self._starts[number] : self._starts[number + 1]])
        return value


class Chosen(_Numbered[Value]):
    """Some values of another sequence, by their numbers there."""

    def __init__(self, values: Sequence[Value], rows: np.ndarray) -> None:
        self.values = values
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def _at(self, number: int) -> Value:
        return self.values[int(self.rows[number])]

"""The files of a data set, each looked at once at the start: what they hold, and what is wrong with them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from segbench.core.errors import DataError
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.channels import Channels
from segbench.data.files.items import Item
from segbench.data.files.lookalikes import look
from segbench.data.pictures import stamp
from segbench.data.problems import Problems
from segbench.data.rasters import Raster

Stamps = list[tuple[int, int, int]]
Result = TypeVar("Result")
THREADS = min(8, os.cpu_count() or 1)
"""Decoders and digests release the interpreter lock; no more pictures than this wait in memory."""


class ItemReader(Protocol):
    """How a data set reads its items."""

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return an item's picture and its mask uint8 `[H,W]`; a DataError says why not."""
        ...

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from."""
        ...

    def label_bytes(self, item: Item) -> bytes:
        """Return the content that the mask is made from."""
        ...


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
        ids, counts = np.unique(mask, return_counts=True)
        labels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        low, high = ([], []) if image.dtype == np.uint8 else (image.min((0, 1)).tolist(), image.max((0, 1)).tolist())
        return cls(*mask.shape, labels, look(image), image.dtype.name, low, high, leaves_out)

    @property
    def is_labelled(self) -> bool:
        """Whether any pixel has a class."""
        return any(value != IGNORE_INDEX for value in self.labels)


class Index:
    """Digests and facts of items by their names.

    Args:
        reader: Reads the items.
        channels: What of their pictures is used.
    """

    def __init__(self, reader: ItemReader, channels: Channels) -> None:
        self.reader, self.channels = reader, channels
        self.digests: dict[str, str] = {}
        self.facts: dict[str, Facts] = {}
        self.failed: set[str] = set()
        self._stamps: dict[str, Stamps] = {}

    def add(self, items: Sequence[Item], problems: Problems) -> None:
        """Take the digest of all files; note those that cannot be read."""
        for item, found in _in_threads(self._digest, items):
            if isinstance(found, OSError):
                problems.add_file("missing", Path(found.filename or item.image), found.strerror or str(found))
                self.failed.add(item.name)
            else:
                self.digests[item.name], self._stamps[item.name] = found

    def _digest(self, item: Item) -> tuple[str, Stamps] | OSError:
        files = self.reader.files_of(item)
        try:
            special = [path for path in files if path.exists() and not path.is_file()]
            if special:  # reading a pipe would wait for ever
                return OSError(errno.EINVAL, "not a regular file", str(special[0]))
            stamps = [stamp(path) for path in files]
            image, label = item.image.read_bytes(), self.reader.label_bytes(item)
        except OSError as error:
            return error
        except ValueError as error:  # a name that no file can have, such as one with a zero byte
            return OSError(errno.EINVAL, str(error), str(item.image))
        return hashlib.blake2b(hashlib.blake2b(image).digest() + label, digest_size=16).hexdigest(), stamps

    def examine(self, items: Sequence[Item], problems: Problems) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield name, image and mask of all that can be read, in order; take down their facts, and note the rest."""
        for item, outcome in _in_threads(self._try_read, [item for item in items if item.name not in self.failed]):
            if isinstance(outcome, DataError):
                problems.add_error(outcome, item.image)
                self.failed.add(item.name)
                continue
            image, mask, facts = outcome
            self.facts[item.name] = facts
            yield item.name, image, mask

    def _try_read(self, item: Item) -> tuple[np.ndarray, np.ndarray, Facts] | DataError:
        try:
            raster, mask = self._read(item)
            image = self.channels.chosen(raster)
        except DataError as error:
            return error
        return image, mask, Facts.of(image, mask, leaves_out=self.channels.leaves_out(raster))

    def read(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Return an item's channels `[H,W,C]` with the values of its file, and its mask uint8 `[H,W]`.

        Raises:
            DataError: also if its files are not those any more that the fingerprint was made from.
        """
        raster, mask = self._read(item)
        return self.channels.chosen(raster), mask

    def _read(self, item: Item) -> tuple[Raster, np.ndarray]:
        self._check_stamps(item)
        found = self.reader.read(item)
        self._check_stamps(item)
        return found

    def _check_stamps(self, item: Item) -> None:
        for path, before in zip(self.reader.files_of(item), self._stamps[item.name], strict=True):
            if not path.exists() or stamp(path) != before:
                raise DataError(f"{path} was changed or removed after segbench had looked at it; start again")


def _in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the function's value, in order."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > THREADS:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()

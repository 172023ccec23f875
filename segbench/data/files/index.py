"""The files of a data set: looked at once, known by place and time of change, and read as they were then."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from segbench.core.collector import collector_paused
from segbench.core.errors import DataError
from segbench.core.ragged import Packed, Ragged
from segbench.data.channels import Channels
from segbench.data.files.facts import Facts, FactTable
from segbench.data.files.items import Item
from segbench.data.files.looking import looked_at
from segbench.data.files.remembered import Remembered
from segbench.data.files.stamps import CONTENT, STAMP, file_stamp, stamp_or_none, stamps_of
from segbench.data.problems import Problem, Problems
from segbench.data.rasters import Raster

KEEP_AFTER = 60.0
"""Seconds of looking after which what was found is kept; then after twice as many, and so on."""

WHAT = "looking at new or changed pictures"

Look = tuple[bytes, Facts] | list[Problem]
"""The digest and the facts of an item, or what is wrong with it."""


class ItemReader(Protocol):
    """How a data set reads its items."""

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return an item's picture and its mask uint8 `[H,W]`; a DataError says why not."""
        ...

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from."""
        ...

    def image_bytes(self, item: Item) -> bytes:
        """Return the content of the picture's file."""
        ...

    def label_bytes(self, item: Item) -> bytes:
        """Return the content that the mask is made from."""
        ...


class Index:
    """The items that can be used, their facts, and the stamps of their files.

    Args:
        reader: Reads the items.
        channels: What of their pictures is used.
    """

    def __init__(self, reader: ItemReader, channels: Channels) -> None:
        self.reader = reader
        self.channels = channels
        self.items: Sequence[Item] = ()
        """Sorted by name; those that could be read."""
        self.names = Ragged.of_texts([])
        """Of the items."""
        self.table = FactTable.of([], [])
        """Their facts."""
        self.stamps = Ragged.of([], np.int64)
        """The stamps of the files of each."""

    def fill(self, items: Sequence[Item], problems: Problems, *, processes: int, remembered: Remembered) -> None:
        """Take down what is known of items, and look at the others.

        Args:
            items: Sorted by name.
            problems: Takes note of what cannot be read.
            processes: How many may look at files at once.
            remembered: What earlier starts have found; what this one finds is added.
        """
        asked_at = time.time_ns()
        stamps, keys, rows = self._recall(items, remembered)
        unknown = np.flatnonzero(rows < 0)
        looks: list[Look] = []

        def keep() -> tuple[np.ndarray, FactTable]:
            """Keep what was found until now, and return which items these are, and their facts."""
            good = np.array([n for n, look in zip(unknown, looks, strict=False) if isinstance(look, tuple)], np.int64)
            fresh = [look for look in looks if isinstance(look, tuple)]
            table = FactTable.of([digest for digest, _ in fresh], [facts for _, facts in fresh])
            remembered.add([keys[n] for n in good], stamps.take(good), table=table, asked_at=asked_at)
            return good, table

        things = [(items[n], stamps[n]) for n in unknown.tolist()]
        keep_at = KEEP_AFTER
        began = time.monotonic()
        try:
            for found in looked_at(self._look, things, processes=processes, what=WHAT):
                looks.append(found)
                if time.monotonic() - began >= keep_at:  # a process that is killed keeps nothing at its end
                    keep()
                    keep_at *= 2
        finally:
            good, table = keep()
        for look in looks:
            problems.extend(look if isinstance(look, list) else [])
        known = np.flatnonzero(rows >= 0)
        usable = np.concatenate([known, good])
        order = np.argsort(usable)
        self.table = FactTable.joined([remembered.table.take(rows[known]), table]).take(order)
        self.stamps = stamps.take(usable[order])
        self._pack([items[n] for n in usable[order].tolist()])

    @collector_paused()
    def _recall(self, items: Sequence[Item], remembered: Remembered) -> tuple[Ragged, list[str], np.ndarray]:
        """Return the stamps of the files of items, what they are remembered by, and where, int64 `[N]`."""
        files = [[str(path) for path in self.reader.files_of(item)] for item in items]
        stamps = stamps_of(files)
        keys = ["\0".join([item.name, *paths]) for item, paths in zip(items, files, strict=True)]
        return stamps, keys, remembered.rows(keys, stamps)

    @collector_paused()
    def _pack(self, items: Sequence[Item]) -> None:
        self.items = Packed(items)
        self.names = Ragged.of_texts([item.name for item in items])

    def _look(self, item_and_stamps: tuple[Item, np.ndarray]) -> Look:
        item, stamps = item_and_stamps
        noted = Problems(getattr(self.reader, "root", None))
        try:
            for path in self.reader.files_of(item):
                file_stamp(path)
            digest = self._digest(item)
        except OSError as error:
            noted.add_file("missing", Path(error.filename or item.image), what=error.strerror or str(error))
            return list(noted)
        except DataError as error:
            noted.add_error(error, item.image)
            return list(noted)
        except ValueError as error:  # a name that no file can have, such as one with a zero byte
            noted.add_file("missing", item.image, what=str(error))
            return list(noted)
        try:
            raster, mask = self._read(item, stamps, digest=digest)
            image = self.channels.chosen(raster)
        except DataError as error:
            noted.add_error(error, item.image)
            return list(noted)
        return digest, Facts.of(image, mask, leaves_out=self.channels.leaves_out(raster))

    def _digest(self, item: Item) -> bytes:
        image = self.reader.image_bytes(item)
        label = self.reader.label_bytes(item)
        return hashlib.blake2b(hashlib.blake2b(image).digest() + label, digest_size=16).digest()

    def read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an item's channels `[H,W,C]` with the values of its file, and its mask uint8 `[H,W]`.

        Raises:
            DataError: also if its files are not those any more that the fingerprint was made from.
        """
        raster, mask = self._read(self.items[row], self.stamps[row], digest=self.table.digests[row].tobytes())
        return self.channels.chosen(raster), mask

    def _read(self, item: Item, stamps: np.ndarray, *, digest: bytes) -> tuple[Raster, np.ndarray]:
        try:
            return self.reader.read(item)
        finally:  # also where it cannot be read: of a file that was replaced meanwhile, that is what there is to say
            self._check_stamps(item, stamps, digest=digest)

    def _check_stamps(self, item: Item, stamps: np.ndarray, *, digest: bytes) -> None:
        """Raise a DataError if a file is another one; one that was only touched is read again to find out."""
        known = stamps.reshape(-1, STAMP).tolist()
        files = self.reader.files_of(item)
        is_touched = False
        for number, path in enumerate(files):
            now = stamp_or_none(path)
            before = known[number] if number < len(known) else []
            if now is None or now[:CONTENT] != before[:CONTENT]:
                raise DataError(f"{path} was changed or removed after segbench had looked at it; start again")
            is_touched = is_touched or now != before
        if is_touched and self._digest(item) != digest:
            raise DataError(f"{files[0]} or its mask was changed after segbench had looked at it; start again")

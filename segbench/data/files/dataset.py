"""The base of every data set of files: find, check, and serve each picture as it is, when it is asked for."""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from segbench.core.choices import SPLITS, Split
from segbench.core.collector import collector_paused
from segbench.core.errors import ConfigError, DataError
from segbench.core.plain import Json
from segbench.core.ragged import Chosen
from segbench.core.shared_memory import is_shared
from segbench.data.files.cache import Cache, Layout, Nothing, cached, folder_of, in_memory
from segbench.data.files.index import Index
from segbench.data.files.items import Item, Splits, subset
from segbench.data.files.levels import Range, given_levels
from segbench.data.files.lookalikes import remarks
from segbench.data.files.looking import looked_at, usable_cores
from segbench.data.files.measured import Measured
from segbench.data.files.remembered import Remembered, identity_of, known_counts
from segbench.data.folders import check_folder
from segbench.data.loading.datamodule import MEASURED_SAMPLES
from segbench.data.loading.source import Arrays
from segbench.data.loading.stored import StoredData
from segbench.data.problems import Problems
from segbench.data.rasters import Raster
from segbench.data.statistics import Statistics

VERSION = 2
"""To be raised when the same files come to be decoded differently; older caches are then not used."""


class FileData(StoredData):
    """Pictures and masks from files: checked at the start, decoded when they are asked for.

    Subclasses find the items of each split (`find`), and read one (`read`).

    Args:
        root: Folder of the data set.
        bands: Numbers of the bands of the files that are the image's channels, from 0; None for red, green and blue.
        range: What of the files' values becomes 0 and 1: `[low, high]`, or such a pair for each channel; `auto` takes 8
            bit as it is, and of anything else the smallest and largest value of the training split; `percentile` takes
            its 0.5th and 99.5th percentile.
        cache: Where decoded pictures are kept, at their own size: `memory`; a folder, or `disk` for one of the user's,
            from which they are mapped; `none`; `auto` for memory if they take at most a quarter of what is free.
        **common: As for all stored pictures: `StoredData`.
    """

    def __init__(
        self,
        root: str | None = None,
        bands: Sequence[int] | None = None,
        *,
        range: Range = "auto",
        cache: str | None = "auto",
        **common: Any,
    ) -> None:
        super().__init__(bands=bands, **common)
        self.range = range
        self.channels = replace(self.channels, levels=given_levels(range, self.channels.count))
        self.root = Path(root).expanduser() if root else None
        self.cache = "none" if cache is None else cache
        self.index = Index(self, self.channels)
        self.items: dict[str, Chosen[Item]] = dict.fromkeys(SPLITS, self._chosen([]))
        self.kept: Cache = Nothing()
        self.notes: list[str] = []
        self.began = 0
        """When the files that all items share began to be read, in nanoseconds."""

    @abstractmethod
    def find(self, problems: Problems) -> Splits:
        """Return the items of train, val and test, `test` being absent where there is none; note what does not fit."""

    @abstractmethod
    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return an item's picture and its mask uint8 `[H,W]`, of one size; a DataError says why not."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Return the settings that decide what the mask of an item is, for the fingerprint."""

    def label_bytes(self, item: Item) -> bytes:
        """Return the content that the mask is made from, for the fingerprint."""
        return Path(item.label).read_bytes()

    def image_bytes(self, item: Item) -> bytes:
        """Return the content of the picture's file, for the fingerprint."""
        return item.image.read_bytes()

    def shared_files(self) -> list[Path]:
        """Return the files that the masks of all items come from, where there are any."""
        return []

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from."""
        return [item.image, item.label]

    def parts(self) -> Sequence[str]:
        """Return which parts of the files are read, where they hold more: facts are of these alone."""
        return ()

    def folder(self) -> Path:
        """Return the folder of the data set; raises a ConfigError where `data.root` is not set."""
        self.place()
        assert self.root is not None
        return self.root

    def check_ids(self, problems: Problems) -> None:
        """Note what only shows in all masks together, by the facts of the index."""

    def place(self) -> str:
        """Return where the data is, for messages; raises a ConfigError if `data.root` is not set."""
        if self.root is None:
            raise ConfigError("data.root is not set; give data.root=DIR, the folder of the data set")
        return f"data.root={self.root}"

    def prepare(self) -> None:
        """Find and check everything; one DataError lists all that is wrong."""
        problems = self._look()
        self.check_ids(problems)
        problems.raise_any(self.place())
        self.kept = self._cache()
        self.notes += self._lookalikes()
        self.check_splits()
        self._settle_values()
        labelled = self.index.table.is_labelled
        for split in SPLITS:
            if not labelled[self.rows(split)].any():
                raise DataError(f"{self.place()}: no mask of the {split} split has a labelled pixel, all are 255")

    def count_training(self) -> Statistics:
        """Count the training split, where no earlier start has counted the same pictures."""
        levels = None
        if self.channels.levels is not None:
            levels = [level.tolist() for level in self.channels.levels]
        settings = [self._key(self.rows(Split.TRAIN)), self.channels.bands, levels, PIL.__version__, MEASURED_SAMPLES]
        return known_counts(settings if self._is_ours else None, super().count_training)

    def _cache(self) -> Cache:
        if self.cache == "none":
            return Nothing()
        layout = Layout(self.index.table, self.channels.count)
        if self.cache not in ("auto", "memory"):
            return cached(folder_of(self.cache), self._cache_key(), layout=layout, samples=self._all_pairs)
        key = ""
        if is_shared():  # else it would be worked out for nothing
            key = self._cache_key()
        return in_memory(self.cache, layout, num_workers=self.num_workers, key=key)

    def _cache_key(self) -> str:
        """Return a digest of everything that decides the decoded pictures."""
        return f"{self._key(np.arange(len(self.index.items)))}{self._bands_key()}"

    def _all_pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return looked_at(
            self._read_row, range(len(self.index.items)), processes=1, what="decoding pictures for the cache"
        )

    def problems(self) -> Problems:
        """Return all that is wrong, for `data check`; the samples that can be used are then served from their files."""
        try:
            problems = self._look(fresh=True)
        except DataError as error:
            problems = Problems(self.root)
            problems.add("missing", str(error))
            return problems
        self.check_ids(problems)
        self.notes += self._lookalikes()
        try:
            self._settle_values()
        except DataError as error:
            problems.add("range", str(error))
            self.items = dict.fromkeys(SPLITS, self._chosen([]))  # what their values mean is not known
        return problems

    def _lookalikes(self) -> list[str]:
        homes = np.full(len(self.index.items), "", object)
        for split in self._own_splits():
            homes[self.rows(split)] = split
        return remarks(self.index.names.texts(), homes.tolist(), bits=self.index.table.looks)

    def _settle_values(self) -> None:
        """Find out what the values of the files are, and what of them becomes 0 and 1."""
        training = self.rows(Split.TRAIN)
        if not len(training):
            return
        measured = Measured(
            range=self.range,
            channels=self.channels,
            table=self.index.table,
            training=training,
            name=lambda row: self.index.items[row].image.name,
            pair=self._pair,
        )
        values = measured.values(self.values)
        self.use_values(values)
        self.notes += measured.notes(values, {split: self.rows(split) for split in self._own_splits()})

    def adopt_values(self, record: Json | None) -> None:
        """Take the values as a trained run did, instead of measuring them; a given `data.range` counts more."""
        if isinstance(self.range, str):
            super().adopt_values(record)

    def _own_splits(self) -> list[Split]:
        """Return the splits that have pictures of their own."""
        return [split for split in SPLITS if split != Split.TEST or not self.test_is_val]

    def _look(self, *, fresh: bool = False) -> Problems:
        """Find all pictures and get to know their facts; with `fresh`, by looking at every one."""
        problems = Problems(self.root)
        self.notes = []
        self.began = time.time_ns()
        splits = self._find(problems)
        unique = {item.name: item for items in splits.values() for item in items}
        remembered = Remembered(self._identity(), fresh=fresh)
        processes = self.num_workers or usable_cores()
        self.index = Index(self, self.channels)
        self.index.fill([unique[name] for name in sorted(unique)], problems, processes=processes, remembered=remembered)
        self.notes += [remembered.note] if remembered.note else []
        places = {name: row for row, name in enumerate(self.index.names.texts())}
        for split in SPLITS:
            self.items[split] = self._chosen([places[item.name] for item in splits[split] if item.name in places])
        return problems

    @collector_paused()
    def _find(self, problems: Problems) -> dict[str, list[Item]]:
        """Return the items of the three splits, limited to their sizes."""
        place = self.place()
        if self.root is not None:
            check_folder(self.root, "data.root")
        found = self.find(problems)
        if Split.TEST not in found:
            self.use_val_as_test(place)
            found[Split.TEST] = found[Split.VAL]
        explained = bool(problems)
        for split in SPLITS:
            if not found[split] and not explained:
                problems.add("missing", f"the {split} split is empty; {self.empty_advice(split)}")
            elif found[split]:
                found[split] = self._limited(split, found[split], problems=problems)
        return {split: found[split] for split in SPLITS}

    @property
    def _is_ours(self) -> bool:
        """Whether the code that reads the files is of this version; that of others may change at any time."""
        return type(self).__module__.startswith("segbench.")

    def _identity(self) -> str | None:
        """Return what the facts of the files are kept under, if the shared ones are as they were when it began."""
        if not self._is_ours:
            return None
        kind = type(self).__qualname__
        settings = [kind, str(self.root), self.classes, self.settings(), self.channels.bands, self.parts()]
        return identity_of([VERSION, PIL.__version__, *settings], self.shared_files(), began=self.began)

    def _chosen(self, rows: Sequence[int]) -> Chosen[Item]:
        return Chosen(self.index.items, np.array(rows, np.int64))

    def rows(self, split: Split) -> np.ndarray:
        """Return the numbers in the index of the pictures of a split, int64 `[N]`."""
        return self.items[split].rows

    def empty_advice(self, split: Split) -> str:
        """Return what would fill a split that has no pictures."""
        return f"put pictures of {split} into {self.root}"

    def _limited(self, split: Split, items: list[Item], *, problems: Problems) -> list[Item]:
        try:
            return subset(items, self.limits[split], seed=self.seed)
        except DataError as error:
            problems.add("missing", f"data.{split}_size: {error}")
            return items

    def num_samples(self, split: Split) -> int:
        """Return the number of pictures of a split."""
        return len(self.items[split])

    def original(self, split: Split, index: int) -> Arrays:
        """Return image and mask of a picture at its own size, as arrays that may be changed."""
        image, mask = self._pair(int(self.items[split].rows[index]))
        return {"image": np.array(self.channels.scaled(image)), "mask": np.array(mask)}

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return image and mask of a picture at the size of the data set: the whole picture, or a crop of it."""
        image, mask = self._pair(int(self.items[split].rows[index]))
        return self.trained_on({"image": self.channels.scaled(image), "mask": mask}, epoch=epoch, index=index)

    def _pair(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        found = self.kept.get(row)
        if found is None:
            image, mask = self._read_row(row)
            self.kept.put(row, image, mask=mask)
            return image, mask
        return found

    def _read_row(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self.index.read(row)
        except DataError as error:
            raise DataError(f"{self.index.items[row].image}: {error}") from None

    def describe_sample(self, split: Split, index: int) -> str:
        """Return the name of a picture's file."""
        return self.items[split][index].image.name

    def image_name(self, split: Split, index: int) -> str:
        """Return the path of a picture within `data.root`; the whole path where it lies elsewhere."""
        path = self.items[split][index].image
        if self.root is not None and path.is_relative_to(self.root):
            path = path.relative_to(self.root)
        return path.as_posix()

    def locate_sample(self, split: Split, index: int) -> str:
        """Return the path of a picture's file."""
        return str(self.items[split][index].image)

    def fingerprint(self, split: Split) -> str:
        """Return a digest of the names and contents of the files of a split, and of what their labels mean."""
        return self._key(self.rows(split))[:16]

    def _bands_key(self) -> str:
        """Return what the name of a cache says of the bands in it."""
        bands = self.channels.bands
        if bands is None:
            return ""
        return f"-{hashlib.blake2b(json.dumps(list(bands)).encode(), digest_size=8).hexdigest()}"

    def _key(self, rows: np.ndarray) -> str:
        names = self.index.names.take(rows).texts()
        digests = self.index.table.digests[rows].tobytes().hex()
        contents = [[name, digests[32 * number : 32 * number + 32]] for number, name in enumerate(names)]
        text = json.dumps([contents, self.classes, VERSION, self.settings()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

"""The base of every data set of files: find, check, and serve each picture as it is, when it is asked for."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.channels import Channels
from segbench.data.files.cache import Cache, Memory, automatic_limit, cached
from segbench.data.files.index import Index
from segbench.data.files.items import Item, subset
from segbench.data.files.levels import Range, extremes, given_levels, kind_of, percentiles, spaced
from segbench.data.files.lookalikes import remarks
from segbench.data.loading.source import Arrays
from segbench.data.loading.viewed import ViewedData
from segbench.data.problems import Problems
from segbench.data.rasters import Raster
from segbench.data.values import Values

MISSING_TEST = ("refuse", "val")
VERSION = 2
"""To be raised when the same files come to be decoded differently; older caches are then not used."""

Splits = dict[str, list[Item]]


class FileData(ViewedData):
    """Pictures and masks from files: checked at the start, decoded when they are asked for.

    Subclasses find the items of each split (`find`), and read one (`read`).

    Args:
        root: Folder of the data set.
        bands: Numbers of the bands of the files that are the image's channels, from 0; None for red, green and blue.
        display: The one or three of them that panels show; None for the first three.
        range: What of the files' values becomes 0 and 1: `[low, high]`, or such a pair for each channel; `auto` takes 8
            bit as it is, and of anything else the smallest and largest value of the training split; `percentile` takes
            its 0.5th and 99.5th percentile.
        cache: Where decoded pictures are kept, at their own size: `memory`; a folder, from which they are mapped; None
            for nowhere; `auto` for memory if they take at most a quarter of what is free.
        missing_test: Where there is no test split: `refuse`, or `val` to report the scores of val as the test's.
        train_size: Pictures of the training split to use, chosen by name and `seed`; None for all.
        val_size: Likewise for val.
        test_size: Likewise for test.
        **common: As for all pictures of files: `ViewedData`.
    """

    def __init__(
        self,
        root: str | None = None,
        bands: Sequence[int] | None = None,
        display: Sequence[int] | None = None,
        range: Range = "auto",
        cache: str | None = "auto",
        missing_test: str = "refuse",
        train_size: int | None = None,
        val_size: int | None = None,
        test_size: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(channels=Channels.of(bands, display), **common)
        self.range = range
        self.channels = replace(self.channels, levels=given_levels(range, self.channels.count))
        if missing_test not in MISSING_TEST:
            raise ConfigError(f"data.missing_test={missing_test} is unknown{nearest(missing_test, MISSING_TEST)}")
        self.limits = {Split.TRAIN: train_size, Split.VAL: val_size, Split.TEST: test_size}
        for split, limit in self.limits.items():
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigError(f"data.{split}_size must be null or a whole number of at least 1, got {limit!r}")
        self.root = Path(root).expanduser() if root else None
        self.cache = cache
        self.missing_test = missing_test
        self.items: Splits = {split: [] for split in SPLITS}
        self.test_is_val = False
        self.index = Index(self, self.channels)
        self.kept: Cache | None = None
        self.notes: list[str] = []

    @abstractmethod
    def find(self, problems: Problems) -> Splits:
        """Return the items of train, val and test, `test` being absent where there is none; note what does not fit."""

    @abstractmethod
    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return an item's picture and its mask uint8 `[H,W]`, of one size; a DataError says why not."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings that decide what the mask of an item is, for the fingerprint."""

    def label_bytes(self, item: Item) -> bytes:
        """Return the content that the mask is made from, for the fingerprint."""
        return Path(item.label).read_bytes()

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from."""
        return [item.image, Path(item.label)]

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
        problems = self._find()
        self.kept = self._examine(problems)
        self.notes += self._lookalikes()
        self.check_splits()
        self._settle_values()
        for split in SPLITS:
            if not any(self.index.facts[item.name].is_labelled for item in self.items[split]):
                raise DataError(f"{self.place()}: no mask of the {split} split has a labelled pixel, all are 255")

    def _examine(self, problems: Problems) -> Cache:
        items = self._unique()

        def samples() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            yield from self.index.examine(items, problems)
            self.check_ids(problems)
            problems.raise_any(self.place())

        if self.cache in (None, "auto", "memory"):
            limits = {None: 0.0, "auto": automatic_limit(self.num_workers), "memory": float("inf")}
            memory = Memory(limits[self.cache])
            for sample in samples():
                memory.add(*sample)
            return memory
        problems.raise_any(self.place())
        kept = cached(
            Path(self.cache).expanduser(), f"{self._key(items)}{self._bands_key()}", samples, self.index.facts
        )
        self.index.facts = kept.facts
        return kept

    def problems(self) -> Problems:
        """Return all that is wrong, for `data check`; the samples that can be used are then served from their files."""
        try:
            problems = self._find()
        except DataError as error:
            problems = Problems(self.root)
            problems.add("missing", str(error))
            return problems
        for _ in self.index.examine(self._unique(), problems):
            pass
        self.check_ids(problems)
        self.items = {split: [i for i in self.items[split] if i.name not in self.index.failed] for split in SPLITS}
        self.notes += self._lookalikes()
        try:
            self._settle_values()
        except DataError as error:
            problems.add("range", str(error))
            self.items = {split: [] for split in SPLITS}  # what their values mean is not known
        return problems

    def _lookalikes(self) -> list[str]:
        own = {split: items for split, items in self.items.items() if split != Split.TEST or not self.test_is_val}
        return remarks(own, {name: facts.look for name, facts in self.index.facts.items()})

    def _settle_values(self) -> None:
        """Find out what the values of the files are, and what of them becomes 0 and 1."""
        facts = [(item.image.name, self.index.facts[item.name]) for item in self._unique()]
        training = [item for item in self.items[Split.TRAIN] if item.name in self.index.facts]
        if not facts or not training:
            return
        kind = kind_of(facts, self.range)
        if self.values is not None and isinstance(self.range, str):  # as the run was trained that is evaluated
            self.values.check(kind)
        elif self.range == "percentile":
            pairs = (self._pair(training[number]) for number in spaced(len(training)))
            self.use_values(Values(kind, percentiles(image for image, _ in pairs)))
        elif self.range == "auto":
            measured = extremes([self.index.facts[item.name] for item in training]) if kind != "uint8" else None
            self.use_values(Values(kind, measured))
        else:
            self.use_values(Values(kind, self.channels.levels, is_given=True))
        self._note_values()

    def adopt_values(self, record: Mapping[str, Any] | None) -> None:
        """Take the values as a trained run did, instead of measuring them; a given `data.range` counts more."""
        if isinstance(self.range, str):
            super().adopt_values(record)

    def _note_values(self) -> None:
        """Note what has to be known about the pictures' values and bands."""
        if self.values is not None and self.values.levels is not None:
            source = "as given" if not isinstance(self.range, str) else "measured on the training split"
            self.notes.append(f"values: {self.values}, {source} (data.range={self.range})")
        left_out = sum(facts.leaves_out for facts in self.index.facts.values())
        if left_out:
            self.notes.append(
                f"bands: {left_out:,} of {len(self.index.facts):,} pictures have more than red, green and blue, such as"
                " transparency, which is not used; data.bands=[0,1,2,3] uses the fourth"
            )

    def _find(self) -> Problems:
        problems, self.index = Problems(self.root), Index(self, self.channels)
        self.notes = []
        place = self.place()
        if self.root is not None and not self.root.is_dir():
            siblings = [i.name for i in self.root.parent.iterdir() if i.is_dir()] if self.root.parent.is_dir() else []
            hint = nearest(self.root.name, siblings)
            raise DataError(f"{place}: there is no such folder{hint if 'did you mean' in hint else ''}")
        found = self.find(problems)
        if Split.TEST not in found:
            if self.missing_test == "refuse":
                raise DataError(
                    f"{place}: there is no test split; give data.missing_test=val to report the scores of val instead"
                )
            self.test_is_val = True
            found[Split.TEST] = found[Split.VAL]
        explained = bool(problems)
        for split in SPLITS:
            if not found[split] and not explained:
                problems.add("missing", f"the {split} split is empty; {self.empty_advice(split)}")
            elif found[split]:
                found[split] = self._limited(split, found[split], problems)
            self.items[split] = found[split]
        self.index.add(self._unique(), problems)
        return problems

    def empty_advice(self, split: Split) -> str:
        """Return what would fill a split that has no pictures."""
        return f"put pictures of {split} into {self.root}"

    def _limited(self, split: Split, items: list[Item], problems: Problems) -> list[Item]:
        try:
            return subset(items, self.limits[split], self.seed)
        except DataError as error:
            problems.add("missing", f"data.{split}_size: {error}")
            return items

    def _unique(self) -> list[Item]:
        unique = {item.name: item for split in SPLITS for item in self.items[split]}
        return [unique[name] for name in sorted(unique)]

    def num_samples(self, split: Split) -> int:
        """Return the number of pictures of a split."""
        return len(self.items[split])

    def original(self, split: Split, index: int) -> Arrays:
        """Return image and mask of a picture at its own size, as arrays that may be changed."""
        image, mask = self._pair(self.items[split][index])
        return {"image": np.array(self.channels.scaled(image)), "mask": np.array(mask)}

    def sample(self, split: Split, epoch: int, index: int) -> Arrays:
        """Return image and mask of a picture at the size of the data set: the whole picture, or a crop of it."""
        image, mask = self._pair(self.items[split][index])
        return self.trained_on({"image": self.channels.scaled(image), "mask": mask}, epoch, index)

    def _pair(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        found = None if self.kept is None else self.kept.get(item.name)
        if found is not None:
            return found
        try:
            return self.index.read(item)
        except DataError as error:
            raise DataError(f"{item.image}: {error}") from None

    def describe(self, split: Split) -> str:
        """Return how many pictures a split has, and whether the test is val."""
        note = " of val (the data has no test split)" if split == Split.TEST and self.test_is_val else ""
        return f"{self.num_samples(split):,} pictures{note}"

    def describe_sample(self, split: Split, index: int) -> str:
        """Return the name of a picture's file."""
        return self.items[split][index].image.name

    def image_name(self, split: Split, index: int) -> str:
        """Return the path of a picture within `data.root`; the whole path where it lies elsewhere."""
        path = self.items[split][index].image
        inside = self.root is not None and path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def locate_sample(self, split: Split, index: int) -> str:
        """Return the path of a picture's file."""
        return str(self.items[split][index].image)

    def fingerprint(self, split: Split) -> str:
        """Return a digest of the names and contents of the files of a split, and of what their labels mean."""
        return self._key(self.items[split])[:16]

    def _bands_key(self) -> str:
        """Return what the name of a cache says of the bands in it."""
        bands = self.channels.bands
        return (
            "" if bands is None else f"-{hashlib.blake2b(json.dumps(list(bands)).encode(), digest_size=8).hexdigest()}"
        )

    def _key(self, items: list[Item]) -> str:
        contents = [[item.name, self.index.digests[item.name]] for item in items]
        text = json.dumps([contents, self.classes, VERSION, self.settings()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

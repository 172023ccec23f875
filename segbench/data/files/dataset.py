"""The base of every data set of files: find, check, decode once, serve."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.files.cache import Decoded, cached, in_memory
from segbench.data.files.fitting import Fitting
from segbench.data.files.items import Item, subset
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import SPLITS, Arrays
from segbench.data.pictures import stamp
from segbench.data.problems import Problems

MISSING_TEST = ("refuse", "val")
VERSION = 1
"""To be raised when the same files come to be decoded differently; older caches are then not used."""
CHUNK = 64
"""Files that are decoded together; it bounds what waits in memory."""

Splits = dict[str, list[Item]]
Result = TypeVar("Result")


class FileData(SegmentationData):
    """Pictures and masks from files, decoded once at start-up and served from uint8 arrays.

    Subclasses find the items of each split (`find`), and read one (`read`).

    Args:
        root: Folder of the data set.
        fit: How pictures come to `size`: `stretch`, `crop` or `pad` (see `Fitting`).
        cache: Folder for the decoded arrays, which are then mapped instead of held in memory; None for memory.
        missing_test: Where there is no test split: `refuse`, or `val` to report the scores of val as the test's.
        train_size: Pictures of the training split to use, chosen by name and `seed`; None for all.
        val_size: Likewise for val.
        test_size: Likewise for test.
        **common: As for every data set: `SegmentationData`.
    """

    def __init__(
        self,
        root: str | None = None,
        fit: str = "stretch",
        cache: str | None = None,
        missing_test: str = "refuse",
        train_size: int | None = None,
        val_size: int | None = None,
        test_size: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.fit = fit
        self.fitting = Fitting(self.size, fit)
        if missing_test not in MISSING_TEST:
            raise ConfigError(f"data.missing_test={missing_test} is unknown{nearest(missing_test, MISSING_TEST)}")
        self.limits = {"train": train_size, "val": val_size, "test": test_size}
        for split, limit in self.limits.items():
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigError(f"data.{split}_size must be null or a whole number of at least 1, got {limit!r}")
        self.root = Path(root).expanduser() if root else None
        self.cache = Path(cache).expanduser() if cache else None
        self.missing_test = missing_test
        self.items: Splits = {split: [] for split in SPLITS}
        self.test_is_val = False
        self.decoded: Decoded | None = None
        self._failed: set[str] = set()
        self._stamps: dict[str, list[tuple[int, int, int]]] = {}

    @abstractmethod
    def find(self, problems: Problems) -> Splits:
        """Return the items of train, val and test, `test` being absent where there is none; note what does not fit."""

    @abstractmethod
    def read(self, item: Item) -> tuple[Image.Image, np.ndarray]:
        """Return an item's RGB picture and its mask uint8 `[H, W]`, of one size; a DataError says why not."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings that decide what `read` returns, for the fingerprint."""

    def label_bytes(self, item: Item) -> bytes:
        """Return the content that the mask is made from, for the fingerprint."""
        return Path(item.label).read_bytes()

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from."""
        return [item.image, Path(item.label)]

    def check_ids(self, pixels: np.ndarray, problems: Problems) -> None:
        """Note what only shows in all masks together; `pixels` counts each id 0..255 over the data set."""

    def place(self) -> str:
        """Return where the data is, for messages; raises a ConfigError if `data.root` is not set."""
        if self.root is None:
            raise ConfigError("data.root is not set; give data.root=DIR, the folder of the data set")
        return f"data.root={self.root}"

    def prepare(self) -> None:
        """Find, check and decode everything; one DataError lists all that is wrong."""
        problems = self._index()
        items = self._unique()

        def samples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            yield from self._examine(items, problems)
            problems.raise_any(self.place())

        if self.cache is not None and not problems:
            self.decoded = cached(self.cache, self._key(items), samples, len(items), self.size)
        else:
            self.decoded = in_memory(samples(), len(items), self.size)
        self._rows = {item.name: row for row, item in enumerate(items)}
        self.check_splits()
        for split in SPLITS:
            if not any((self.decoded.masks[self._rows[item.name]] != IGNORE_INDEX).any() for item in self.items[split]):
                raise DataError(f"{self.place()}: no mask of the {split} split has a labelled pixel, all are 255")

    def problems(self) -> Problems:
        """Return all that is wrong, for `data check`; the samples that can be used are then served from their files."""
        try:
            problems = self._index()
        except DataError as error:
            problems = Problems(self.root)
            problems.add("missing", str(error))
            return problems
        for _ in self._examine(self._unique(), problems):
            pass
        self.items = {split: [i for i in self.items[split] if i.name not in self._failed] for split in SPLITS}
        return problems

    def _index(self) -> Problems:
        problems, self._failed = Problems(self.root), set()
        place = self.place()
        if self.root is not None and not self.root.is_dir():
            siblings = [i.name for i in self.root.parent.iterdir() if i.is_dir()] if self.root.parent.is_dir() else []
            hint = nearest(self.root.name, siblings)
            raise DataError(f"{place}: there is no such folder{hint if 'did you mean' in hint else ''}")
        found = self.find(problems)
        if "test" not in found:
            if self.missing_test == "refuse":
                raise DataError(
                    f"{place}: there is no test split; give data.missing_test=val to report the scores of val instead"
                )
            self.test_is_val = True
            found["test"] = found["val"]
        explained = bool(problems)
        for split in SPLITS:
            if not found[split] and not explained:
                problems.add("missing", f"the {split} split is empty; {self.empty_advice(split)}")
            elif found[split]:
                found[split] = self._limited(split, found[split], problems)
            self.items[split] = found[split]
        self._digests = self._read_digests(problems)
        return problems

    def empty_advice(self, split: str) -> str:
        """Return what would fill a split that has no pictures."""
        return f"put pictures of {split} into {self.root}"

    def _limited(self, split: str, items: list[Item], problems: Problems) -> list[Item]:
        try:
            return subset(items, self.limits[split], self.seed)
        except DataError as error:
            problems.add("missing", f"data.{split}_size: {error}")
            return items

    def _unique(self) -> list[Item]:
        unique = {item.name: item for split in SPLITS for item in self.items[split]}
        return [unique[name] for name in sorted(unique)]

    def _read_digests(self, problems: Problems) -> dict[str, str]:
        def digest(item: Item) -> tuple[str, list[tuple[int, int, int]]] | OSError:
            try:
                special = [path for path in self.files_of(item) if path.exists() and not path.is_file()]
                if special:  # reading a pipe would wait for ever
                    return OSError(errno.EINVAL, "not a regular file", str(special[0]))
                stamps = [stamp(path) for path in self.files_of(item)]
                image, label = item.image.read_bytes(), self.label_bytes(item)
            except OSError as error:
                return error
            except ValueError as error:  # a name that no file can have, such as one with a zero byte
                return OSError(errno.EINVAL, str(error), str(item.image))
            return hashlib.blake2b(hashlib.blake2b(image).digest() + label, digest_size=16).hexdigest(), stamps

        digests = {}
        for item, found in _in_threads(digest, self._unique()):
            if isinstance(found, OSError):
                problems.add_file("missing", Path(found.filename or item.image), found.strerror or str(found))
                self._failed.add(item.name)
            else:
                digests[item.name], self._stamps[item.name] = found
        return digests

    def _examine(self, items: list[Item], problems: Problems) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield image and mask of all that can be read, in order, and note the rest."""
        pixels = np.zeros(256, np.int64)
        for item, outcome in _in_threads(self._try_read, [item for item in items if item.name not in self._failed]):
            if isinstance(outcome, DataError):
                problems.add_error(outcome, item.image)
                self._failed.add(item.name)
                continue
            image, mask, counts = outcome
            pixels += counts
            yield image, mask
        self.check_ids(pixels, problems)

    def _try_read(self, item: Item) -> tuple[np.ndarray, np.ndarray, np.ndarray] | DataError:
        try:
            image, mask = self._read_as_indexed(item)
        except DataError as error:
            return error
        return self.fitting.image(image), self.fitting.mask(mask), np.bincount(mask.ravel(), minlength=256)

    def _read_as_indexed(self, item: Item) -> tuple[Image.Image, np.ndarray]:
        """Read an item; a DataError if its files are not those any more that the fingerprint was made from."""
        self._check_stamps(item)
        found = self.read(item)
        self._check_stamps(item)
        return found

    def _check_stamps(self, item: Item) -> None:
        for path, before in zip(self.files_of(item), self._stamps[item.name], strict=True):
            if not path.exists() or stamp(path) != before:
                raise DataError(f"{path} was changed or removed after segbench had looked at it; start again")

    def num_samples(self, split: str) -> int:
        """Return the number of pictures of a split."""
        return len(self.items[split])

    def sample(self, split: str, epoch: int, index: int) -> Arrays:
        """Return image and mask of a picture, as copies that may be changed; the epoch plays no part."""
        item = self.items[split][index]
        if self.decoded is None:
            try:
                image, mask = self._read_as_indexed(item)
            except DataError as error:
                raise DataError(f"{item.image}: {error}") from None
            return {"image": self.fitting.image(image), "mask": self.fitting.mask(mask)}
        self.decoded.check()
        row = self._rows[item.name]
        return {"image": np.array(self.decoded.images[row]), "mask": np.array(self.decoded.masks[row])}

    def describe(self, split: str) -> str:
        """Return how many pictures a split has, and whether the test is val."""
        note = " of val (the data has no test split)" if split == "test" and self.test_is_val else ""
        return f"{self.num_samples(split):,} pictures{note}"

    def describe_sample(self, split: str, index: int) -> str:
        """Return the name of a picture's file."""
        return self.items[split][index].image.name

    def image_name(self, split: str, index: int) -> str:
        """Return the path of a picture within `data.root`; the whole path where it lies elsewhere."""
        path = self.items[split][index].image
        inside = self.root is not None and path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def locate_sample(self, split: str, index: int) -> str:
        """Return the path of a picture's file."""
        return str(self.items[split][index].image)

    def fingerprint(self, split: str) -> str:
        """Return a digest of the names and contents of the files of a split and of all settings that shape samples."""
        return self._key(self.items[split])[:16]

    def _key(self, items: list[Item]) -> str:
        contents = [[item.name, self._digests[item.name]] for item in items]
        shape = {"size": self.size, "fit": self.fitting.policy, "classes": self.classes, "version": VERSION}
        text = json.dumps([contents, shape, self.settings()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _in_threads(function: Callable[[Item], Result], items: list[Item]) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the function's value, in order; decoders and digests release the interpreter lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            yield from zip(chunk, pool.map(function, chunk), strict=True)

"""shards: what `segbench data export --format webdataset` wrote, from a folder or from object storage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError
from segbench.core.rng import Bijection
from segbench.data.export.manifest import UNIT
from segbench.data.loading.source import Arrays
from segbench.data.loading.stored import StoredData
from segbench.data.shards.order import BlockOrder
from segbench.data.shards.record import ShardRecord, read_record
from segbench.data.shards.samples import Shards, decode, row
from segbench.data.shards.store import Store, open_store


class ShardedData(StoredData):
    """The shards of an export. Starting takes as long for ten billion samples as for ten.

    Args:
        root: The export: a folder, or an address that fsspec knows, such as `s3://bucket/folder`.
        entries: The arrays that every sample of it has.
        block: Consecutive samples that are read together; an epoch shuffles the blocks.
        window: Blocks whose samples are mixed with each other.
        lanes: Parts of an epoch that read different blocks; processes that share a training each read their own where
            this is a multiple of their number.
        cache: Folder for what is fetched from another machine; `auto` for a temporary one.
        cache_gb: Most gigabytes in it.
        storage: Options of fsspec's file system, such as `endpoint_url`.
        train_size: Samples of the training split to use, by blocks that `seed` chooses; None for all.
        **common: As for all stored pictures: `StoredData`.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        entries: Sequence[str] = ("image", "mask"),
        block: int = 64,
        window: int = 16,
        lanes: int = 1,
        cache: str = "auto",
        cache_gb: float = 20.0,
        storage: Mapping[str, object] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for name, value in (("block", block), ("window", window), ("lanes", lanes)):
            if value < 1:
                raise ConfigError(f"data.{name} must be at least 1, got {value}")
        if cache_gb <= 0:
            raise ConfigError(f"data.cache_gb must be more than 0, got {cache_gb}")
        if self.batch_size % lanes:
            raise ConfigError(f"data.lanes must divide data.batch_size={self.batch_size}, got {lanes}")
        self.root = root
        self.entries = tuple(entries)
        self.block = block
        self.window = window
        self.lanes = lanes
        self.cache = None if cache == "auto" else cache
        self.cache_gb = cache_gb
        self.storage = dict(storage or {})
        self.record: ShardRecord | None = None
        self._shards: dict[str, Shards] = {}
        self._counts: dict[str, int] = {}
        self._chosen: dict[str, Bijection] = {}

    def prepare(self) -> None:
        """Read the record of the export and the index of each split's first shard.

        Raises:
            ConfigError: if `data.root` is not set, or classes are not those of the export.
            DataError: if there is no complete export, or a split is missing.
        """
        if self.root is None:
            raise ConfigError(
                "data.root is not set; give data.root=DIR, what segbench data export --format webdataset wrote"
            )
        store = open_store(self.root, cache=self.cache, cache_gb=self.cache_gb, options=self.storage)
        self.record = read_record(store, self.root)
        if self.classes != self.record.classes:
            raise ConfigError(
                f"data.classes={self.classes} are not those of data.root={self.root}: {self.record.classes}"
            )
        if set(self.entries) - set(self.record.entries):
            raise ConfigError(
                f"data.entries={list(self.entries)} are not in data.root={self.root}: {self.record.entries}"
            )
        self.adopt_values(self.record.values)
        self.test_is_val = self.record.test_is_val
        for split in SPLITS:
            self._open_split(store, split)
        self.check_splits()
        for split in SPLITS:
            self.original(split, 0)  # a copy that is not whole shows before anything is trained

    def _open_split(self, store: Store, split: Split) -> None:
        assert self.record is not None
        source = split
        if split == Split.TEST and not self.record.samples.get(Split.TEST):
            self.use_val_as_test(f"data.root={self.root}")
            source = Split.VAL
        samples = self.record.samples.get(source, 0)
        if not samples:
            raise DataError(f"data.root={self.root}: the {split} split has no samples; export it as well")
        wanted = self.limits[split]
        if wanted is not None and wanted > samples:
            raise ConfigError(
                f"data.{split}_size must be null or 1 to {samples:,}, the samples of {split}, got {wanted}"
            )
        self._shards[split] = Shards(store, source, samples=samples, chunk=self.record.chunk, block=self.block)
        self._counts[split] = samples if wanted is None else wanted
        if self._counts[split] < samples:
            self._chosen[split] = Bijection(max(1, samples // self.block), "subset", self.seed, source)

    def num_samples(self, split: Split) -> int:
        """Return the number of samples of a split."""
        return self._counts[split]

    def order(self, epoch: int) -> Callable[[int], int]:
        """Return the order of an epoch: blocks shuffled, samples mixed within a window of blocks."""
        return BlockOrder(
            self.num_samples(Split.TRAIN),
            block=self.block,
            window=self.window,
            lanes=self.lanes,
            batch_size=self.batch_size,
            words=("order", self.order_seed, epoch),
        )

    def _place(self, split: Split, index: int) -> int:
        """Return the number in the export of a sample of a split that is perhaps a part of the exported one."""
        if split not in self._chosen:
            return index
        slot, offset = divmod(index, self.block)
        chosen = self._chosen[split]
        return (chosen(slot) if slot < chosen.size else slot) * self.block + offset

    def original(self, split: Split, index: int) -> Arrays:
        """Return the arrays of a sample as they were exported."""
        members = self._shards[split].members(self._place(split, index))
        try:
            return decode(members)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.locate_sample(split, index)} cannot be decoded: {error}") from error

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return the arrays of a sample at the size of the data set: the whole picture, or a crop of it."""
        return self.trained_on(self.original(split, index), epoch=epoch, index=index)

    def _row(self, split: Split, index: int) -> dict[str, Any]:
        return row(self._shards[split].members(self._place(split, index)))

    def locate_sample(self, split: Split, index: int) -> str:
        """Return the shard of a sample and its number in the export."""
        return f"sample {self._place(split, index)} of {self._shards[split].split} in {self.root}"

    def describe_sample(self, split: Split, index: int) -> str:
        """Return what the exported data set calls a sample."""
        return str(self._row(split, index).get("source", f"{split} {index}"))

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the units that the exported data set gave a sample."""
        found = self._row(split, index)
        return {name.removeprefix(UNIT): str(unit) for name, unit in found.items() if name.startswith(UNIT)}

    def fingerprint(self, split: Split) -> str:
        """Return that of the exported data set where all of the split is used and nothing was lost in writing it."""
        assert self.record is not None
        shards = self._shards[split]
        found = self.record.fingerprint[shards.split]
        if self.record.is_exact and self._counts[split] == shards.samples:
            return found
        part = [found, self.record.export, self._counts[split], self.block, self.seed]
        return hashlib.blake2b(json.dumps(part, sort_keys=True).encode(), digest_size=8).hexdigest()

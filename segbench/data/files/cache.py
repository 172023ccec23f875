"""Pictures kept at their own size: in memory that all workers share, or in a folder that outlives the process."""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock

from segbench.core.errors import ConfigError, DataError
from segbench.core.files import sync_folder
from segbench.core.memory import available_memory
from segbench.core.shared_memory import shared_memory
from segbench.core.user_cache import cache_home
from segbench.data.files.facts import FactTable
from segbench.data.folders import stamp
from segbench.data.values import KINDS

Pair = tuple[np.ndarray, np.ndarray]
Samples = Iterator[Pair]
WORDS = ("auto", "memory", "disk", "none")
"""What `data.cache` may be beside a folder and null, which is none."""

PIXELS = "pixels.bin"
INDEX = "index.json"
FORMAT = "2"
"""A part of a cache's name, to be raised when its pixels come to lie elsewhere."""

MEMORY_SHARE = 4
"""`data.cache=auto` keeps pictures that take at most this part of the memory that is free: a quarter."""

ALIGNED = 16
"""Pictures begin at multiples of so many bytes, for values of any type."""


class Cache(Protocol):
    """Where pictures may be had without decoding them."""

    def get(self, row: int) -> Pair | None:
        """Return image and mask, which must not be changed; None where they have to be read from their files."""
        ...

    def put(self, row: int, image: np.ndarray, *, mask: np.ndarray) -> None:
        """Take a picture that was read."""
        ...


class Layout:
    """Where each picture and its mask lie among the bytes of all; it follows from their sizes and types.

    Args:
        table: The facts of the pictures.
        channels: Channels of each.
    """

    def __init__(self, table: FactTable, channels: int) -> None:
        self.channels = channels
        self.sizes = table.sizes
        self.kinds = table.kinds
        widths = np.array([np.dtype(kind).itemsize for kind in KINDS])[table.kinds]
        lengths = table.sizes.prod(axis=1) * (channels * widths + 1)
        self.starts = np.concatenate([[0], np.cumsum(-(-lengths // ALIGNED) * ALIGNED)]).astype(np.int64)

    @property
    def total(self) -> int:
        """Bytes of all."""
        return int(self.starts[-1])

    def arrays(self, pixels: np.ndarray, row: int) -> Pair:
        """Return image `[H,W,C]` and mask `[H,W]` as views into the bytes."""
        height, width = self.sizes[row].tolist()
        kind = np.dtype(KINDS[self.kinds[row]])
        start = int(self.starts[row])
        middle = start + height * width * self.channels * kind.itemsize
        image = pixels[start:middle].view(kind).reshape(height, width, self.channels)
        return image, pixels[middle : middle + height * width].reshape(height, width)


class Nothing:
    """No pictures are kept."""

    def get(self, row: int) -> None:
        """Return that the picture has to be read."""

    def put(self, row: int, image: np.ndarray, *, mask: np.ndarray) -> None:
        """Let go of the picture."""


class Memory:
    """Pictures in memory: the first process that reads one keeps it for all that were forked from the same one.

    A picture is marked as whole after it was written, and asked for again only by who has been told so since, in the
    next epoch, or by a job beside this one, on a processor that shows writes in their order.

    Args:
        layout: Where each picture lies.
        shared: Memory that jobs beside this one have as well; None: of this run alone.
    """

    def __init__(self, layout: Layout, shared: mmap.mmap | None = None) -> None:
        self.layout = layout
        buffer = shared or mmap.mmap(-1, _room(layout))  # either takes no memory before it is written
        everything = np.frombuffer(buffer, np.uint8)
        self._pixels = everything[: layout.total]
        self._is_whole = everything[layout.total : layout.total + len(layout.sizes)]

    def __reduce__(self) -> tuple[type[Memory], tuple[Layout]]:
        """Start empty in a process that is not forked: it shares no memory with this one."""
        return Memory, (self.layout,)

    def get(self, row: int) -> Pair | None:
        """Return image and mask, or None if they have not been read yet."""
        if self._is_whole[row]:
            return self.layout.arrays(self._pixels, row)
        return None

    def put(self, row: int, image: np.ndarray, *, mask: np.ndarray) -> None:
        """Keep a picture."""
        kept_image, kept_mask = self.layout.arrays(self._pixels, row)
        kept_image[:] = image
        kept_mask[:] = mask
        self._is_whole[row] = 1


class OnDisk:
    """Pictures in a file, mapped into memory."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.path = folder / PIXELS
        self.layout = layout
        self._stamp = stamp(self.path)
        index = json.loads((folder / INDEX).read_text())
        self._pixels = np.memmap(self.path, np.uint8, "r")
        if not len(self._pixels) == index["bytes"] == layout.total:
            raise ValueError("not whole")

    def __reduce__(self) -> tuple[type[OnDisk], tuple[Path, Layout]]:
        """Be mapped anew in another process, instead of copied."""
        return OnDisk, (self.path.parent, self.layout)

    def get(self, row: int) -> Pair:
        """Return image and mask; a DataError if the file is written into (one that was removed stays mapped)."""
        try:
            now = stamp(self.path)
        except OSError:
            now = self._stamp
        if now != self._stamp and now[0] == self._stamp[0]:
            raise DataError(f"the cache {self.path} was changed while it was in use; remove its folder and start again")
        return self.layout.arrays(self._pixels, row)

    def put(self, row: int, image: np.ndarray, *, mask: np.ndarray) -> None:
        """Do nothing: all are there."""


def _room(layout: Layout) -> int:
    """Return the bytes of all pictures, and of a mark for each."""
    return max(1, layout.total + len(layout.sizes))


def in_memory(word: str, layout: Layout, *, num_workers: int, key: str = "") -> Memory | Nothing:
    """Return the memory that `data.cache=auto` or `memory` keeps pictures in, or nothing where auto finds too little.

    Args:
        word: Which of them.
        layout: Where each picture lies.
        num_workers: Loader workers.
        key: Everything that decides the pictures, for jobs that share them; empty for this run alone.

    Raises:
        DataError: if they are to be kept in memory and there is too little of it.
    """
    forked = multiprocessing.get_start_method() == "fork"
    copies = 1 if forked or not num_workers else num_workers
    wanted = layout.total * copies
    shared = None
    if key:  # first, as it lets go of what a job before this one has kept
        shared = shared_memory(f"{FORMAT} {key}", _room(layout))
    if copies == 1 and shared is not None and any(shared[layout.total :]):
        return Memory(layout, shared)  # others fill it already: it takes no further memory
    free = available_memory()
    if word == "auto":
        if copies == 1 and wanted * MEMORY_SHARE <= free:
            return Memory(layout, shared)
        return Nothing()
    if wanted > free:
        each = ""
        if copies > 1:
            each = f", {copies} times, as workers do not share it here,"
        raise DataError(
            f"data.cache=memory: the {len(layout.sizes):,} pictures take {layout.total / 1e9:,.1f} GB decoded{each} and"
            f" {free / 1e9:,.1f} GB of memory are free; give data.cache=auto, none, disk or a folder"
        )
    return Memory(layout, shared)


def folder_of(cache: str) -> Path:
    """Return the folder that `data.cache` names; raises a ConfigError where `disk` has none."""
    if cache != "disk":
        return Path(cache).expanduser()
    home = cache_home()
    if home is None:
        raise ConfigError("data.cache=disk needs the user's cache folder; give data.cache=DIR, a folder")
    return home / "pictures"


def cached(folder: Path, key: str, *, layout: Layout, samples: Callable[[], Samples]) -> OnDisk:
    """Return the pictures of `key` from the cache folder; they are written first if they are not there.

    One process at a time writes a key, into a folder that is renamed when it is whole: a second process waits and then
    finds it, and a process that is killed leaves nothing that could be taken for a cache.

    Args:
        folder: The cache folder; made if it is missing.
        key: A digest of everything that decides the pictures: another file content is another key.
        layout: Where they lie.
        samples: Makes the pictures, in the layout's order; what it raises leaves no cache behind.

    Raises:
        DataError: if the folder cannot be written.
    """
    name = f"{key}-{FORMAT}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):  # the system takes it back when the process ends, however it ends
            found = _open(folder / name, layout)
            if found is None:
                _write(folder, name, layout=layout, samples=samples())
                found = _open(folder / name, layout)
    except OSError as error:
        raise DataError(f"data.cache={folder} cannot be written: {error}; give another folder or auto") from None
    assert found is not None, "what was just written is there"
    return found


def _open(folder: Path, layout: Layout) -> OnDisk | None:
    """Return what was cached, or None if it is not whole."""
    try:
        return OnDisk(folder, layout)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(folder: Path, name: str, *, layout: Layout, samples: Samples) -> None:
    free = shutil.disk_usage(folder).free
    if layout.total > free:
        raise DataError(
            f"data.cache={folder}: the pictures take {layout.total / 1e9:,.1f} GB decoded and {free / 1e9:,.1f} GB of"
            " the disk are free; give another folder, auto or none"
        )
    building = folder / f".{name}.building"
    for old in (building, folder / name):
        shutil.rmtree(old, ignore_errors=True)
    building.mkdir()
    try:
        _write_files(building, layout, samples=samples)
        building.rename(folder / name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync_folder(folder)


def _write_files(folder: Path, layout: Layout, *, samples: Samples) -> None:
    # written as a stream: a full disk is then an OSError, while storing into a mapped file would be a fatal signal
    with (folder / PIXELS).open("wb") as file:
        for row, (image, mask) in enumerate(samples):
            content = image.tobytes() + mask.tobytes()
            file.write(content.ljust(int(layout.starts[row + 1] - layout.starts[row]), b"\0"))
        file.flush()
        os.fsync(file.fileno())
    with (folder / INDEX).open("w") as file:
        json.dump({"bytes": layout.total}, file)
        file.flush()
        os.fsync(file.fileno())

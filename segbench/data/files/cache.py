"""Pictures kept at their own size: in memory, which forked workers share, or in a folder that outlives the process."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock

from segbench.core.errors import DataError
from segbench.core.files import sync_folder
from segbench.core.memory import available_memory
from segbench.data.files.index import Facts
from segbench.data.pictures import stamp

Pair = tuple[np.ndarray, np.ndarray]
Samples = Iterator[tuple[str, np.ndarray, np.ndarray]]
PIXELS, INDEX = "pixels.bin", "index.json"
MEMORY_SHARE = 4
"""`data.cache=auto` keeps pictures that take at most this part of the memory that is free: a quarter."""


class Cache(Protocol):
    """Where pictures may be had without decoding them."""

    def get(self, name: str) -> Pair | None:
        """Return image and mask, which must not be changed; None where they have to be read from their files."""
        ...


class Memory:
    """Pictures in memory, all or none of them.

    Args:
        limit: Bytes that they may take; as soon as they take more, none is kept.
    """

    def __init__(self, limit: float) -> None:
        self.limit, self.used = limit, 0
        self._pairs: dict[str, Pair] = {}

    def add(self, name: str, image: np.ndarray, mask: np.ndarray) -> None:
        """Keep a picture, as long as all of them fit."""
        self.used += image.nbytes + mask.nbytes
        if self.used <= self.limit:
            self._pairs[name] = image, mask
        else:
            self._pairs.clear()

    def get(self, name: str) -> Pair | None:
        """Return image and mask, or None if they are not kept."""
        return self._pairs.get(name)


def automatic_limit(num_workers: int) -> float:
    """Return the bytes that `data.cache=auto` may take; 0 where every worker would get a copy of its own."""
    forked = multiprocessing.get_start_method() == "fork"
    return available_memory() / MEMORY_SHARE if forked or not num_workers else 0.0


class OnDisk:
    """Pictures in a file, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / PIXELS
        self._stamp = stamp(self.path)
        index = json.loads((folder / INDEX).read_text())
        self._places: dict[str, dict[str, Any]] = index["places"]
        self._pixels = np.memmap(self.path, np.uint8, "r")
        if len(self._pixels) != index["bytes"]:
            raise ValueError("not whole")
        self.facts = {name: _facts(found) for name, found in index["facts"].items()}

    def __reduce__(self) -> tuple[type[OnDisk], tuple[Path]]:
        """Be mapped anew in another process, instead of copied."""
        return OnDisk, (self.path.parent,)

    def get(self, name: str) -> Pair:
        """Return image and mask; a DataError if the file is written into (one that was removed stays mapped)."""
        try:
            now = stamp(self.path)
        except OSError:
            now = self._stamp
        if now != self._stamp and now[0] == self._stamp[0]:
            raise DataError(f"the cache {self.path} was changed while it was in use; remove its folder and start again")
        place = self._places[name]
        image = self._array(place["start"], place["shape"], np.dtype(place["dtype"]))
        return image, self._array(place["start"] + image.nbytes, place["shape"][:2], np.dtype(np.uint8))

    def _array(self, start: int, shape: list[int], dtype: np.dtype[Any]) -> np.ndarray:
        return self._pixels[start : start + int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)


def _facts(found: Mapping[str, Any]) -> Facts:
    return Facts(**{**found, "labels": {int(value): count for value, count in found["labels"].items()}})


def cached(folder: Path, key: str, samples: Callable[[], Samples], facts: Mapping[str, Facts]) -> OnDisk:
    """Return the pictures of `key` from the cache folder; they are written first if they are not there.

    One process at a time writes a key, into a folder that is renamed when it is whole: a second process waits and then
    finds it, and a process that is killed leaves nothing that could be taken for a cache.

    Args:
        folder: The cache folder; made if it is missing.
        key: A digest of everything that decides the pictures: another file content is another key.
        samples: Makes the pictures; what it raises leaves no cache behind.
        facts: What is known of them, by name, once they have been made.

    Raises:
        DataError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):  # the system takes it back when the process ends, however it ends
            found = _open(folder / key)
            if found is None:
                _write(folder, key, samples(), facts)
                found = _open(folder / key)
    except OSError as error:
        raise DataError(f"data.cache={folder} cannot be written: {error}; give another folder or auto") from None
    assert found is not None, "what was just written is there"
    return found


def _open(folder: Path) -> OnDisk | None:
    """Return what was cached, or None if it is not whole."""
    try:
        return OnDisk(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(folder: Path, key: str, samples: Samples, facts: Mapping[str, Facts]) -> None:
    building = folder / f".{key}.building"
    for old in (building, folder / key):
        shutil.rmtree(old, ignore_errors=True)
    building.mkdir()
    try:
        _write_files(building, samples, facts)
        building.rename(folder / key)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync_folder(folder)


def _write_files(folder: Path, samples: Samples, facts: Mapping[str, Facts]) -> None:
    places: dict[str, dict[str, Any]] = {}
    # written as a stream: a full disk is then an OSError, while storing into a mapped file would be a fatal signal
    with (folder / PIXELS).open("wb") as file:
        for name, image, mask in samples:
            places[name] = {"start": file.tell(), "shape": image.shape, "dtype": image.dtype.str}
            file.write(image.tobytes() + mask.tobytes())
        size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    known = {name: asdict(facts[name]) for name in places}
    with (folder / INDEX).open("w") as file:
        json.dump({"bytes": size, "places": places, "facts": known}, file)
        file.flush()
        os.fsync(file.fileno())

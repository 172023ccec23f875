"""Decoded samples as uint8 arrays: in memory, which forked workers share, or in files that outlive the process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from segbench.core.errors import DataError
from segbench.core.files import sync_folder
from segbench.data.pictures import stamp

Samples = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Decoded:
    """All samples of a data set: images uint8 `[N,H,W,3]` and masks uint8 `[N,H,W]`.

    `stamps` tells the state of the files that the arrays are mapped from; empty for arrays in memory.
    """

    images: np.ndarray
    masks: np.ndarray
    stamps: tuple[tuple[Path, tuple[int, int, int]], ...] = ()

    def check(self) -> None:
        """Raise a DataError if somebody writes into the mapped files; one that was removed or replaced stays mapped."""
        for path, before in self.stamps:
            try:
                now = stamp(path)
            except OSError:
                continue
            if now != before and now[0] == before[0]:
                raise DataError(f"the cache {path} was changed while it was in use; remove its folder and start again")


def in_memory(samples: Samples, count: int, size: tuple[int, int]) -> Decoded:
    """Return the samples as arrays in memory; rows beyond the number of samples are left out.

    Args:
        samples: Images and masks of the data set's size.
        count: The largest number of samples.
        size: Height and width.
    """
    images, masks = np.empty((count, *size, 3), np.uint8), np.empty((count, *size), np.uint8)
    number = 0
    for image, mask in samples:
        images[number], masks[number] = image, mask
        number += 1
    return Decoded(images[:number], masks[:number])


def open_cache(folder: Path, key: str, count: int, size: tuple[int, int]) -> Decoded | None:
    """Return the arrays that were cached under `key`, mapped from their files, or None if they are not whole."""
    paths = folder / key / "images.npy", folder / key / "masks.npy"
    try:
        stamps = tuple((path, stamp(path)) for path in paths)
        images, masks = (np.load(path, mmap_mode="r") for path in paths)
    except (OSError, ValueError, EOFError):
        return None
    whole = images.shape == (count, *size, 3) and masks.shape == (count, *size)
    return Decoded(images, masks, stamps) if whole and images.dtype == masks.dtype == np.uint8 else None


def cached(folder: Path, key: str, samples: Callable[[], Samples], count: int, size: tuple[int, int]) -> Decoded:
    """Return the arrays of `key` from the cache folder; they are written first if they are not there.

    One process at a time writes a key, into a folder that is renamed when it is whole: a second process waits and then
    finds it, and a process that is killed leaves nothing that could be taken for a cache.

    Args:
        folder: The cache folder; made if it is missing.
        key: A digest of everything that decides the samples: another file content is another key.
        samples: Makes the samples; what it raises leaves no cache behind.
        count: The exact number of samples.
        size: Height and width.

    Raises:
        DataError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock"):
            found = open_cache(folder, key, count, size)
            if found is None:
                _write(folder, key, samples(), count, size)
                found = open_cache(folder, key, count, size)
    except OSError as error:
        raise DataError(f"data.cache={folder} cannot be written: {error}; give another folder or null") from None
    assert found is not None, "what was just written is there"
    return found


def _write(folder: Path, key: str, samples: Samples, count: int, size: tuple[int, int]) -> None:
    building = folder / f".{key}.building"
    for old in (building, folder / key):
        shutil.rmtree(old, ignore_errors=True)
    building.mkdir()
    try:
        _write_arrays(building, samples, count, size)
        building.rename(folder / key)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync_folder(folder)


def _write_arrays(folder: Path, samples: Samples, count: int, size: tuple[int, int]) -> None:
    # written as a stream: a full disk is then an OSError, while storing into a mapped file would be a fatal signal
    with (folder / "images.npy").open("wb") as images, (folder / "masks.npy").open("wb") as masks:
        for file, shape in ((images, (count, *size, 3)), (masks, (count, *size))):
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        for image, mask in samples:
            images.write(image.tobytes())
            masks.write(mask.tobytes())
        for file in (images, masks):
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with FileLock(path):  # the system takes it back when the process ends, however it ends
        yield

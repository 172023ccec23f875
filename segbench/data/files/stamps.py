"""Stamps of files: what tells that a file is still the one that was looked at."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from segbench.core.ragged import Ragged

STAMP = 4
"""Numbers of a stamp: its number on the disk, size, time of change, and time at which the system changed its entry."""

CONTENT = 3
"""Of these, how many differ as soon as other content was written, if nobody sets the time of change back."""

CHANGED = 2 if os.name == "nt" else 3
"""Which of them is the time of the last change, whoever made it.

It is the system's own: a program can set the other one, also to a time to come. Windows has none in its place.
"""

YOUNG = 2_000_000_000
"""Nanoseconds; the coarsest clock of a file system, that of FAT, has ticks of two seconds."""


ASKED_AT_ONCE = 8
"""Threads that ask for stamps where one waits for each: a file server answers several as fast as one."""

SLOW = 200e-6
"""Seconds for an item from which on that is so. A disk at hand needs less, and threads would only take turns."""

PART = 512
"""Items whose stamps are asked for in one go."""


def file_stamp(path: str | Path) -> list[int]:
    """Return what tells that a file is still the same.

    Its number on the disk, its size, and the times at which its content and its entry on the disk changed, in
    nanoseconds. Programs can set the first time back to what it was; the second one is the system's own.

    Raises:
        OSError: if there is no such file, or it is no regular one: reading a pipe would wait for ever.
        ValueError: for a name that no file can have.
    """
    found = os.stat(path)  # noqa: PTH116 - without Path's detour, for hundreds of thousands of files
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def stamp_or_none(path: str | Path) -> list[int] | None:
    """Return the stamp of a file, None where there is none."""
    try:
        return file_stamp(path)
    except (OSError, ValueError):
        return None


def settled_stamps(paths: Sequence[Path]) -> list[list[int]]:
    """Return the stamps of files; of those that have just changed once no second change could hide in them.

    Raises:
        OSError, ValueError: as `file_stamp`.
    """
    newest = max(file_stamp(path)[CHANGED] for path in paths)
    wanted = min(newest + YOUNG - time.time_ns(), YOUNG)  # never longer, where the clock of a file server is ahead
    if wanted > 0:
        time.sleep(wanted / 1e9)
    return [file_stamp(path) for path in paths]


def stamps_of(files: Sequence[Sequence[str]]) -> Ragged:
    """Return the stamps of the files of each of many items, one after the other; no row where one is missing.

    Args:
        files: The paths of each.
    """
    found: list[list[int]] = []
    began = time.perf_counter()
    while len(found) < len(files) and (len(found) < PART or time.perf_counter() - began < len(found) * SLOW):
        found += _stamps_of_part(files[len(found) : len(found) + PART])
    parts = [files[start : start + PART] for start in range(len(found), len(files), PART)]
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        for rows in pool.map(_stamps_of_part, parts):
            found += rows
    return Ragged.of(found, np.int64)


def _stamps_of_part(files: Sequence[Sequence[str]]) -> list[list[int]]:
    return [_stamps_or_none(paths) for paths in files]


def _stamps_or_none(paths: Sequence[str]) -> list[int]:
    try:
        return [number for path in paths for number in file_stamp(path)]
    except (OSError, ValueError):  # told of when it is looked at
        return []


def just_changed(stamps: np.ndarray, asked_at: int) -> np.ndarray:
    """Return whether each file had just changed, or did so later: a second change might not show in its stamp.

    Args:
        stamps: int64 `[N, STAMP]`.
        asked_at: When one began to look at the files, in nanoseconds; their stamps may have been taken since.
    """
    changed: np.ndarray = stamps[:, CHANGED] > asked_at - YOUNG
    return changed

"""Memory that the jobs of a user have in common on one machine, where a launcher runs several of them.

It has no name in any folder (`memfd_create`) and is gone with the last process that uses it, however that one ends. In
the user's cache folder there is only a note of who has it open.
"""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from segbench.core.user_cache import cache_home, remove_unused

VARIABLE = "SEGBENCH_SHARED_MEMORY"
"""The environment variable that names the folder of the notes, one for each machine."""

ORDERED = ("x86_64", "AMD64")
"""Processors that show what one process writes to others in the order in which it was written."""

_mine: dict[str, int] = {}
"""The file that others open, by its key: of the newest memory that this process has made."""


@contextmanager
def sharing() -> Iterator[None]:
    """Let what runs meanwhile share memory with the other jobs of this user on this machine, whoever launched them."""
    home = cache_home()
    if home is None or VARIABLE in os.environ:
        yield
        return
    place = home / "shared" / platform.node()
    with suppress(OSError):  # without it nothing is shared
        place.mkdir(parents=True, exist_ok=True)
        remove_unused(place, "*")
    os.environ[VARIABLE] = str(place)
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def is_shared() -> bool:
    """Whether jobs share memory here."""
    return bool(os.environ.get(VARIABLE))


def shared_memory(key: str, size: int) -> mmap.mmap | None:
    """Return the memory of a key, zero where nobody has written yet; None where jobs share none.

    Args:
        key: A digest of what it is for.
        size: Bytes, the same for all who ask for the key.
    """
    place = os.environ.get(VARIABLE)
    if not place or not hasattr(os, "memfd_create") or platform.machine() not in ORDERED:
        return None
    note = Path(place) / key
    try:
        with FileLock(f"{note}.lock"):
            file = _opened(note, key, size=size)
            if file is not None:
                try:
                    return mmap.mmap(file, size)
                finally:
                    os.close(file)  # the map has one of its own
            return mmap.mmap(_made(note, key, size=size), size)
    except (OSError, ValueError):
        return None


def _opened(note: Path, key: str, *, size: int) -> int | None:
    """Open what another process has noted; None where that one is gone."""
    try:
        process, number = map(int, note.read_text().split())
        path = Path(f"/proc/{process}/fd/{number}")
        if not str(path.readlink()).startswith(f"/memfd:{_name(key)}"):
            return None
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if os.fstat(file).st_size == size:
        return file
    os.close(file)
    return None


def _made(note: Path, key: str, *, size: int) -> int:
    for other in list(_mine):
        os.close(_mine.pop(other))  # jobs before this one had other data
    file = os.memfd_create(_name(key))
    _mine[key] = file
    os.ftruncate(file, size)
    note.write_text(f"{os.getpid()} {file}")
    return file


def _name(key: str) -> str:
    return f"segbench-{key}"[:200]

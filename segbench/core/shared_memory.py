"""Memory that the jobs of a user have in common on one machine, where a launcher runs several of them.

It has no name in any folder (`memfd_create`) and is gone with the last process that uses it, however that one ends. In
the user's cache folder there is only a note of who holds it.
"""

from __future__ import annotations

import hashlib
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

_NAME = "segbench-"
"""What the system calls a memory, before the digest of its key."""

_mine: dict[str, int] = {}
"""The file that this process holds, by the digest of its key: others open it while it does."""


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

    Memory of other keys that this process has had before is let go of, but for what still maps it.

    Args:
        key: Everything that it depends on.
        size: Bytes, the same for all who ask for the key.
    """
    place = os.environ.get(VARIABLE)
    if not place or not hasattr(os, "memfd_create") or platform.machine() not in ORDERED:
        return None
    name = hashlib.sha256(f"{size} {key}".encode()).hexdigest()
    note = Path(place) / name
    try:
        with FileLock(f"{note}.lock"):
            return mmap.mmap(_held(name, note, size=size), size)
    except (OSError, ValueError):
        return None


def _held(name: str, note: Path, *, size: int) -> int:
    """Return the open file of a memory, which this process holds from now on, and note that it does."""
    holders = _holders(note, name)
    file = _mine.pop(name, None)
    for process, number in holders:
        if file is None:
            file = _opened(process, number, name=name)
    for other in list(_mine):  # jobs before this one had other data
        os.close(_mine.pop(other))
    if file is None:
        file = os.memfd_create(_NAME + name)
        os.ftruncate(file, size)
    _mine[name] = file
    lines = {f"{process} {number}" for process, number in [*holders, (os.getpid(), file)]}
    note.write_text("\n".join(sorted(lines)))
    return file


def _holders(note: Path, name: str) -> list[tuple[int, int]]:
    """Return the processes that still hold a memory, each with its number for the file."""
    try:
        noted = [line.split() for line in note.read_text().splitlines()]
        pairs = [(int(process), int(number)) for process, number in noted]
    except (OSError, ValueError):
        return []
    return [(process, number) for process, number in pairs if _is(f"/proc/{process}/fd/{number}", name)]


def _opened(process: int, number: int, *, name: str) -> int | None:
    """Open what another process holds; None where it has let go of it meanwhile."""
    try:
        file = os.open(f"/proc/{process}/fd/{number}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if _is(f"/proc/self/fd/{file}", name):
        return file
    os.close(file)
    return None


def _is(file: str, name: str) -> bool:
    try:
        return str(Path(file).readlink()) == f"/memfd:{_NAME}{name} (deleted)"
    except OSError:
        return False

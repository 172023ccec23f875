"""One process at a time in a run folder."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segbench.core.errors import ConfigError, InUseError

LOCK = ".lock"
UNLOCKABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems without locks answer."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    The operating system holds it for the process, not for its workers, and gives it back however the process ends: the
    file that a killed one leaves behind says who it was, and hinders nobody.

    Raises:
        InUseError: if another process has it, with its number and machine.
    """
    path = folder / LOCK
    descriptor = _take(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {platform.node()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(f"{path} cannot be made the lock of its run: {error.strerror}") from None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in UNLOCKABLE:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").split()
                os.close(descriptor)
                number, machine = holder if len(holder) == 2 else ("unknown", "unknown")
                raise InUseError(
                    f"{path.parent} is in use by process {number} on {machine}: wait for it to end, or stop it"
                ) from None
        if _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)  # its holder ended and removed the file in between


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        now = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)

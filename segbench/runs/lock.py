"""One process at a time in a run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segbench.core.errors import CheckpointError, ConfigError, InUseError
from segbench.core.files import FULL

LOCK = ".lock"
UNLOCKABLE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without locks answer."""
PATIENCE = 1.0
"""Seconds to wait for it: a worker that has just been forked from a killed holder may not have let go of it yet."""
_HOLDER = 1
"""Where the holder's name begins in the file: Windows lets nobody else read the first byte of a locked file."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    The operating system holds it for the process, not for its workers, and gives it back however the process ends: the
    file that a killed one leaves behind says who it was, and hinders nobody.

    Raises:
        CheckpointError: if the disk is full.
        ConfigError: if the file of the lock cannot be made for another reason.
        InUseError: if another process has it, with its number and machine.
    """
    from filelock import FileLock, Timeout  # a tenth of a second, which --help can do without

    path = folder / LOCK
    lock = FileLock(path, timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(f"{folder} is in use by {_holder(path)}: wait for it to end, or stop it") from None
    except OSError as error:
        if error.errno in FULL:
            raise CheckpointError(f"{folder} cannot be written: {error.strerror}") from None
        if error.errno not in UNLOCKABLE:
            raise ConfigError(f"{path} cannot be made the lock of its run: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # who it is, is told where the disk has room for it
            _write_holder(path)
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may have become unwritable, which its own error says better
            path.unlink(missing_ok=True)
        lock.release()


def is_given_up(folder: Path) -> bool:
    """Whether the process that held the lock of a run folder has ended without giving it back, as after kill -9.

    False where it cannot be told: without a file of the lock, and on systems or disks without locks.
    """
    try:
        import fcntl  # Windows has none

        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (ImportError, OSError):
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False  # it is held
    finally:
        os.close(descriptor)
    return True


def _write_holder(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        os.lseek(descriptor, _HOLDER, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(_HOLDER)
            words = file.read(200).split(b"\n")[0].decode(errors="replace").split()
    except OSError:
        words = []
    if len(words) != 2:
        return "another process"
    return f"process {words[0]} on {words[1]}"

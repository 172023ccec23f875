"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from segbench.core.errors import DataError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""What a disk answers that takes nothing more."""


def disk_error(error: BaseException | None) -> OSError | None:
    """Return the OSError that an error is, or that it came of while being handled; None for no such thing."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` in one step: written beside it, flushed to disk, renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # never through a link that was put there
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_even_if_full(path: Path, content: bytes) -> None:
    """Replace a small file as `write_atomic` does; on a full disk, with no room for a second one, overwrite it."""
    try:
        write_atomic(path, content)
    except OSError as error:
        if error.errno not in FULL or not path.is_file() or path.is_symlink():
            raise
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` in one step."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def make_folder(path: Path) -> None:
    """Make a folder that a user asked to write into; a DataError says why it cannot be, before any work is done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be made a folder to write into: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise DataError(f"{path} cannot be written into")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it survives a power cut; Windows cannot be asked."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, atomically; NaN is written as null, so that any reader can parse it."""
    write_atomic(path, as_json(value))


def as_json(value: object) -> bytes:
    """Return `value` as indented JSON with NaN as null."""
    return f"{json.dumps(_plain(value), indent=2, allow_nan=False)}\n".encode()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value

"""A file with a digest of what is written into it, so that nothing has to be read once more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

BESIDE = 1 << 18
"""Bytes from which on a piece is digested by a second thread; handing a smaller one over takes longer."""


class DigestedFile:
    """Passes what is written on to `file`, and digests it in the same time.

    Args:
        file: Takes the bytes, from its beginning to its end.
        helper: Its thread digests a large piece while this one writes it; a piece has been digested when `write` ends.
    """

    def __init__(self, file: BinaryIO, helper: ThreadPoolExecutor) -> None:
        self._file = file
        self._helper = helper
        self._digest = hashlib.sha256()
        self.bytes = 0
        """How many have been written."""

    @property
    def sha256(self) -> str:
        """The digest of all that has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Write a piece, and return how many bytes it has."""
        size = memoryview(data).nbytes
        if size < BESIDE:
            self._digest.update(data)
            self._file.write(data)
        else:
            digested = self._helper.submit(self._digest.update, data)
            try:
                self._file.write(data)
            finally:  # the caller may free the piece as soon as this returns
                digested.result()
        self.bytes += size
        return size

    def flush(self) -> None:
        """Hand on what is still in a buffer."""
        self._file.flush()


@contextmanager
def digested(file: BinaryIO) -> Iterator[DigestedFile]:
    """Give a file that digests what is written into it; its thread ends with this."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest") as helper:
        yield DigestedFile(file, helper)

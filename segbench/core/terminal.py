"""Standard output and error: closed ones, and those whose reader goes away or whose disk is full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from segbench.core.errors import ReaderGoneError, TerminalError


def open_closed_streams() -> None:
    """Open what the caller has closed, as with `>&-`: else the next file would get its number, and what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


class Stream:
    """A standard stream that can be lost: what it cannot take any more goes nowhere.

    Args:
        stream: What is written to.
        needed: Whether a loss raises an error, since what is printed is all that the command is for.
    """

    def __init__(self, stream: Any, needed: bool) -> None:
        self._stream = stream
        self.needed = needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; return the number of its characters.

        Raises:
            ReaderGoneError: if the reader of a needed stream has gone.
            TerminalError: if a needed stream cannot be written for another reason.
        """
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written; raises as `write`."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: OSError | ValueError) -> None:
        with suppress(OSError, ValueError):  # a stream of a test or a notebook has no number
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # the interpreter flushes what is left when it ends
            os.close(nowhere)
        if not self.needed:
            return
        if isinstance(error, BrokenPipeError):
            raise ReaderGoneError from None
        reason = getattr(error, "strerror", None) or error
        raise TerminalError(f"standard output cannot be written: {reason}") from None


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within it, a lost standard output ends the command in one sentence, and a lost standard error is nothing."""
    before = sys.stdout, sys.stderr
    output = Stream(sys.stdout, needed=True)
    sys.stdout = output
    sys.stderr = Stream(sys.stderr, needed=False)
    try:
        yield
        output.flush()
    finally:
        output.needed = False
        output.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def outliving_the_terminal() -> Iterator[None]:
    """Within it, long work goes on without the standard output where that is lost."""
    stream = sys.stdout
    if not isinstance(stream, Stream) or not stream.needed:
        yield
        return
    stream.needed = False
    try:
        yield
    finally:
        stream.flush()
        stream.needed = True

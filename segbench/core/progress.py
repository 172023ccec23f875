"""How far work is that is waited for, on standard error: a line that moves, or now and then a new one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

PATIENCE = 2.0
"""Seconds of work that need no word."""

MOVES_EVERY = 0.2
"""Seconds between two states of a line on a terminal."""

SAYS_EVERY = 10.0
"""Seconds between two lines in a file."""

Done = TypeVar("Done")


def with_progress(steps: Iterable[tuple[int, Done]], what: str, *, total: int) -> Iterator[Done]:
    """Pass on what steps give, and tell how many of `total` things are done.

    Args:
        steps: Each with the number of things that it has done.
        what: What is being done, such as `looking at pictures`.
        total: The number of all things.
    """
    line = _Line(what, total)
    try:
        for count, found in steps:
            yield found
            line.move(count)
    finally:
        line.end()


class _Line:
    def __init__(self, what: str, total: int) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.began = time.monotonic()
        self.said = self.began + PATIENCE - SAYS_EVERY
        self.moves = sys.stderr is not None and sys.stderr.isatty()
        self.is_shown = False

    def move(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.began < PATIENCE or now - self.said < (MOVES_EVERY if self.moves else SAYS_EVERY):
            return
        self.said = now
        left = (now - self.began) / max(1, self.done) * (self.total - self.done)
        text = f"{self.what}: {self.done:,} of {self.total:,}, {left:,.0f} seconds to go"
        self._write(f"\r{text}\x1b[K" if self.moves else f"{text}\n")
        self.is_shown = self.moves

    def end(self) -> None:
        if self.is_shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # whoever read it is gone
            sys.stderr.write(text)
            sys.stderr.flush()

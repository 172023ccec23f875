"""The collector of cycles, where it finds nothing and costs much."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Collect no cycles meanwhile: thousands of small objects that hold none are else walked again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def imports_kept() -> Iterator[None]:
    """Import large libraries meanwhile: what they make counts as old at once, instead of being walked often."""
    before = len(sys.modules)
    with collector_paused():
        yield
        if len(sys.modules) > before and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()


class _Kept:
    """Whether objects are being set aside, and how often this was asked for."""

    blocks = 0


@contextmanager
def heap_shared() -> Iterator[None]:
    """Let `share_heap` work meanwhile; at the end all objects are collected as ever.

    Where another program has frozen its objects already, they stay as they are and nothing more is done.
    """
    if not _Kept.blocks and gc.get_freeze_count():
        yield
        return
    _Kept.blocks += 1
    try:
        yield
    finally:
        _Kept.blocks -= 1
        if not _Kept.blocks:
            gc.unfreeze()


def share_heap() -> None:
    """Keep the collector from the objects that there are, before processes are forked that shall share them.

    A pass over an object writes into it, and with that the system gives each process a copy of its own: of a heap of a
    hundred megabytes, one for each worker. What is garbage by now is collected first; what becomes garbage later waits
    for the end of `heap_shared`, outside of which nothing is done.
    """
    if _Kept.blocks:
        gc.collect()
        gc.freeze()


def release_heap() -> None:
    """Let all objects be collected again; the next `share_heap` sets aside what is left of them."""
    if _Kept.blocks:
        gc.unfreeze()

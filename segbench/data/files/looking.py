"""Doing the same with many items at once: in processes where there are many, in threads where there are few."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

from segbench.core.errors import DataError
from segbench.core.progress import with_progress
from segbench.data.loading.source import described

Thing = TypeVar("Thing")
Found = TypeVar("Found")

THREADS = min(8, os.cpu_count() or 1)
"""Decoders and digests release the interpreter's lock; no more pictures than this wait in memory."""

MANY = 1000
"""Things from which on processes are worth their start."""

CHUNK = 64
"""Things that a process does in one go."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def looked_at(look: Callable[[Thing], Found], things: Sequence[Thing], *, processes: int, what: str) -> Iterator[Found]:
    """Yield what a function finds of each thing, in their order, and tell how far it is.

    Args:
        look: The function; what it finds is sent between processes.
        things: What it is asked of.
        processes: Most processes; with 1, or for few things, or where processes cannot be forked, there are threads.

        what: What is being done, in words.

    Raises:
        DataError: if a process dies.
    """
    forks = multiprocessing.get_start_method() == "fork"
    if forks and processes > 1 and len(things) >= MANY:
        chunks = _in_processes
    else:
        chunks = _in_threads
    for found in with_progress(
        ((len(part), part) for part in chunks(look, things, processes=processes)), what, total=len(things)
    ):
        yield from found


def _in_threads(look: Callable[[Thing], Found], things: Sequence[Thing], *, processes: int) -> Iterator[list[Found]]:
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for thing in things:
            waiting.append(pool.submit(look, thing))
            if len(waiting) > THREADS:
                yield [waiting.popleft().result()]
        while waiting:
            yield [waiting.popleft().result()]


class _Chunks(Dataset[list[Found]], Generic[Thing, Found]):
    """What is found of some things at a time; torch's loader looks after the processes."""

    def __init__(self, look: Callable[[Thing], Found], things: Sequence[Thing]) -> None:
        self.look = look
        self.things = things

    def __len__(self) -> int:
        return -(-len(self.things) // CHUNK)

    def __getitem__(self, number: int) -> list[Found]:
        return [self.look(thing) for thing in self.things[number * CHUNK : (number + 1) * CHUNK]]


def _in_processes(look: Callable[[Thing], Found], things: Sequence[Thing], *, processes: int) -> Iterator[list[Found]]:
    chunks = _Chunks(look, things)
    try:
        yield from DataLoader(chunks, batch_size=None, num_workers=processes, collate_fn=_as_it_is)
    except RuntimeError as error:  # torch's word for a process that has ended
        raise DataError(
            f"a process that looked at pictures has ended ({described(error)}); the memory may have run out: give a"
            " smaller data.num_workers"
        ) from error


def _as_it_is(found: list[Found]) -> list[Found]:
    return found

"""Reading, work and writing at the same time: the next item is read and the one before written while one is at work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from segbench.core.errors import DataError

Item = TypeVar("Item")
Read = TypeVar("Read")
Result = TypeVar("Result")


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    *,
    work: Callable[[Item, Read], Result],
    write: Callable[[Item, Result], None],
    waiting: int = 2,
) -> Iterator[tuple[Item, DataError | None]]:
    """Yield each item once it is written, in order, or with the DataError of reading it or of the work.

    Any other error, and any of writing, ends it all. `work` runs in the calling thread.

    Args:
        items: What there is to do.
        read: Runs in a thread, at most `waiting` items ahead.
        work: Of an item and what was read of it.
        write: Runs in a thread, at most `waiting` items behind.
        waiting: Items that are held in memory at either side; also the threads of either side.
    """
    source = iter(items)
    ahead: deque[tuple[Item, Future[Read]]] = deque()
    behind: deque[tuple[Item, Future[None] | DataError]] = deque()
    readers = ThreadPoolExecutor(waiting)
    writers = ThreadPoolExecutor(waiting)

    def do(item: Item, reading: Future[Read]) -> Future[None] | DataError:
        try:
            return writers.submit(write, item, work(item, reading.result()))
        except DataError as error:
            return error

    try:
        ahead.extend((item, readers.submit(read, item)) for item in islice(source, waiting))
        while ahead:
            item, reading = ahead.popleft()
            ahead.extend((item, readers.submit(read, item)) for item in islice(source, 1))
            behind.append((item, do(item, reading)))
            if len(behind) > waiting:
                yield _settled(*behind.popleft())
        while behind:
            yield _settled(*behind.popleft())
    finally:
        for pool in (readers, writers):
            pool.shutdown(cancel_futures=True)


def _settled(item: Item, outcome: Future[None] | DataError) -> tuple[Item, DataError | None]:
    if isinstance(outcome, DataError):
        return item, outcome
    outcome.result()
    return item, None

"""What a process and its loader workers share stays shared, however often the collector goes over it."""

import gc
import os
from pathlib import Path

import pytest

from segbench.core.collector import heap_shared
from tests.data.test_workers import Faulty
from tests.support.soak import memory_of

OBJECTS = 300_000
pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="needs the memory of Linux")


def grown(data: Faulty) -> float:
    """Return by how many megabytes a process and its two workers grow once each of them has collected."""
    kept = [[number] for number in range(OBJECTS)]
    loader = data.val_dataloader()
    batches = iter(loader)
    next(batches)
    members = [os.getpid(), *(worker.pid for worker in loader._workers.workers)]
    before = sum(map(memory_of, members))
    gc.collect()
    for _ in batches:
        pass
    after = sum(map(memory_of, members))
    loader._stop_workers()
    assert len(kept) == OBJECTS
    return after - before


def collecting(index: int) -> None:
    """Collect once in each worker, which take batches of two in turn, long after their first ones."""
    if index in (80, 82):
        gc.collect()


def test_a_pass_of_the_collector_copies_no_memory():
    """Its marks in 300,000 lists, 20 MB and more, would give each process a copy of them."""
    data = Faulty(collecting, size=100, num_workers=2)
    with heap_shared():
        shared = grown(data)
    apart = grown(data)
    assert apart > 40
    assert shared < apart / 4

"""The loader whose whole state is a position: (epoch, batch).

torch's DataLoader does the work of the processes. What it reads, in which order and from which batch on, is decided
here by pure functions, so nothing has to be saved to continue an epoch in its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from segbench.core.rng import Bijection
from segbench.data.loading.source import SplitDataset

Position = Callable[[], tuple[int, int]]
Batch = dict[str, Tensor]

WORKER_TIMEOUT = 300.0
"""Seconds after which a worker that gives no batch is an error instead of a hang."""


class PlanSampler(Sampler[list[tuple[int, int]]]):
    """Yields the (epoch, index) pairs of each batch, from any batch of any epoch on.

    Args:
        size: Samples in the split.
        batch_size: Samples in a batch of one process.
        order: Words that key the order; None reads 0, 1, 2, ...
        drop_last: Leave out a last batch that is not full.
        rank: Number of this process.
        world_size: Number of processes; together they read each sample exactly once.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        order: tuple[str | int, ...] | None,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size, self.batch_size, self.order, self.drop_last = size, batch_size, order, drop_last
        self.rank, self.world_size = rank, world_size
        self.epoch, self.first_batch = 0, 0

    def __len__(self) -> int:
        together = self.batch_size * self.world_size
        return self.size // together if self.drop_last else -(-self.size // together)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        together = self.batch_size * self.world_size
        place = Bijection(self.size, *self.order, self.epoch) if self.order else int
        for batch in range(self.first_batch, len(self)):
            positions = range(batch * together + self.rank, min((batch + 1) * together, self.size), self.world_size)
            yield [(self.epoch, place(position)) for position in positions]


class EpochLoader:
    """An iterable of batches that asks for its position when it is first read, not when the iterator is made.

    Lightning builds the iterator of an epoch before it knows the epoch (its issue 21938); a generator does not care.

    Args:
        dataset: One split.
        sampler: The plan of its batches.
        num_workers: Processes that make samples; 0 makes them here.
        pin_memory: Put batches into page-locked memory, for a GPU.
        position: Called at the first batch of an iteration; returns the epoch and the first batch. None: (0, 0).
    """

    def __init__(
        self,
        dataset: SplitDataset,
        sampler: PlanSampler,
        num_workers: int = 0,
        pin_memory: bool = False,
        position: Position | None = None,
    ) -> None:
        self.plan, self.position = sampler, position
        workers: dict[str, Any] = {}
        if num_workers:
            workers = {"persistent_workers": True, "prefetch_factor": 4, "timeout": WORKER_TIMEOUT}
        self._loader = DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=num_workers,
            pin_memory=pin_memory,
            worker_init_fn=partial(_start_worker, dataset),
            generator=torch.Generator(),  # its own: the global one must not depend on how data is read
            **workers,
        )

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        self.plan.epoch, self.plan.first_batch = self.position() if self.position else (0, 0)
        yield from self._loader

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the position follows from the trainer's own counters."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Accept the nothing that `state_dict` returns."""


def _start_worker(dataset: SplitDataset, number: int) -> None:
    torch.set_num_threads(1)
    if dataset.augment is not None and dataset.augment.pipeline is not None:
        import cv2

        cv2.setNumThreads(0)  # its thread pool does not survive a fork

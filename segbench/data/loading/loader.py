"""The loader whose whole state is a position: (epoch, batch).

torch's DataLoader does the work of the processes. What it reads, in which order and from which batch on, is decided
here by pure functions, so nothing has to be saved to continue an epoch in its middle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from segbench.core.collector import share_heap
from segbench.core.errors import DataError
from segbench.core.rng import Bijection
from segbench.data.loading.source import SplitDataset, described
from segbench.data.loading.workers import NOTHING, Batches, Failure, Workers, deaths

Position = Callable[[], tuple[int, int]]
Order = Callable[[int], Callable[[int], int]]
"""Gives, for an epoch, the function from a position in it to the sample that is read there."""
Batch = dict[str, Tensor]

WORKER_TIMEOUT = 300.0
"""Seconds after which a worker that gives no batch is an error instead of a hang."""
LOOK_EVERY = 20.0
"""Seconds of waiting after which it is looked whether the workers are still alive."""
MOST_RESTARTS = 3
"""Times that a loader replaces workers that were told to stop, in its life."""
HINT = (
    "the memory may have run out (SIGBUS: that of /dev/shm); give a smaller data.num_workers or data.batch_size, or"
    " data.cache=none; data.num_workers=0 shows the error itself"
)


def shuffled(size: int, *words: str | int) -> Order:
    """Return the order that shuffles all samples in every epoch, keyed by words."""
    return lambda epoch: Bijection(size, *words, epoch)


class PlanSampler(Sampler[list[tuple[int, int]]]):
    """Yields the (epoch, index) pairs of each batch, from any batch of any epoch on.

    Each process reads a part of every batch, as one process would read it in batches of that size.

    Args:
        size: Samples in the split.
        batch_size: Samples in a batch of one process.
        order: The order of each epoch; None reads 0, 1, 2, ...
        drop_last: Leave out a last batch that is not full.
        rank: Number of this process.
        world_size: Number of processes; together they read each sample exactly once.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        order: Order | None,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.order = order
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.size, self.batch_size * self.world_size)
        if self.drop_last:
            return whole
        return whole + (self.rank * self.batch_size < rest)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        place = self._place()
        for batch in range(self.first_batch, len(self)):
            yield self._pairs(place, batch)

    def indices(self, batch: int) -> list[int]:
        """Return the samples of a batch of the current epoch."""
        if batch < len(self):
            return [index for _, index in self._pairs(self._place(), batch)]
        return []

    def _place(self) -> Callable[[int], int]:
        if not self.order:
            return int
        return self.order(self.epoch)

    def _pairs(self, place: Callable[[int], int], batch: int) -> list[tuple[int, int]]:
        together = self.batch_size * self.world_size
        first = batch * together + self.rank * self.batch_size
        positions = range(first, min(first + self.batch_size, self.size))
        return [(self.epoch, place(position)) for position in positions]


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
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
        position: Position | None = None,
    ) -> None:
        self.plan = sampler
        self.position = position
        self.dataset = dataset
        self.num_workers = num_workers
        self.timeout = WORKER_TIMEOUT
        self._split = Batches(dataset, num_workers)
        self._pin_memory = pin_memory
        self._restarts = 0
        self._loader = self._make()
        self._workers = Workers()

    def _make(self) -> DataLoader[Any]:
        workers: dict[str, Any] = {}
        if self.num_workers:
            workers = {"persistent_workers": True, "prefetch_factor": 4, "timeout": min(self.timeout, LOOK_EVERY)}
        return DataLoader(
            self._split,
            batch_sampler=self.plan,
            num_workers=self.num_workers,
            pin_memory=self._pin_memory,
            collate_fn=self._split.collate,
            worker_init_fn=partial(_start_worker, self.dataset),
            generator=torch.Generator(),  # its own: the global one must not depend on how data is read
            **workers,
        )

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; the workers are ended before an error leaves.

        Raises:
            DataError: for a sample that cannot be made, or workers that die or hang, naming the samples.
        """
        self.plan.epoch, self.plan.first_batch = self.position() if self.position else (0, 0)
        number = self.plan.first_batch
        batches = self._begin(number)
        while True:
            since = time.monotonic()
            try:
                with deaths:
                    self._workers.check()
                    batch = self._next(batches, since)
            except StopIteration:
                return
            except Exception as error:
                if not self.num_workers:
                    raise
                batches = self._after(error, number, waited=time.monotonic() - since)
                continue
            if isinstance(batch, Failure):
                self._stop_workers()
                raise batch.error()
            yield batch
            number += 1

    def _next(self, batches: Iterator[Batch | Failure], since: float) -> Batch | Failure:
        """Return the next batch; look at the workers now and then, in case one died without a signal."""
        while True:
            try:
                return next(batches)
            except RuntimeError as error:
                over = time.monotonic() - since >= self.timeout
                if over or not self.num_workers or "timed out" not in str(error) or self._workers.dead():
                    raise

    def _begin(self, number: int) -> Iterator[Batch | Failure]:
        since = time.monotonic()
        try:
            with deaths:
                self._workers.check()
                if self.num_workers and not self._workers.workers:
                    share_heap()
                batches = iter(self._loader)
        except Exception as error:
            if self._workers.workers:  # those of the last epoch
                return self._after(error, number, waited=time.monotonic() - since)
            raise DataError(
                f"data.num_workers={self.num_workers} loader workers cannot be started ({described(error)}); give fewer"
            ) from error
        self._workers = Workers(batches, self._split.progress)
        deaths.take_over()
        return batches

    def _stop_workers(self) -> None:
        self._workers.stop()
        self._workers = Workers()
        self._split = Batches(self.dataset, self.num_workers)
        self._loader = self._make()  # torch's own would go on with the workers that are no more

    def _after(self, error: Exception, number: int, *, waited: float) -> Iterator[Batch | Failure]:
        """Return new workers in place of those that were told to stop, for training to decide about stopping.

        Raises:
            DataError: for everything else that can have happened to workers.
        """
        dead = self._workers.dead(error)
        told = self._workers.told_to_stop(dead)
        text = self._what_happened(error, number, waited=waited, dead=dead)
        self._stop_workers()
        if not told or self._restarts >= MOST_RESTARTS:
            raise DataError(text) from error
        self._restarts += 1
        self.plan.first_batch = number
        return self._begin(number)

    def _what_happened(self, error: Exception, number: int, *, waited: float, dead: list[int]) -> str:
        indices = self.plan.indices(number)
        at = self._workers.at()
        batch = f"the batch of {self.dataset.names(indices)} was waited for"
        if dead:
            making = ""
            if at[dead[0]] != NOTHING:
                making = f" while it made {self.dataset.names([at[dead[0]]])}"
            return f"{self._workers.how_it_ended(dead[0])}{making}; {batch}; {HINT}"
        if waited >= self.timeout:
            hanging = [index for index in indices if index in at]
            where = ""
            if hanging:
                where = f", of which {self.dataset.names(hanging)} is still being made"
            return (
                f"no data loader worker gave a batch within {self.timeout:g} seconds; {batch}{where};"
                " data.num_workers=0 shows where it hangs"
            )
        return f"the data loader workers failed ({described(error)}); {batch}; {HINT}"

    def state_dict(self) -> dict[str, object]:
        """Return nothing: the position follows from the trainer's own counters."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Accept the nothing that `state_dict` returns."""


def _start_worker(dataset: SplitDataset, number: int) -> None:
    torch.set_num_threads(1)
    if dataset.augment is not None and dataset.augment.pipeline is not None:
        import cv2

        cv2.setNumThreads(0)  # its thread pool does not survive a fork

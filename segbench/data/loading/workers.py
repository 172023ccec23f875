"""Loader workers that fail, die or hang: what they were at, and how the training process gets to know."""

from __future__ import annotations

import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Listener, wait
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from segbench.core.choices import Split
from segbench.core.errors import ConfigError, DataError, SegbenchError
from segbench.data.loading.batches import EvaluationBatch, collected, stacked
from segbench.data.loading.source import SplitDataset, described
from segbench.data.loading.torch_private import shut_down, workers_of

Item = dict[str, Tensor]
NOTHING = -1
"""What a worker's entry of `progress` holds between two samples."""
BROKEN = 15.0
"""Seconds in which a worker whose connection is broken comes to its end, on a machine that is busy with other work."""

DYING = 1.0
"""Seconds that a worker which has caused an error may take to end."""
TOLD_TO_STOP = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
"""How a worker ends that got SIGTERM (0: from its parent) or Ctrl-C, which a batch system or a terminal sends to every
process of a job: whether to stop is for training to decide."""


@dataclass(frozen=True)
class Failure:
    """An error on its way to the training process, in place of a batch.

    torch would send it as another exception of the same class, with the traceback in its message.
    """

    kind: type[SegbenchError]
    """The class of the error."""

    message: str
    """Its sentence."""

    exit_code: int
    """The exit status that it asks for."""

    trace: str
    """The traceback in the worker."""

    @classmethod
    def of(cls, error: SegbenchError) -> Failure:
        """Return what can be sent of an error that is being handled."""
        return cls(type(error), str(error), error.exit_code, traceback.format_exc())

    def error(self) -> SegbenchError:
        """Return the error again, its first traceback as a note."""
        error = self.kind.__new__(self.kind, self.message)
        error.exit_code = self.exit_code
        error.__notes__ = [self.trace]
        return error


class Batches(Dataset[Item]):
    """A split that is read by whole batches. Each worker notes in shared memory which sample it is at.

    Args:
        dataset: The split.
        num_workers: Number of worker processes; 0 for none.
    """

    def __init__(self, dataset: SplitDataset, num_workers: int) -> None:
        self.dataset = dataset
        self.progress = _shared(num_workers) if num_workers else None

    def __getitems__(self, positions: list[tuple[int, int]]) -> list[Item] | Failure:
        """Return the samples of a batch, or the error of the first one that cannot be made."""
        items = []
        try:
            for position in positions:
                self._note(position[1])
                items.append(self.dataset[position])
            self._note(NOTHING)
        except SegbenchError as error:
            self._note(NOTHING)
            return Failure.of(error)
        return items

    def _note(self, index: int) -> None:
        worker = get_worker_info()
        if worker is not None and self.progress is not None:
            self.progress[worker.id] = index

    def collate(self, items: list[Item] | Failure) -> EvaluationBatch | Failure:
        """Return the samples as one batch; a DataError says that those of train do not fit together."""
        if isinstance(items, Failure):
            return items
        try:
            if self.dataset.split == Split.TRAIN:
                return stacked(items)  # type: ignore[return-value]
            return collected(items)
        except Exception as error:
            names = self.dataset.names([int(item["index"]) for item in items])
            return Failure.of(DataError(f"{names} cannot be made one batch: {described(error)}"))


class _Deaths:
    """Lets torch tell of a dead worker only while a batch is waited for.

    Its handler of SIGCHLD raises in whatever line runs when a worker dies: in a forward pass, or while a checkpoint is
    written.
    """

    def __init__(self) -> None:
        self.waiting = False
        self.pending = False
        self.tell: Callable[[int, FrameType | None], Any] | None = None
        self.others: Any = None

    def take_over(self) -> None:
        """Stand in for torch's handler, which is set with the first worker of a process, and never again."""
        if not hasattr(signal, "SIGCHLD"):
            return  # Windows tells nobody of dead workers; they are noticed by waiting
        current = signal.getsignal(signal.SIGCHLD)
        if threading.current_thread() is not threading.main_thread() or current == self._handle:
            return
        if callable(current) and current.__module__.startswith("torch."):
            self.tell = current
        elif self.tell is not None:  # another library has set its own since: it is asked as well
            self.others = current
        else:
            return
        signal.signal(signal.SIGCHLD, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if callable(self.others):
            self.others(number, frame)
        if self.waiting and self.tell is not None:
            self.tell(number, frame)
        else:
            self.pending = True

    def __enter__(self) -> None:
        self.waiting = True
        if self.pending and self.tell is not None:
            self.pending = False
            self.tell(signal.SIGCHLD, None)

    def __exit__(self, *error: object) -> None:
        self.waiting = False


deaths = _Deaths()


def check_sockets(num_workers: int) -> None:
    """Raise a ConfigError where no worker could hand a batch over, which would be waited for until the time is up.

    They do so through sockets in the temporary folder, whose paths the system allows some hundred letters.
    """
    if not num_workers:
        return
    try:
        Listener().close()
    except OSError as error:
        folder = tempfile.gettempdir()
        raise ConfigError(
            f"data.num_workers={num_workers} needs sockets, and {folder} can hold none: {error}; set TMPDIR to a folder"
            " with a short path, such as /tmp, or give data.num_workers=0"
        ) from None


def _shared(count: int) -> Tensor:
    """Return a whole number for each worker, in memory that all processes see."""
    numbers: Tensor = torch.full((count,), NOTHING, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
    return numbers


class Workers:
    """The worker processes of a DataLoader: none before the first epoch, and none where samples are made in-process.

    Args:
        iterator: torch's iterator.
        progress: Where they note which sample they are at.
    """

    def __init__(self, iterator: Any = None, progress: Tensor | None = None) -> None:
        self._iterator = iterator
        self._progress = progress
        self.workers = workers_of(iterator)

    def at(self) -> list[int]:
        """Return the sample that each worker is at, `NOTHING` for one that is between two."""
        if self._progress is None:
            return []
        return self._progress.tolist()

    def check(self) -> None:
        """Raise a RuntimeError if a worker has ended; torch does not notice one that other code has waited for."""
        if not all(worker.is_alive() for worker in self.workers):
            raise RuntimeError("a worker has ended")

    def dead(self, error: Exception | None = None) -> list[int]:
        """Return the numbers of the workers that have ended, or are about to.

        What a worker sent is lost with it, and a broken connection can show before its end does.

        Args:
            error: What reading from them raised: after a broken connection their end is waited for longer.
        """
        broken = isinstance(error, EOFError | ConnectionError)
        ending = wait([worker.sentinel for worker in self.workers], timeout=BROKEN if broken else DYING)
        for worker in self.workers:
            if worker.sentinel in ending:  # the system closes its files a moment before it is gone
                worker.join()
        return [number for number, worker in enumerate(self.workers) if not worker.is_alive()]

    def told_to_stop(self, numbers: list[int]) -> bool:
        """Return whether all of these workers, and there are any, have ended because they got SIGTERM."""
        return bool(numbers) and all(self.workers[number].exitcode in TOLD_TO_STOP for number in numbers)

    def how_it_ended(self, number: int) -> str:
        """Return how a worker ended."""
        worker = self.workers[number]
        code = worker.exitcode or 0
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit status {code}"
        return f"a data loader worker (pid {worker.pid}) {how}"

    def stop(self) -> None:
        """End all workers, also one that hangs in a decoder and answers to nothing."""
        for worker, index in zip(self.workers, self.at(), strict=False):
            if index != NOTHING:  # within a sample it holds no lock of torch's queues
                worker.kill()
        shut_down(self._iterator)
        for worker in self.workers:
            if worker.is_alive():
                worker.kill()
                worker.join()

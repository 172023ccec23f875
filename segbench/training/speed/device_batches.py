"""Batches that are on the GPU when they are asked for: each is copied while the step before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from segbench.data.loading.batches import Delivered, EvaluationBatch
from segbench.data.loading.loader import EpochLoader

Begun = TypeVar("Begun")


class Transfer(Protocol[Begun]):
    """How a batch comes to a device: begun early, finished when it is needed."""

    def begin(self, batch: Delivered) -> Begun:
        """Begin to copy a batch, and return what `finish` needs."""
        ...

    def finish(self, begun: Begun) -> EvaluationBatch:
        """Return the batch on the device, for work that is started from now on."""
        ...


@dataclass(frozen=True)
class Copied:
    """A batch whose copy has been asked for."""

    batch: EvaluationBatch
    """The batch on the device; its numbers are there once `done` is."""
    done: torch.cuda.Event
    """The end of the copy."""


class SideStream:
    """Copies batches to the current GPU on a stream of their own, beside a step where their memory is page-locked."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())
        self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def begin(self, batch: Delivered) -> Copied:
        """Ask for the copy."""
        with torch.cuda.stream(self._stream):
            there = {name: self._sent(values) for name, values in batch.items()}
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._stream)
        return Copied(there, done)

    def finish(self, begun: Copied) -> EvaluationBatch:
        """Have the stream of the step wait for the copy, which the host does not."""
        current = torch.cuda.current_stream(self.device)
        current.wait_event(begun.done)
        for tensor in tensors_of(begun.batch):
            tensor.record_stream(current)  # else its memory would be given away while the step still reads it
        return begun.batch

    def _sent(self, values: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        if isinstance(values, list):
            return [value.to(self.device, non_blocking=True) for value in values]
        return values.to(self.device, non_blocking=True)


def tensors_of(batch: Delivered) -> Iterator[Tensor]:
    """Yield all tensors of a batch."""
    for values in batch.values():
        if isinstance(values, list):
            yield from values
        else:
            yield values


class DeviceBatches(Generic[Begun]):
    """The batches of a loader, one of them begun ahead.

    The loader is asked for its position when its first batch is, as it is without this; where training stands, the
    trainer counts by the batches that it was given. So nothing of a batch that came too early is ever recorded.

    Args:
        loader: Reads the batches.
        transfer: Brings them to the device.
    """

    def __init__(self, loader: EpochLoader, transfer: Transfer[Begun]) -> None:
        self.loader = loader
        self.transfer = transfer

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        """Yield batches; raises what the loader raises, after the batches that were read before."""
        begun = map(self.transfer.begin, iter(self.loader))
        coming = next(begun, None)
        while coming is not None:
            error: Exception | None = None
            following = None
            try:
                following = next(begun, None)
            except Exception as failed:  # it belongs to the batch that comes next
                error = failed
            yield self.transfer.finish(coming)
            if error is not None:
                raise error
            coming = following

    def state_dict(self) -> dict[str, object]:
        """Return the loader's nothing."""
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Accept it."""
        self.loader.load_state_dict(state)


def on_gpu(loader: EpochLoader) -> DeviceBatches[Copied]:
    """Return a loader's batches on the current GPU."""
    return DeviceBatches(loader, SideStream())

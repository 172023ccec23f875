"""What the machine refuses - memory, disk - said in one sentence with the numbers that would help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.errors import CheckpointError, ConfigError, OutOfMemoryError
from segbench.core.files import FULL
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.trainer import describe_device, device_kind
from segbench.runs.folder import RunFolder
from segbench.training.results import peak_memory

MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "CUDNN_STATUS_ALLOC_FAILED")
UNREPEATABLE = "does not have a deterministic implementation"
"""Words of torch's error for an operation that gives other bits each time."""


@contextmanager
def in_one_sentence(run: RunFolder, settings: TrainerSettings, *, data: SegmentationData) -> Iterator[None]:
    """Turn the machine's refusals into errors with an exit status.

    Raises:
        ConfigError: for an operation that `trainer.deterministic` finds no repeatable form of.
        OutOfMemoryError: with batch size, resolution, the most that was used, and what would need less.
        CheckpointError: if the run folder cannot be written; what was written before stays as it was.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own OutOfMemoryError is a RuntimeError
        if UNREPEATABLE in str(error):
            raise ConfigError(_without_repeat(str(error), settings)) from error
        if not wants_memory(error):
            raise
        raise OutOfMemoryError(_needs_less(settings, data)) from error
    except OSError as error:
        if error.errno not in FULL and not str(error.filename or "").startswith(str(run.path)):
            raise
        raise CheckpointError(
            f"{error.filename or run.path} cannot be written: {error.strerror}; what was written before is untouched,"
            f" and the run can be continued with resume={run.path} once that is fixed"
        ) from error


def _without_repeat(reason: str, settings: TrainerSettings) -> str:
    operation = reason.split(UNREPEATABLE)[0].strip().rpartition(" ")[2]
    return (
        f"trainer.deterministic=true: torch's {operation} has no form that repeats bit by bit on"
        f" {describe_device(settings)}: take another model or loss, or trainer.deterministic=false"
    )


def wants_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in MEMORY)


def _needs_less(settings: TrainerSettings, data: SegmentationData) -> str:
    height, width = data.size
    peak = peak_memory(torch.device(device_kind(settings)))
    took = "were too many"
    if peak is not None:
        took = f"took {peak / 2**30:.1f} GiB at most"
    half = max(1, data.batch_size // 2)
    other = "a smaller data.size, model.width or another model"
    less = f"data.batch_size={half} trainer.accumulate={2 * settings.accumulate} makes steps of as many images"
    where = describe_device(settings)
    return (
        f"out of memory on {where}: data.batch_size={data.batch_size} at {height} x {width} pixels {took};"
        f" {less if data.batch_size > 1 else other}"
        f" with less memory{', or trainer.precision=bf16-mixed' if settings.precision == '32-true' else ''}"
    )

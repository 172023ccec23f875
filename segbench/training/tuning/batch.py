"""A batch size: some steps with 1, 2, 4, ... pictures, until there is no more memory or no gain."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch

from segbench.config.schema import Part, RunConfig
from segbench.core.choices import Split
from segbench.core.errors import ConfigError
from segbench.core.memory import available_memory
from segbench.data.loading.batches import Batch
from segbench.training.faults import wants_memory
from segbench.training.results import peak_memory
from segbench.training.tuning.trial import train_some, tried

WARM = 2
"""Steps that are not counted: the first ones compile and allocate."""

ENOUGH = 0.95
"""Share of the best throughput that a smaller batch size has to reach to be suggested."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one batch size came to."""

    batch_size: int
    """Pictures in a batch."""
    images_per_second: float
    """Pictures trained a second, with reading them."""
    milliseconds: float
    """Of a batch."""
    peak_memory_bytes: int | None
    """The most that was used: on a GPU by tensors, else by the process so far; None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class BatchSearch:
    """What a search for a batch size has seen."""

    suggested: int
    """The smallest size that is nearly as fast as the fastest."""
    largest: int
    """The largest that was trained."""
    ended: str
    """Why no larger one was tried."""
    sizes: list[Size]
    """All of them."""


def search_batch(config: RunConfig, *, most: int, steps: int, say: Callable[[Size], None]) -> BatchSearch:
    """Train some steps with each batch size from 1 on, twice as many each time, and return what they came to.

    Args:
        config: The checked configuration; its batch size is left out.
        most: The largest size that is tried.
        steps: Batches that are timed, of each size.
        say: Is told of each size.

    Raises:
        ConfigError: if not even one picture fits.
    """
    found: list[Size] = []
    ended = f"--most={most}"
    size = 1
    pictures = 0
    while size <= most:
        if found and size > pictures:
            ended = f"there are {pictures} pictures"
            break
        try:
            one, pictures = _tried(config, size, steps=steps)
        except ConfigError:
            if size > 1:
                raise
            size = 2  # a network whose normalisation needs two pictures
            continue
        except (MemoryError, RuntimeError) as error:
            if not wants_memory(error):
                raise
            ended = f"there is too little memory for {size}"
            break
        found.append(one)
        say(one)
        if not _fits_twice(found):
            ended = f"there may be too little memory for {2 * size}"
            break
        size *= 2
    if not found:
        raise ConfigError(f"{ended}; give a smaller data.size, model.width or another model")
    return chosen(found, ended)


def chosen(sizes: list[Size], ended: str) -> BatchSearch:
    """Return the search with the smallest of the sizes that is nearly as fast as the fastest."""
    best = max(one.images_per_second for one in sizes)
    suggested = next(one.batch_size for one in sizes if one.images_per_second >= ENOUGH * best)
    return BatchSearch(suggested=suggested, largest=sizes[-1].batch_size, ended=ended, sizes=sizes)


def _tried(config: RunConfig, size: int, *, steps: int) -> tuple[Size, int]:
    """Return what a size comes to, and how many pictures training has."""
    arguments = {**config.data.arguments, "batch_size": size}
    changed = replace(config, data=Part(target=config.data.target, arguments=arguments))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    experiment = tried(changed)
    clock = _Clock()
    train_some(experiment, WARM + steps, watch=clock)
    seconds = clock.seconds / clock.batches
    one = Size(
        batch_size=size,
        images_per_second=size / seconds,
        milliseconds=1000 * seconds,
        peak_memory_bytes=peak_memory(clock.device),
    )
    return one, experiment.data.num_samples(Split.TRAIN)


def _fits_twice(sizes: list[Size]) -> bool:
    """Whether a CPU has the memory for twice as much as was used more by the last size; a GPU says so itself."""
    used = [one.peak_memory_bytes or 0 for one in sizes[-2:]]
    if torch.cuda.is_available() or len(used) < 2:
        return True
    return 2 * (used[1] - used[0]) < available_memory()


class _Clock(pl.Callback):
    """Times batches after the first ones."""

    def __init__(self) -> None:
        self.batches = 0
        self.seconds = 0.0
        self.device = torch.device("cpu")
        self._seen = 0
        self._since = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.device = pl_module.device
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._seen += 1
        if self._seen > WARM:
            self.batches += 1
            self.seconds += now - self._since
        self._since = now

"""A learning rate: trained with one that rises from step to step, until the loss does (Smith, 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl

from segbench.config.schema import RunConfig
from segbench.core.errors import ConfigError, NonFiniteError
from segbench.data.loading.batches import Batch
from segbench.training.schedules import Schedule
from segbench.training.tuning.trial import train_some, tried

MEMORY = 0.9
"""Weight of the past in the smoothed loss."""

RISEN = 4.0
"""A loss of so many times the least one ends the search."""

FEWEST = 10
"""Steps before the loss may end it, or say anything."""


class Rising(Schedule):
    """A rate that is multiplied by the same factor at each step.

    Args:
        first: The factor of `optimizer.lr` at the first step.
        last: That at the last.
    """

    def __init__(self, first: float, last: float) -> None:
        super().__init__()
        self.first = first
        self.last = last

    def factor(self, step: int, total: int) -> float:
        """Return the factor of the base learning rate for `step` of `total` steps."""
        return self.first * math.pow(self.last / self.first, step / max(1, total - 1))


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """What a search for a learning rate has seen."""

    suggested: float
    """The rate at which the smoothed loss falls fastest."""
    least: float
    """The rate at which it is least: larger ones do harm."""
    rates: list[float]
    """Those of the steps."""
    losses: list[float]
    """The losses of the steps."""
    smoothed: list[float]
    """Their running mean."""


def search_rate(config: RunConfig, *, first: float, last: float, steps: int) -> RateSearch:
    """Train some steps with a rising rate, and return what the loss did.

    Args:
        config: The checked configuration; its schedule is left out.
        first: The first learning rate.
        last: The last one, where the loss has not risen before.
        steps: Optimizer steps.

    Raises:
        ConfigError: for rates that do not rise, an optimizer without `lr`, or a loss that never falls.
    """
    base = config.optimizer.arguments.get("lr")
    if not isinstance(base, int | float):
        raise ConfigError("tune lr needs an optimizer with a setting lr, in its YAML or as +optimizer.lr=...")
    if not 0 < first < last:
        raise ConfigError(f"tune lr needs 0 < first < last, got {first} and {last}")
    experiment = tried(config)
    experiment.schedule = Rising(first / base, last / base)
    seen = _Losses()
    with suppress(NonFiniteError):  # the rate was too large, which ends the search
        train_some(experiment, steps, watch=seen)
    return judged(seen.rates, seen.losses)


def judged(rates: Sequence[float], losses: Sequence[float]) -> RateSearch:
    """Return what losses at rising rates say; raises ConfigError where they never fall."""
    smooth = smoothed(losses)
    if len(smooth) < FEWEST:
        raise ConfigError(
            f"the loss is not finite any more after {len(smooth)} steps, at a rate of {rates[-1] if rates else 0:.2g};"
            " give a smaller first rate"
        )
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    slopes = [after - before for before, after in pairwise(smooth[: lowest + 1])]
    if not slopes or min(slopes) >= 0:
        raise ConfigError(
            f"the loss falls at no rate from {rates[0]:.2g} to {rates[-1]:.2g}; give other rates, more steps, or look"
            " at the data"
        )
    steepest = min(range(len(slopes)), key=slopes.__getitem__)
    return RateSearch(
        suggested=rates[steepest],
        least=rates[lowest],
        rates=list(rates),
        losses=list(losses),
        smoothed=smooth,
    )


class RunningMean:
    """The exponential running mean of values, without its lean towards zero at the beginning."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._lean = 1.0

    def after(self, value: float) -> float:
        """Return the mean with one more value."""
        self._mean = MEMORY * self._mean + (1 - MEMORY) * value
        self._lean *= MEMORY
        return self._mean / (1 - self._lean)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the running mean after each value."""
    mean = RunningMean()
    return [mean.after(value) for value in values]


class _Losses(pl.Callback):
    """Notes rate and loss of every step, and ends the training once the loss has risen far above its least."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._window: list[float] = []
        self._mean = RunningMean()
        self._least = math.inf

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._window.append(float(outputs["value"]))
        if trainer.global_step == len(self.rates):
            return  # a batch of a step that is not made yet
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.losses.append(sum(self._window) / len(self._window))
        self._window = []
        smooth = self._mean.after(self.losses[-1])
        self._least = min(self._least, smooth)
        if len(self.losses) >= FEWEST and not smooth < _limit(self._least):
            trainer.should_stop = True


def _limit(least: float) -> float:
    """Return the loss that ends the search; losses below zero have none of a ratio."""
    return RISEN * least if least > 0 else math.inf

"""Metrics of the user's own or of torchmetrics, by configuration: counted beside those that every run has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache

import torch
from torch import Tensor
from torchmetrics import Metric

from segbench.core.errors import ConfigError, SegbenchError
from segbench.core.tasks import IGNORE_INDEX

NAME = re.compile(r"[a-z][a-z0-9_]*")
LOWER = "_error"
"""What the name of a metric ends in of which less is better: `compare` knows it by that."""

SIDE = 64
"""Height and width of the made-up picture that a metric is tried on."""


class OwnMetrics:
    """Further metrics of the masks of one split.

    A metric whose constructor has `ignore_index` sees whole pictures, ids `[1,H,W]` with 255 where nothing is known;
    any other the labelled pixels alone, `[1,N]`.

    Args:
        metrics: By the names in the configuration.
        classes: Names of the classes.

    Raises:
        ConfigError: for one that cannot be computed, counts ignored pixels, or gives no numbers.
    """

    def __init__(self, metrics: Mapping[str, Metric] | None = None, classes: Sequence[str] = ()) -> None:
        self.metrics = dict(metrics or {})
        self.classes = list(classes)
        self.names = [found for name, metric in self.metrics.items() for found in self._tried(name, metric)]

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add pictures of one size: ids `[B,H,W]`, in truth with 255 where nothing is known."""
        for name, metric in self.metrics.items():
            metric.to(prediction.device)
            for one, other in zip(prediction, truth, strict=True):
                _feed(name, metric, prediction=one[None], truth=other[None].long())

    def compute(self) -> dict[str, float]:
        """Return every value by name."""
        return {key: value for name, metric in self.metrics.items() for key, value in self._values(name, metric)}

    def reset(self) -> None:
        """Forget all counts."""
        for metric in self.metrics.values():
            metric.reset()

    def _values(self, name: str, metric: Metric) -> list[tuple[str, float]]:
        try:
            found = metric.compute()
        except Exception as error:  # a class of the user's own may raise anything
            raise ConfigError(_failure(name, metric, error=error)) from error
        if isinstance(found, Mapping):
            return [(f"{name}/{key}", _number(name, value)) for key, value in found.items()]
        if isinstance(found, Tensor) and found.shape == (len(self.classes),):
            return [(f"{name}/{one}", float(value)) for one, value in zip(self.classes, found, strict=True)]
        return [(name, _number(name, found))]

    def _tried(self, name: str, metric: Metric) -> list[str]:
        """Return the names of a metric's values, found by computing it of a made-up picture."""
        _check_name(name, metric)
        pattern = torch.arange(SIDE * SIDE).view(1, SIDE, SIDE)
        truth = pattern % len(self.classes)
        ignored = torch.zeros_like(truth, dtype=torch.bool)
        ignored[:, : SIDE // 8] = True
        truth[ignored] = IGNORE_INDEX
        prediction = pattern // 3 % len(self.classes)
        other = torch.where(ignored, 0, prediction)
        with torch.random.fork_rng(devices=[]):
            values = self._alone(name, metric, prediction=prediction, truth=truth)
            otherwise = self._alone(name, metric, prediction=other, truth=truth)
            more = self._alone(name, metric, prediction=_higher(prediction, 0), truth=_higher(truth, IGNORE_INDEX))
        for (key, value), (_, second), (_, third) in zip(values, otherwise, more, strict=True):
            if abs(value - second) > 1e-6 or abs(value - third) > 1e-6:
                raise ConfigError(
                    f"metrics.{key} ({type(metric).__name__}) changes with pixels where the mask is 255; it must leave"
                    " those of its ignore_index out"
                )
        return [key for key, _ in values]

    def _alone(self, name: str, metric: Metric, *, prediction: Tensor, truth: Tensor) -> list[tuple[str, float]]:
        fresh = deepcopy(metric)
        _feed(name, fresh, prediction=prediction, truth=truth)
        return self._values(name, fresh)


def _higher(picture: Tensor, value: int) -> Tensor:
    """Return a picture `[1,H,W]` with further rows of a value above it."""
    return torch.nn.functional.pad(picture, (0, 0, SIDE // 8, 0), value=value)


def _feed(name: str, metric: Metric, *, prediction: Tensor, truth: Tensor) -> None:
    if not _leaves_out(type(metric)):
        labelled = truth != IGNORE_INDEX
        prediction = prediction[labelled][None]
        truth = truth[labelled][None]
    if not truth.numel():
        return
    try:
        metric.update(prediction, truth)
    except SegbenchError:
        raise
    except Exception as error:  # a class of the user's own may raise anything
        raise ConfigError(_failure(name, metric, error=error)) from error


@cache
def _leaves_out(kind: type) -> bool:
    """Whether metrics of a class are told which id they leave out; asked for every picture."""
    return "ignore_index" in inspect.signature(kind).parameters


def _check_name(name: str, metric: Metric) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(f"metrics.{name}: a metric's name has small letters, digits and _, such as metrics.kappa")
    is_lower = metric.higher_is_better is False
    if is_lower != name.endswith(LOWER) and metric.higher_is_better is not None:
        better = "less" if is_lower else "more"
        raise ConfigError(
            f"metrics.{name} ({type(metric).__name__}): {better} of it is better by its higher_is_better, so its"
            f" name must {'end' if is_lower else 'not end'} in {LOWER}, by which compare tells them apart"
        )


def _number(name: str, value: object) -> float:
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1):
        return float(value)
    told = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise ConfigError(f"metrics.{name} must give one number, one a class, or a mapping of numbers, got {told}")


def _failure(name: str, metric: Metric, *, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"metrics.{name} ({type(metric).__name__}) cannot be computed: {type(error).__name__}: {reason}"

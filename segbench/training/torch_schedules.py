"""Schedules of torch, by the name of their class: any of `torch.optim.lr_scheduler`, and classes derived from it."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from segbench.config.instantiate import build, find_class
from segbench.config.schema import Part
from segbench.core.choices import one_of
from segbench.core.errors import ConfigError, nearest
from segbench.training.length import Length, Position
from segbench.training.schedules import Schedule

TOTAL = "total"
"""The word for the length of the training, in steps or epochs as the interval is: `scheduler.T_max=total`."""

SET = ("lr", "momentum", "betas")
"""Options of an optimizer that a schedule sets."""

LENGTH = Length(steps=1000, epochs=1000)
"""Of a training that is not known yet, to try a schedule on."""


class Interval(StrEnum):
    """What a schedule counts."""

    STEP = "step"
    EPOCH = "epoch"


class TorchSchedule(Schedule):
    """A scheduler of torch, computed from the position: it has no state that a checkpoint could spoil.

    It works on an optimizer of its own that trains nothing, whose rates (and momentum) are then those of the run. A
    resume makes it again from the settings and takes its steps again, which are the same operations.

    Args:
        part: The class and its arguments, with `interval` and `monitor` among them.
        higher: Whether more of the run's own score is better.
        plugins: The user's own packages.

    Raises:
        ConfigError: for arguments that the class does not take, or that say the opposite of other settings.
    """

    def __init__(self, part: Part, *, higher: bool, plugins: Sequence[str]) -> None:
        super().__init__()
        arguments = dict(part.arguments)
        self.kind = find_class(part.target, plugins, where="scheduler")
        self.is_plateau = issubclass(self.kind, ReduceLROnPlateau)
        self.interval = one_of(Interval, str(arguments.pop("interval", Interval.STEP)), what="scheduler.interval")
        monitor = arguments.pop("monitor", None)
        self.monitor = None if monitor is None else str(monitor)
        self.higher = higher
        self.plugins = plugins
        self._check(arguments)
        if self.is_plateau:
            self.interval = Interval.EPOCH
            arguments.setdefault("mode", "max" if higher and self.monitor is None else "min")
        self.part = Part(target=part.target, arguments=arguments)
        self.scores: list[float] = []
        self._of: torch.optim.Optimizer | None = None

    def _check(self, arguments: Mapping[str, object]) -> None:
        name = self.kind.__name__
        if "last_epoch" in arguments:
            raise ConfigError("scheduler.last_epoch is where the run stands, and is not set; leave it out")
        if self.monitor is not None and not self.is_plateau:
            raise ConfigError(f"scheduler.monitor does nothing for {name}, which looks at no score; leave it out")
        if self.monitor is None and "mode" in arguments and self.is_plateau:
            raise ConfigError(
                "scheduler.mode follows from the score that chooses the best epoch; leave it out, or name another score"
                " as scheduler.monitor"
            )
        if self.monitor not in (None, "val/loss") and "mode" not in arguments:
            raise ConfigError(
                f"scheduler.monitor={self.monitor} needs scheduler.mode: max where more is better, or min"
            )

    def check_scores(self, names: Sequence[str]) -> None:
        """Raise a ConfigError for a score to be monitored that the run does not have."""
        if self.monitor is not None and self.monitor not in names:
            raise ConfigError(
                f"scheduler.monitor={self.monitor} is no score of this run{nearest(str(self.monitor), names)}"
            )

    def try_on(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise a ConfigError if it cannot be had for an optimizer; that is left as it is."""
        self._begin(optimizer, LENGTH)
        self._of = None

    def set_options(self, optimizer: torch.optim.Optimizer, at: Position, *, of: Length, scale: float = 1.0) -> None:
        """Set the rate of each group, and its momentum where the class does, for the step or epoch at a position."""
        if self._of is not optimizer:
            self._begin(optimizer, of)
            self._of = optimizer
        self._advance(at)
        for group, shadow_group in zip(optimizer.param_groups, self._shadow.param_groups, strict=True):
            group.update({name: shadow_group[name] for name in SET if name in shadow_group})
            group["lr"] = shadow_group["lr"] * scale

    def observe(self, score: float, values: Mapping[str, float] | None = None) -> None:
        """Take note of a validation's scores, which `ReduceLROnPlateau` looks at."""
        if not self.is_plateau:
            return
        own = score if self.higher else -score
        self.scores.append(own if self.monitor is None else (values or {}).get(self.monitor, math.nan))

    def state_dict(self) -> dict[str, object]:
        """Return the scores so far; all else follows from the position."""
        return {"scores": list(self.scores)} if self.is_plateau else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; nothing where the run had another schedule until now."""
        self.scores = [float(score) for score in state.get("scores", [])]
        self._of = None

    def _begin(self, optimizer: torch.optim.Optimizer, of: Length) -> None:
        self._shadow = _Shadow(optimizer)
        self._taken = 0
        self._length = of.steps if self.interval is Interval.STEP else of.epochs
        rates = [group["lr"] for group in self._shadow.param_groups]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # SequentialLR's own call is one that torch warns of
            self._scheduler = self._made(self.part, "scheduler")
        shadow = [group["lr"] for group in self._shadow.param_groups]
        if any(not math.isclose(one * shadow[0], rates[0] * other) for one, other in zip(rates, shadow, strict=True)):
            raise ConfigError(
                f"scheduler ({self.kind.__name__}) gives all parameters the same rate; leave out"
                " optimizer.encoder_lr_factor and optimizer.layer_decay, or take another schedule"
            )
        total = getattr(self._scheduler, "total_steps", None)
        if total is not None and total < self._length and of is not LENGTH:
            raise ConfigError(
                f"scheduler.total_steps={total} is less than the {self._length:,} {self.interval}s of the training;"
                " leave it out"
            )

    def _made(self, part: Part, where: str) -> Any:
        kind = find_class(part.target, self.plugins, where=where)
        names = list(inspect.signature(kind).parameters)
        arguments = {name: self._argument(value, f"{where}.{name}") for name, value in part.arguments.items()}
        if "max_lr" in arguments:
            raise ConfigError(f"{where}.max_lr is optimizer.lr here: give optimizer.lr, and leave it out")
        if "max_lr" in names:
            arguments["max_lr"] = [group["lr"] for group in self._shadow.param_groups]
        if "total_steps" in names and "epochs" not in arguments:
            arguments.setdefault("total_steps", self._length)
        complete = Part(target=part.target, arguments=arguments)
        first = [self._shadow] if names[:1] == ["optimizer"] else []
        return build(complete, *first, plugins=self.plugins, where=where)

    def _argument(self, value: Any, where: str) -> Any:
        if value == TOTAL:
            return self._length
        if isinstance(value, list | tuple):
            return [self._argument(item, f"{where}[{place}]") for place, item in enumerate(value)]
        is_part = isinstance(value, Mapping) and "_target_" in value
        return self._made(Part.of(value, where), where) if is_part else value

    def _advance(self, at: Position) -> None:
        """Take the steps until a position."""
        wanted = at.step if self.interval is Interval.STEP else at.epoch
        if self.is_plateau:
            wanted = len(self.scores)
        if self._taken == wanted:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for taken in range(self._taken, wanted):
                self._shadow.step()
                self._scheduler.step(*self.scores[taken : taken + 1])
        self._taken = wanted


class _Shadow(torch.optim.Optimizer):
    """An optimizer with the options of another one as they are at the beginning, which trains nothing."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        groups = [{**group, "params": [nn.Parameter(torch.zeros(()))]} for group in optimizer.param_groups]
        for group in groups:
            group["lr"] = group.get("base_lr", group["lr"])
        super().__init__(groups, dict(optimizer.defaults))

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing; torch wants it to have been called."""


def make_schedule(part: Part, *, higher: bool, plugins: Sequence[str]) -> Schedule:
    """Return the schedule that a configuration names, one of this project or one of torch.

    Args:
        part: Its class and arguments.
        higher: Whether more of the run's own score is better.
        plugins: The user's own packages.

    Raises:
        ConfigError: for a class that is neither, or arguments that it does not take.
    """
    kind = find_class(part.target, plugins, where="scheduler")
    if issubclass(kind, LRScheduler):
        return TorchSchedule(part, higher=higher, plugins=plugins)
    if not issubclass(kind, Schedule):
        raise ConfigError(
            f"scheduler._target_={part.target} is no schedule; give a class of torch.optim.lr_scheduler, or one derived"
            " from segbench.training.schedules.Schedule"
        )
    schedule: Schedule = build(part, plugins=plugins, where="scheduler")
    return schedule

"""Learning-rate schedules as pure functions of the optimizer step, so that a resume cannot get them wrong.

Each maps the step (from 0) and the total number of steps to a factor of `optimizer.lr`. Only the plateau schedule has a
state; it changes at the end of a validation and is saved after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from segbench.core.errors import ConfigError
from segbench.training.length import Length, Position


class Schedule:
    """A constant learning rate, and the base of all schedules.

    Args:
        warmup: Share of all steps in which the rate rises linearly from near zero.
    """

    def __init__(self, warmup: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(f"scheduler.warmup is a share of the training in [0, 1), got {warmup}")
        self.warmup = warmup

    def check_scores(self, names: Sequence[str]) -> None:
        """Raise a ConfigError if it looks at a score that is not among those of the run."""

    def try_on(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise a ConfigError if it does not work with an optimizer."""

    def set_options(self, optimizer: torch.optim.Optimizer, at: Position, *, of: Length, scale: float = 1.0) -> None:
        """Set the learning rate of each group.

        Args:
            optimizer: With the rates of the settings, or as an earlier call has left it.
            at: Where the training stands.
            of: Its length.
            scale: A further factor.
        """
        factor = self.factor(at.step, of.steps) * scale
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * factor

    def factor(self, step: int, total: int) -> float:
        """Return the factor of the base learning rate for `step` of `total` steps."""
        begin = self.warmup * total
        if step < begin:
            return (step + 1) / (begin + 1)
        return self.shape(min(1.0, (step - begin) / max(1.0, total - begin)))

    def shape(self, progress: float) -> float:
        """Return the factor after the warm-up, for progress from 0 to 1."""
        return 1.0

    def observe(self, score: float, values: Mapping[str, float] | None = None) -> None:
        """Take note of a validation's score, of which more is better: the mean IoU, or minus the RMSE of depth.

        Args:
            score: That score.
            values: All of them by their names in metrics.csv.
        """

    def state_dict(self) -> dict[str, object]:
        """Return what `observe` has changed."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class Cosine(Schedule):
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter, "SGDR", 2017, one period)."""

    def __init__(self, warmup: float = 0.0, final: float = 0.0) -> None:
        super().__init__(warmup)
        if not 0 <= final <= 1:
            raise ConfigError(f"scheduler.final is a share of optimizer.lr in [0, 1], got {final}")
        self.final = final

    def shape(self, progress: float) -> float:
        """Return the factor for progress from 0 to 1."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


class Poly(Schedule):
    """(1 - progress) ** power (Chen et al., "DeepLab", 2017)."""

    def __init__(self, warmup: float = 0.0, power: float = 0.9) -> None:
        super().__init__(warmup)
        if power < 0:
            raise ConfigError(f"scheduler.power must be at least 0, got {power}")
        self.power = power

    def shape(self, progress: float) -> float:
        """Return the factor for progress from 0 to 1."""
        factor: float = (1 - progress) ** self.power
        return factor


class Step(Schedule):
    """Multiplies the rate by `gamma` at each milestone, a share of the training."""

    def __init__(self, warmup: float = 0.0, milestones: list[float] | None = None, *, gamma: float = 0.1) -> None:
        super().__init__(warmup)
        self.milestones = [0.6, 0.85] if milestones is None else sorted(milestones)
        if not all(0 < milestone < 1 for milestone in self.milestones):
            raise ConfigError(f"scheduler.milestones are shares of the training in (0, 1), got {self.milestones}")
        if gamma <= 0:
            raise ConfigError(f"scheduler.gamma must be above 0, got {gamma}")
        self.gamma = gamma

    def shape(self, progress: float) -> float:
        """Return the factor for progress from 0 to 1."""
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


class OneCycle(Schedule):
    """Rises by a cosine from 1 / `start` to 1 and falls by a cosine to 1 / `end` (Smith and Topin, 2018).

    Args:
        rise: Share of the training in which the rate rises.
        start: The base learning rate divided by the first one.
        end: The base learning rate divided by the last one.
    """

    def __init__(self, rise: float = 0.2, start: float = 25.0, *, end: float = 1e4) -> None:
        super().__init__()
        if not 0 < rise < 1 or start < 1 or end < 1:
            raise ConfigError(f"scheduler needs 0 < rise < 1, start >= 1 and end >= 1, got {rise}, {start} and {end}")
        self.rise = rise
        self.low = 1 / start
        self.final = 1 / end

    def shape(self, progress: float) -> float:
        """Return the factor for progress from 0 to 1."""
        if progress < self.rise:
            return _between(self.low, 1.0, progress=progress / self.rise)
        return _between(1.0, self.final, progress=(progress - self.rise) / (1 - self.rise))


class Plateau(Schedule):
    """Multiplies the rate by `gamma` when the validation's score has not risen for more than `patience` epochs.

    Args:
        warmup: Share of all steps in which the rate rises linearly.
        patience: Validations without a rise that are accepted.
        gamma: The factor.
        threshold: The least rise of the score that counts.
        least: Least factor of the base learning rate.
    """

    def __init__(
        self,
        warmup: float = 0.0,
        patience: int = 3,
        *,
        gamma: float = 0.3,
        threshold: float = 1e-4,
        least: float = 1e-3,
    ) -> None:
        super().__init__(warmup)
        if patience < 0 or not 0 < gamma < 1 or threshold < 0 or not 0 <= least <= 1:
            raise ConfigError(
                f"scheduler needs patience >= 0, 0 < gamma < 1, threshold >= 0 and 0 <= least <= 1, got {patience},"
                f" {gamma}, {threshold} and {least}"
            )
        self.patience = patience
        self.gamma = gamma
        self.threshold = threshold
        self.least = least
        self.current = 1.0
        self.best = -math.inf
        self.waited = 0

    def shape(self, progress: float) -> float:
        """Return the factor that the validations so far have led to."""
        return self.current

    def observe(self, score: float, values: Mapping[str, float] | None = None) -> None:
        """Take note of a validation's score, of which more is better: the mean IoU, or minus the RMSE of depth."""
        if score > self.best + self.threshold:
            self.best = score
            self.waited = 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.current = max(self.least, self.current * self.gamma)
            self.waited = 0

    def state_dict(self) -> dict[str, object]:
        """Return the factor, the best score and the validations waited."""
        return {"current": self.current, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; nothing where the run had another schedule until now."""
        if "current" in state:
            self.current = max(self.least, state["current"])
            self.best = state["best"]
            self.waited = state["waited"]


def _between(first: float, last: float, *, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2

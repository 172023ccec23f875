"""The `trainer` settings, checked; `inference/trainer.py` applies them. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segbench.core.choices import Accelerator, NonFinite, Precision, Strategy, one_of
from segbench.core.errors import ConfigError

MOST_THREADS = 1024
"""More threads or processes than any machine has cores: starting them would only fail later, and worse."""


@dataclass(frozen=True)
class TrainerSettings:
    """What `conf/trainer/*.yaml` holds; each setting is explained there."""

    max_epochs: int
    max_steps: int | None
    accelerator: str
    devices: int
    strategy: str
    precision: str
    deterministic: bool
    channels_last: bool
    compile: bool
    accumulate: int
    gradient_clip: float | None
    val_every: int
    log_every: int
    checkpoint_every: int
    panels_every: int
    threads: int | None
    checkpoint_minutes: float = 0
    ema: float | None = None
    ema_warmup: bool = True
    patience: int | None = None
    non_finite: str = "raise"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainerSettings:
        """Return the settings of a configuration; raises ConfigError where its `trainer` has others than these."""
        try:
            return cls(**config["trainer"])
        except TypeError as error:
            raise ConfigError(f"trainer does not hold the settings that it should: {error}") from None

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        if self.ema is not None and not (_is_number(self.ema, float) and 0 < self.ema < 1):
            raise ConfigError(f"trainer.ema is the decay of an average in (0, 1), such as 0.999, got {self.ema}")
        if self.ema is None and not self.ema_warmup:
            raise ConfigError("trainer.ema_warmup=false does nothing without trainer.ema; give a decay such as 0.999")
        if self.non_finite == NonFinite.ROLLBACK and self.devices > 1:
            raise ConfigError(
                "trainer.non_finite=rollback works with one process; use skip with trainer.devices above 1"
            )

    def _check_choices(self) -> None:
        one_of(Precision, self.precision, "trainer.precision")
        one_of(Accelerator, self.accelerator, "trainer.accelerator")
        one_of(Strategy, self.strategy, "trainer.strategy")
        one_of(NonFinite, self.non_finite, "trainer.non_finite")

    def _check_numbers(self) -> None:
        whole = ("max_epochs", "max_steps", "devices", "accumulate", "val_every", "log_every", "threads", "patience")
        for name in (*whole, "checkpoint_every", "panels_every"):
            value, least = getattr(self, name), int(name in whole)
            if value is not None and not (_is_number(value, int) and value >= least):
                raise ConfigError(f"trainer.{name} must be a whole number of at least {least}, got {value}")
        for name in ("threads", "devices"):
            if (getattr(self, name) or 0) > MOST_THREADS:
                raise ConfigError(f"trainer.{name} must be at most {MOST_THREADS:,}, got {getattr(self, name):,}")
        minutes, clip = self.checkpoint_minutes, self.gradient_clip
        if not (_is_number(minutes, int | float) and 0 <= minutes < float("inf")):
            raise ConfigError(f"trainer.checkpoint_minutes must be a number of at least 0, got {minutes}")
        if clip is not None and not (_is_number(clip, int | float) and 0 < clip < float("inf")):
            raise ConfigError(f"trainer.gradient_clip must be a number above 0, or null for no limit, got {clip}")


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)

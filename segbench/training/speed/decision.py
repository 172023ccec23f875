"""`trainer.compile=auto`: which form of a network its steps run in, decided by measured seconds; a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from segbench.core.plain import Plain
from segbench.core.text import duration

LEAST_GAIN = 0.05
"""Share of the time that is left which a form has to save; less is lost in the noise of measuring."""

WORTH = 300.0
"""Seconds that the steps that are left must take for the wait for a compiler to be risked at all."""


class Form(StrEnum):
    """How a network runs in training steps; where it is scored, it runs as it is."""

    EAGER = "eager"
    """As it is, operation by operation."""
    COMPILED = "compiled"
    """By torch.compile."""
    GRAPHS = "graphs"
    """By torch.compile, recorded as a CUDA graph, which spares a small network the starts of its kernels."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a form came to."""

    wait: float
    """Seconds until the first step was done, of each size of pictures; 0 for a network as it is."""
    step: float
    """Seconds of a further batch, without the optimizer."""

    def total(self, batches: int, *, sizes: int) -> float:
        """Return the seconds that so many batches take, of pictures of so many sizes."""
        return self.wait * sizes + self.step * batches


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided, and by which figures."""

    form: Form
    """The form that the steps run in."""
    reason: str
    """Why, as it is said."""
    device: str
    """Kind of the device that it was decided for."""
    steps: int
    """Optimizer steps that were left."""
    trials: Mapping[Form, Trial] = field(default_factory=dict)
    """The forms that were measured."""

    def record(self) -> Plain:
        """Return what environment.json holds."""
        return {
            "form": self.form.value,
            "reason": self.reason,
            "device": self.device,
            "steps_left": self.steps,
            "seconds": {form.value: {"wait": one.wait, "step": one.step} for form, one in self.trials.items()},
        }

    def __str__(self) -> str:
        return f"trainer.compile=auto: {self.form}, {self.reason}"


def might_pay(eager: float, batches: int) -> bool:
    """Whether so many batches of `eager` seconds each take long enough for a compiler to be tried."""
    return eager * batches >= WORTH


def decided(trials: Mapping[Form, Trial], batches: int, *, sizes: int = 1) -> tuple[Form, str]:
    """Return the form in which what is left is done soonest, its wait counted in, and why in words.

    Args:
        trials: The forms that were measured, `eager` among them.
        batches: Batches that are left.
        sizes: How many sizes of pictures are trained on; each is waited for.
    """
    totals = {form: one.total(batches, sizes=sizes) for form, one in trials.items()}
    best = min(totals, key=totals.__getitem__)
    plain = totals[Form.EAGER]
    if best is Form.EAGER or totals[best] > (1 - LEAST_GAIN) * plain:
        best = Form.EAGER
    told = "; ".join(_told(form, trials[form], total=total) for form, total in totals.items())
    return best, f"as the {batches:,} batches left take {told}"


def _told(form: Form, trial: Trial, *, total: float) -> str:
    each = f"{1000 * trial.step:.3g} ms each"
    if trial.wait:
        each += f" after {trial.wait:.1f} s"
    return f"{duration(total)} {form} ({each})"

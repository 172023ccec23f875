"""Where the time of a session goes: every moment counts for the innermost phase that is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

import torch
from pytorch_lightning.profilers import Profiler
from torch import nn

from segbench.core.files import write_atomic


class Phase(StrEnum):
    """What a session does."""

    DATA = "data"
    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    SCORED_DATA = "data that is scored"
    SCORED_FORWARD = "forward of what is scored"
    METRICS = "metrics"
    CHECKPOINT = "checkpoint"
    REST = "all else"


ACTIONS: Mapping[str, Phase] = {
    ".train_dataloader_next": Phase.DATA,
    ".val_dataloader_next": Phase.SCORED_DATA,
    ".test_dataloader_next": Phase.SCORED_DATA,
    ".training_step": Phase.FORWARD,
    ".backward": Phase.BACKWARD,
    ".optimizer_step": Phase.OPTIMIZER,
    ".validation_step": Phase.METRICS,
    ".test_step": Phase.METRICS,
    ".on_validation_epoch_end": Phase.METRICS,
    ".on_test_epoch_end": Phase.METRICS,
    "Recorder.on_validation_end": Phase.METRICS,
    "Checkpointer.on_train_batch_end": Phase.CHECKPOINT,
    "Checkpointer.on_train_epoch_end": Phase.CHECKPOINT,
}
"""What the names of Lightning's actions end in; an action of another name belongs to the phase that it lies in."""

SCORING = (Phase.METRICS, Phase.SCORED_FORWARD)


class PhaseProfiler(Profiler):
    """Adds up the time of each phase, without that of the phases within it.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.seconds = dict.fromkeys(Phase, 0.0)
        self.times = dict.fromkeys(Phase, 0)
        self._clock = clock
        self._phases = [Phase.REST]
        self._since = clock()

    def start(self, action_name: str) -> None:
        """Begin an action."""
        self.enter(next((phase for end, phase in ACTIONS.items() if action_name.endswith(end)), None))

    def stop(self, action_name: str) -> None:
        """End the action that was begun last."""
        self.leave()

    def enter(self, phase: Phase | None) -> None:
        """Begin a phase, or with None something that belongs to the present one."""
        self._count()
        if phase is not None and phase is not self._phases[-1]:  # the network's call lies in a step, which is forward
            self.times[phase] += 1
        self._phases.append(phase or self._phases[-1])

    def leave(self) -> None:
        """Go back to what was under way before."""
        self._count()
        if len(self._phases) > 1:
            self._phases.pop()

    def watch(self, network: nn.Module, loss: nn.Module) -> None:
        """Tell a network's and a loss's calls apart from what lies around them."""
        network.register_forward_pre_hook(lambda *_: self.enter(self._within(Phase.FORWARD)))
        network.register_forward_hook(lambda *_: self.leave())
        loss.register_forward_pre_hook(lambda *_: self.enter(self._within(Phase.LOSS)))
        loss.register_forward_hook(lambda *_: self.leave())

    def _within(self, phase: Phase) -> Phase:
        """Return the phase of a call in training, or what it is where pictures are scored."""
        if self._phases[-1] not in SCORING:
            return phase
        return Phase.SCORED_FORWARD if phase is Phase.FORWARD else Phase.METRICS

    def _count(self) -> None:
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()  # a GPU works on while the next lines run
        now = self._clock()
        self.seconds[self._phases[-1]] += now - self._since
        self._since = now

    def table(self) -> str:
        """Return the phases with their seconds, their share and how often they came, as text."""
        self._count()
        whole = sum(self.seconds.values())
        lines = [
            f"where the {whole:.1f} s of this session went",
            "",
            f"{'phase':<26}{'seconds':>10}{'share':>8}{'times':>8}{'ms each':>12}",
        ]
        for phase, seconds in self.seconds.items():
            times = self.times[phase]
            each = f"{1000 * seconds / times:12.2f}" if times else ""
            lines.append(f"{phase:<26}{seconds:10.2f}{seconds / whole:8.1%}{times or '':>8}{each}")
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def line(self) -> str:
        """Return the phases from the longest on, in a line."""
        self._count()
        whole = sum(self.seconds.values())
        longest = sorted(self.seconds.items(), key=lambda item: -item[1])
        return ", ".join(f"{phase} {seconds / whole:.0%}" for phase, seconds in longest if seconds >= 0.005 * whole)

    def write(self, path: Path) -> None:
        """Write the table."""
        write_atomic(path, self.table())

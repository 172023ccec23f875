"""A resume held against the run that it continues, before anything in the folder changes: what may go on, and how."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from segbench.config.resume_rules import differing_settings, other_length
from segbench.config.saved import read_saved_config
from segbench.config.schema import RunConfig
from segbench.config.trainer_settings import MOST_THREADS, TrainerSettings
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.plain import Plain
from segbench.inference.trainer import device_kind
from segbench.runs.checkpoints import BEST
from segbench.runs.folder import RunFolder
from segbench.training.checkpoints.best import BestAheadError, BestLostError, make_best, source_of_best
from segbench.training.checkpoints.carry_over import carry_over
from segbench.training.checkpoints.conditions import differences, other_data
from segbench.training.checkpoints.storage import Found, find_newest
from segbench.training.length import Length, Position
from segbench.training.parts import Experiment

log = logging.getLogger("segbench")
NOT_CARRIED = ("model.", "optimizer.", "task", "inputs", "data.classes")
"""Settings that may make a checkpoint unfit."""


@dataclass(frozen=True)
class Differences:
    """In what a session differs from the run that it continues."""

    forced: list[str]
    """What makes it another experiment, accepted by `resume.force=true`."""
    inexact: list[str]
    """What moves only the last bits."""
    length: list[str]
    """Settings of the length, which may differ."""
    earlier: list[Plain]
    """The records of earlier resumes."""

    @classmethod
    def of(cls, run: RunFolder, config: RunConfig, *, now: Mapping[str, object]) -> Differences:
        """Compare a run with the settings and the conditions of now.

        Raises:
            ConfigError: for other settings, unless `resume.force` is set.
            DataError: for other data, likewise.
        """
        before = run.read_environment()
        if run.config.is_file():
            saved = read_saved_config(run.config)
        else:
            saved = config.plain()
        settings = differing_settings(saved, config)
        data = other_data(before, now)
        if not config.resume.force:
            _refuse(run, settings)
            if data is not None:
                raise data
        earlier = before.get("resumes")
        forced = [*settings, *(["data"] if data is not None else [])]
        length = other_length(saved, config)
        return cls(forced, differences(before, now), length, earlier if isinstance(earlier, list) else [])


@dataclass(frozen=True)
class Resumption:
    """What a session continues."""

    run: RunFolder
    """The run."""
    differences: Differences
    """In what it differs from the run so far."""
    found: Found
    """Its newest checkpoint that is whole, and those that are not."""
    position: Position
    """Where the training stands there."""
    best: Path | None
    """The checkpoint that best.ckpt has to be made of first; None: of none."""
    lost: bool
    """Whether it goes on without the best epoch so far: its checkpoint is lost, or it was the best on other data."""

    @classmethod
    def of(cls, run: RunFolder, differences: Differences, *, experiment: Experiment, force: bool) -> Resumption:
        """Find what can be continued, and try in memory what the session is going to do with it; nothing is written.

        Raises:
            ConfigError: for settings that this checkpoint cannot be continued with.
            CheckpointError: if there is none that is whole, or none of the best epoch.
        """
        found = find_newest(run.checkpoints)
        position = Position.of(found.content)
        on_other_data = "data" in differences.forced  # the best epoch so far was the best on the old
        best, lost = (None, True) if on_other_data else _best(found, force)
        _check_fits(run, found, experiment=experiment, forced=differences.forced, lost=lost)
        if lost and force and not on_other_data:
            differences = replace(differences, forced=[*differences.forced, f"without the {BEST} so far"])
        return cls(run, differences, found, position, best, lost)

    def mend(self) -> None:
        """Set damaged checkpoints aside, and make best.ckpt again where it is not as it should be."""
        self.found.set_damaged_aside()
        self.found.content.clear()  # it takes as much memory as the network
        if self.best is not None:
            make_best(self.best)
        elif self.lost:
            (self.run.checkpoints / BEST).unlink(missing_ok=True)

    @cached_property
    def records(self) -> list[Plain]:
        """Return the records of all resumes, this one last, for environment.json and results.json."""
        forced = self.differences.forced
        inexact = self.differences.inexact
        length = self.differences.length
        this = {"step": self.position.step, "time": time.time(), "forced": forced, "inexact": inexact, "length": length}
        return [*self.differences.earlier, this]

    def check_not_beyond(self, length: Length) -> None:
        """Raise a ConfigError if the run already stands beyond the steps that it is to have."""
        if self.position.step > length.steps:
            raise ConfigError(
                f"{self.run.path} stands at step {self.position.step}, beyond the {length.steps} steps of"
                " trainer.max_epochs and trainer.max_steps; leave them as they were, or give more"
            )

    def say(self) -> None:
        """Warn of what differs."""
        if self.differences.forced:
            log.warning("  resume.force: this is another experiment now: %s", ", ".join(self.differences.forced))
        if self.differences.inexact:
            log.warning("  no longer bit-exact because of %s", ", ".join(self.differences.inexact))


def _refuse(run: RunFolder, settings: list[str]) -> None:
    if settings:
        raise ConfigError(
            f"{run.path} was started with other settings: {', '.join(settings[:5])}; leave them as they were, or go on"
            " with resume.force=true, which is recorded"
        )


def _best(found: Found, force: bool) -> tuple[Path | None, bool]:
    """Return what best.ckpt has to be made of, and whether it is lost, which a resume may accept."""
    try:
        return source_of_best(found), False
    except BestAheadError as error:
        log.warning("%s", error)
        return None, True
    except BestLostError:
        if not force:
            raise
        return None, True


def _check_fits(run: RunFolder, found: Found, *, experiment: Experiment, forced: list[str], lost: bool) -> None:
    """Try on the checkpoint, in memory, what the session is going to do with it."""
    changed = [word for word in forced if word.startswith(NOT_CARRIED)]
    if other := [word for word in changed if word.startswith("optimizer._target_")]:
        raise ConfigError(_not_carried(run, other, reason="the state of one optimizer is of no use to another"))
    try:
        carry_over(found.content, experiment.module(), without_best=lost)
    except CheckpointError as error:
        if changed:
            raise ConfigError(_not_carried(run, changed, reason=str(error))) from None
        raise CheckpointError(f"{found.path} cannot be continued: {error}") from None


def _not_carried(run: RunFolder, settings: list[str], *, reason: str) -> str:
    return (
        f"{', '.join(settings[:5])} cannot be changed in a run that has begun: {reason}; leave it as it was, or start a"
        f" new run, in a folder other than {run.path}"
    )


def pin_threads(run: RunFolder, settings: TrainerSettings) -> None:
    """Use as many CPU threads as the run did, on whatever machine: their number decides the last bits of its sums."""
    before = run.read_environment().get("threads")
    is_free = settings.threads is None and device_kind(settings) == "cpu"
    if is_free and isinstance(before, int) and 0 < before <= MOST_THREADS:
        torch.set_num_threads(before)

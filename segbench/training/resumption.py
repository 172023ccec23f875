"""A resume held against the run it continues: the same experiment, the same data, the same conditions?"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segbench.config.same import differing_settings
from segbench.config.saved import read_saved_config
from segbench.core.errors import ConfigError
from segbench.core.files import write_json
from segbench.core.states import RunState
from segbench.data.loading.datamodule import SegmentationData
from segbench.runs.folder import RunFolder, read_json
from segbench.training.conditions import differences, other_data
from segbench.training.settings import TrainerSettings

log = logging.getLogger("segbench")
MOST_THREADS = 1024


@dataclass(frozen=True)
class Resumption:
    """What differs between a run and the session that continues it.

    forced: what makes it another experiment, accepted by `resume.force=true`. inexact: what moves only the last bits.
    earlier: the records of earlier resumes.
    """

    run: RunFolder
    forced: list[str]
    inexact: list[str]
    earlier: list[dict[str, Any]]

    @classmethod
    def of(cls, run: RunFolder, config: Mapping[str, Any], now: Mapping[str, Any]) -> Resumption:
        """Compare a run with the configuration and the conditions of now; nothing is written.

        Raises:
            ConfigError: for other settings, unless `resume.force` is set.
            DataError: for other data, likewise.
        """
        before = read_json(run.environment) if run.environment.is_file() else {}
        settings, data = differing_settings(read_saved_config(run.config), config), other_data(before, now)
        if not config["resume"]["force"]:
            _refuse(run, settings)
            if data is not None:
                raise data
        forced = [*settings, *(["data"] if data is not None else [])]
        earlier = before.get("resumes")
        return cls(run, forced, differences(before, now), earlier if isinstance(earlier, list) else [])

    def recorded(self, checkpoint: Path | None) -> list[dict[str, Any]]:
        """Return the records of all resumes, this one last, for environment.json and results.json."""
        step = _step(checkpoint) if checkpoint else 0
        this = {"step": step, "time": time.time(), "forced": self.forced, "inexact": self.inexact}
        return [*self.earlier, this]

    def note_forced(self, checkpoint: Path) -> None:
        """Record that it is another experiment before its configuration is replaced, whatever comes then."""
        if self.forced:
            before = read_json(self.run.environment) if self.run.environment.is_file() else {}
            write_json(self.run.environment, {**before, "resumes": self.recorded(checkpoint)})

    def say(self) -> None:
        """Warn of what differs."""
        if self.forced:
            log.warning("  resume.force: this is another experiment now: %s", ", ".join(self.forced))
        if self.inexact:
            log.warning("  no longer bit-exact because of %s", ", ".join(self.inexact))


def _refuse(run: RunFolder, settings: list[str]) -> None:
    if settings:
        raise ConfigError(
            f"{run.path} was started with other settings: {', '.join(settings[:5])}; leave them as they were, or go on"
            " with resume.force=true, which is recorded"
        )


def check_not_beyond(checkpoint: Path, settings: TrainerSettings, data: SegmentationData) -> None:
    """Raise a ConfigError if the run already stands beyond the steps that it is to have."""
    total = settings.total_steps(data.train_batches)
    if _step(checkpoint) > total:
        raise ConfigError(
            f"{checkpoint.parent.parent} stands at step {_step(checkpoint)}, beyond the {total} steps of"
            " trainer.max_epochs and trainer.max_steps; leave them as they were, or give more"
        )


def _step(checkpoint: Path) -> int:
    return int(checkpoint.stem.split("-")[1])


def pin_threads(run: RunFolder, settings: TrainerSettings) -> None:
    """Use as many CPU threads as the run did, on whatever machine: their number decides the last bits of its sums."""
    before = read_json(run.environment).get("threads") if run.environment.is_file() else None
    if settings.threads is None and settings.device == "cpu" and isinstance(before, int) and 0 < before <= MOST_THREADS:
        torch.set_num_threads(before)


def finished_results(run: RunFolder, settings: TrainerSettings, data: SegmentationData) -> dict[str, Any] | None:
    """Return the results of a run that has nothing left to do, else None."""
    if run.read_status()["state"] != RunState.COMPLETED or not run.results.is_file():
        return None
    results = run.read_results()
    waited, steps = results.get("validations_since_best"), results.get("steps")
    if results.get("stopped_early") and settings.patience is not None and (waited or 0) >= settings.patience:
        return results
    total = settings.total_steps(data.train_batches)
    return results if isinstance(steps, int) and steps >= total else None

"""Whether a run has anything left to train, told from its folder alone. No torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from segbench.config.resume_rules import differing_settings
from segbench.config.saved import read_saved_config
from segbench.config.schema import RunConfig
from segbench.config.trainer_settings import TrainerSettings
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.runs.results import Results

log = logging.getLogger("segbench")


def unchanged_results(run: RunFolder, config: RunConfig) -> Results | None:
    """Return the results of a finished run that is asked to go on with the settings it has, else None."""
    if not run.exists() or run.read_status()["state"] != RunState.COMPLETED:
        return None
    if differing_settings(read_saved_config(run.config), config):
        return None
    results = finished_results(run, config.trainer)
    if results is not None:
        say_finished(run)
    return results


def finished_results(run: RunFolder, settings: TrainerSettings) -> Results | None:
    """Return the results of a run that has made all epochs or steps of these settings, else None."""
    if run.read_status()["state"] != RunState.COMPLETED or not run.results.is_file():
        return None
    results = run.read_results()
    if _is_finished(results, settings):
        return results
    return None


def say_finished(run: RunFolder) -> None:
    """Say that there is nothing left to train, and what would be."""
    log.info("this run is finished: %s; a larger trainer.max_epochs would extend it", run.path)


def _is_finished(results: Results, settings: TrainerSettings) -> bool:
    waited = _count(results, "validations_since_best")
    if results.get("stopped_early") and settings.patience is not None and waited >= settings.patience:
        return True
    if settings.max_steps is not None and _count(results, "steps") >= settings.max_steps:
        return True
    return _count(results, "epochs") >= settings.max_epochs


def _count(results: Mapping[str, object], name: str) -> int:
    value = results.get(name)
    if isinstance(value, int):
        return value
    return 0

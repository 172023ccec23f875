"""What a search has learned, in one file of its folder that the processes of all its trials write to.

Optuna's journal is a list of what happened, one JSON object a line. A line is written while a lock is held that the
system takes back from a process that is killed.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from segbench.config.sweep_settings import SearchSettings
from segbench.core.choices import Pruner
from segbench.core.errors import ConfigError, Pruned
from segbench.core.files import FULL

NAME = "sweep"
ENDED = "ended"
"""The attribute of a trial that is to end early: the epoch, counted from 1."""


@dataclass(frozen=True)
class _Opened:
    """A study of this process."""

    study: Any
    """What Optuna has of it."""

    storage: Any
    """What keeps it in its file."""


_opened: dict[str, _Opened] = {}
"""The studies of this process and what they are kept by, by path."""


class _Lock:
    """Optuna's kind of lock, which nobody has to wait for after its holder was killed."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def needed_optuna() -> Any:
    """Return the package; raises a ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError("a search needs Optuna: pip install 'segbench[optuna]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return optuna


def open_study(path: Path, settings: SearchSettings) -> Any:
    """Return the study in a file, which is made if it is missing.

    Raises:
        ConfigError: for a file that is no study, and one that cannot be read or written.
    """
    optuna = needed_optuna()
    try:
        with FileLock(f"{path}.lock"):
            _mend(path)
        backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_Lock(path))
        storage = optuna.storages.JournalStorage(backend)
        study = optuna.create_study(
            study_name=NAME,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=_pruner(optuna.pruners, settings),
            sampler=optuna.samplers.RandomSampler(seed=settings.seed),
        )
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ConfigError(f"{path} cannot be read or written: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError):
        raise ConfigError(f"{path} is not the study of this sweep") from None
    _opened[str(path)] = _Opened(study, storage)
    return study


def _mend(path: Path) -> None:
    """Cut off a last line that a full disk or a power cut has left half written: Optuna would read no further."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def _pruner(pruners: Any, settings: SearchSettings) -> Any:
    rungs = {"min_resource": settings.min_epochs, "reduction_factor": settings.reduction}
    match settings.pruner:
        case Pruner.MEDIAN:
            return pruners.MedianPruner(n_startup_trials=settings.startup)
        case Pruner.ASHA:
            return pruners.SuccessiveHalvingPruner(**rungs)
        case Pruner.HYPERBAND:
            return pruners.HyperbandPruner(**rungs)
    return pruners.NopPruner()


def begun_trial(path: Path, number: int) -> Any:
    """Return a trial of an open study that was begun before, perhaps by another process."""
    opened = _opened[str(path)]
    study = opened.storage.get_study_id_from_name(NAME)
    trial = opened.storage.get_trial_id_from_study_id_trial_number(study, number)
    return needed_optuna().trial.Trial(opened.study, trial)


@dataclass(frozen=True)
class Watch:
    """Tells the study of every validated epoch of a trial, and ends the run where others are better; can be sent."""

    study: str
    """The path of the study's file."""

    number: int
    """The trial's."""

    settings: SearchSettings
    """How the search goes."""

    def __call__(self, epoch: int, score: float) -> None:
        """Note the score of an epoch, counted from 0.

        Raises:
            Pruned: where the run is to end.
        """
        if self.study not in _opened:
            open_study(Path(self.study), self.settings)
        study = _opened[self.study].study
        record = study.get_trials(deepcopy=False)[self.number]
        epochs = epoch + 1
        ended = record.user_attrs.get(ENDED, math.inf)
        if epochs < min(ended, record.last_step or 0):
            return  # decided before a kill
        if ended == math.inf:  # else the pruner would not say so again
            trial = begun_trial(Path(self.study), self.number)
            if epochs not in record.intermediate_values:
                trial.report(score, epochs)
            if not trial.should_prune():
                return
            trial.set_user_attr(ENDED, epochs)
        raise Pruned(f"ended after epoch {epochs}: others had a better val score by then")

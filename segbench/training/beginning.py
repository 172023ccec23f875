"""How a session begins in its run folder: what it writes first, what may stop it, and a status that stays true."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytorch_lightning.loggers import Logger

from segbench.core.errors import ConfigError, Interrupted, Pruned
from segbench.core.files import write_json
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.training.checkpoints.resumption import Resumption
from segbench.training.distributed.ranks import Ranks
from segbench.training.loggers import Loggers
from segbench.training.parts import Experiment
from segbench.training.signals import StopSignals

log = logging.getLogger("segbench")


@dataclass(frozen=True)
class Beginning:
    """What a session has once its folder says that it runs."""

    signals: StopSignals
    """What asks the run to stop."""

    loggers: list[Logger]
    """Lightning's loggers beside metrics.csv."""

    started: float
    """When it began, in seconds since 1970, as status.json says."""


@contextmanager
def begun(
    run: RunFolder,
    ranks: Ranks,
    *,
    begin: Callable[[RunFolder], None],
    loggers: Loggers,
    now: Mapping[str, object],
    resumption: Resumption | None,
) -> Iterator[Beginning]:
    """Begin a session in its folder, and keep status.json true until it ends.

    Args:
        run: The run folder.
        ranks: The processes of the run.
        begin: Makes the run folder.
        loggers: What the run reports to, not yet opened.
        now: What environment.json says.
        resumption: What is continued; None for a new run.
    """
    # a signal that comes now waits for the first step, and no half is left
    with ranks.signals() as signals, ranks.sharing_signals(signals), loggers.live.ending(_state_after):
        # one that refuses leaves a run that is continued as it was; a new run has no folder for them yet
        early = []
        if resumption is not None:
            early = loggers.open()
        _write_beginning(run, begin, now=now, resumption=resumption)
        with _true_status(run, ranks) as started:
            yield Beginning(signals, early or loggers.open(), started)


def first_weights(run: RunFolder, experiment: Experiment) -> list[object]:
    """Return what the network began with: in a run that is continued, what its first session loaded."""
    before = run.read_environment().get("weights")
    if run.has_begun() and isinstance(before, list):
        return before
    return list(experiment.loaded)


def refuse_without_effect(run: RunFolder, settings: list[str]) -> None:
    """Raise a ConfigError for settings that were forced on a run which has nothing left to train with them."""
    if settings:
        raise ConfigError(
            f"{run.path} is finished, so {', '.join(settings[:5])} would have no effect: give a larger"
            " trainer.max_epochs as well, or leave them as they were"
        )


def _write_beginning(
    run: RunFolder, begin: Callable[[RunFolder], None], *, now: Mapping[str, object], resumption: Resumption | None
) -> None:
    """Write what a session begins with into the folder; that it continues another experiment comes first."""
    if run.exists():
        run.check_writable_inside()
    if resumption is not None:
        gone = [(path.name, loss) for path, loss in _noticed(run) if not path.is_file()]
        resumption.mend()
        write_json(run.environment, {**now, "resumes": resumption.records})
        begin(run)
        for name, loss in gone:
            log.warning("%s: %s is gone: %s", run.path, name, loss)
        return
    if run.exists():
        log.info("%s holds no checkpoint yet, so the run starts again at step 0", run.path)
        run.forget_beginning()
    begin(run)
    write_json(run.environment, {**now, "resumes": []})


def _noticed(run: RunFolder) -> list[tuple[Path, str]]:
    """Return the files that a resume goes on without where they were removed, and what is lost with each."""
    return [
        (run.metrics, "rows and curves begin at this resume"),
        (run.environment, "whether data and conditions are those that the run began with is not known"),
    ]


@contextmanager
def _true_status(run: RunFolder, ranks: Ranks) -> Iterator[float]:
    """Keep status.json true whatever happens inside; where it cannot be written any more, the error itself is told.

    Yields when the session has started, in seconds since 1970, as it is written there.
    """
    started = time.time()
    run.write_status(RunState.RUNNING, started=started, process=os.getpid(), machine=platform.node())

    def ended(error: BaseException) -> None:
        with suppress(OSError):
            run.write_status(_state_after(error), error=_said(error))

    ranks.endings.append(ended)
    try:
        yield started
    except BaseException as error:
        ended(error)
        raise
    finally:
        ranks.endings.remove(ended)
    run.write_status(RunState.COMPLETED, finished=time.time())


def _state_after(error: BaseException) -> RunState:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return RunState.INTERRUPTED
    if isinstance(error, Pruned):
        return RunState.PRUNED
    return RunState.FAILED


def _said(error: BaseException) -> str:
    if isinstance(error, Interrupted | KeyboardInterrupt | Pruned):
        return str(error)
    return f"{type(error).__name__}: {error}"

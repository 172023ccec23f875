"""A place where jobs run beside this process, and how it is kept busy."""

from __future__ import annotations

from collections.abc import Collection, Generator, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from segbench.core.errors import ConfigError, Interrupted
from segbench.core.shared_memory import sharing
from segbench.core.signals import stopped_by_signals
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job

Outcomes = Generator[tuple[Job, RunState], None, None]
PATIENCE = 60.0
"""Seconds that jobs which are stopped have for their checkpoints."""


class Pool(Protocol):
    """Runs jobs elsewhere."""

    def submit(self, jobs: Sequence[Job]) -> Sequence[Hashable]:
        """Start jobs, or put them into a queue, and return a handle of each."""
        ...

    def wait(self, handles: Collection[Any]) -> list[tuple[Any, RunState]]:
        """Wait until at least one has ended, and return those that have, each with its state."""
        ...

    def stop(self, handles: Collection[Any]) -> None:
        """Stop jobs, each with a checkpoint."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Run(Protocol):
    """What a process of a pool does with a job."""

    def __call__(self, folder: str, job: Job, *, typed: Sequence[str]) -> RunState:
        """Run a job of the sweep in a folder to its end; `typed` are settings that are not written down."""
        ...


def keep_busy(pool: Pool, jobs: Iterator[Job], *, at_once: int | None) -> Outcomes:
    """Yield jobs with their states as they end, in whatever order.

    Args:
        pool: Runs them.
        jobs: What to run; a job is taken once there is room for it, when whoever asks has seen all that have ended.
        at_once: How many at a time; None for all.

    What still runs is stopped where this is closed, so whoever asks closes it (`contextlib.closing`).
    """
    running: dict[Hashable, Job] = {}
    try:
        while True:
            room = None if at_once is None else at_once - len(running)
            new = list(islice(jobs, room))
            running.update(zip(pool.submit(new), new, strict=True) if new else ())
            if not running:
                return
            for handle, state in pool.wait(list(running)):
                yield running.pop(handle), state
    except BaseException:
        pool.stop(list(running))
        raise
    finally:
        pool.close()


def run_elsewhere(folder: str, job: Job, *, typed: Sequence[str]) -> RunState:
    """Run a job in a process of a pool; a signal stops it with a checkpoint."""
    return run_with_notice(folder, job, typed=typed)[0]


def run_with_notice(folder: str, job: Job, *, typed: Sequence[str]) -> tuple[RunState, bool]:
    """Run a job as `run_elsewhere` does; return also whether a scheduler gave notice that it has to stop."""
    try:
        with stopped_by_signals(), sharing():
            from segbench.sweeps.work import run_job  # torch

            return run_job(folder, job, typed=typed), False
    except (Interrupted, KeyboardInterrupt) as error:
        return RunState.INTERRUPTED, bool(getattr(error, "requeue", False))


def state_left_by(sweep: SweepFolder, job: Job) -> RunState:
    """Return the state of a job whose process has ended without a result: interrupted after a checkpoint, or failed."""
    if sweep.state(job).state is RunState.INTERRUPTED:
        return RunState.INTERRUPTED
    return RunState.FAILED


def needed(name: str) -> Any:
    """Return a launcher's package; raises a ConfigError where it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        raise ConfigError(f"launcher={name} needs a package that is not here: pip install 'segbench[{name}]'") from None

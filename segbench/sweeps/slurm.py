"""Jobs of SLURM by submitit: an array, whose jobs go on where they were when they are put back into the queue."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import uuid4

from segbench.config.sweep_settings import SubmititLauncher
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import needed, run_with_notice, state_left_by

POLL = 0.5
"""Seconds between two looks at what a queue has done."""


class RunNoted(Protocol):
    """What a process does with a job, as `run_with_notice`."""

    def __call__(self, folder: str, job: Job, *, typed: Sequence[str]) -> tuple[RunState, bool]:
        """Run a job to its end; return also whether a scheduler gave notice that it has to stop."""
        ...


class Queue:
    """The jobs of one command in a queue.

    Args:
        settings: What a job is given, and how many run at a time.
        sweep: The sweep's folder.
        typed: Settings of all jobs that are not written down.
        run: What is done with a job.
    """

    def __init__(
        self, settings: SubmititLauncher, sweep: SweepFolder, *, typed: Sequence[str], run: RunNoted = run_with_notice
    ) -> None:
        self._run = run
        self._sweep = sweep
        self._typed = list(typed)
        self._jobs: dict[Any, Job] = {}
        self._executor = needed("submitit").AutoExecutor(
            folder=f"{sweep.path}/.submitit/{uuid4().hex}/%j",
            cluster=settings.cluster,
            slurm_max_num_timeout=settings.requeues,
            local_max_num_timeout=settings.requeues,
        )
        self._executor.update_parameters(
            timeout_min=settings.timeout_min,
            gpus_per_node=settings.gpus_per_node,
            cpus_per_task=settings.cpus_per_task,
            mem_gb=settings.mem_gb,
        )
        if settings.cluster == "slurm":
            self._executor.update_parameters(
                slurm_partition=settings.partition,
                slurm_signal_delay_s=settings.signal_delay_s,
                slurm_additional_parameters={"requeue": True},
            )
        if settings.cluster == "slurm" and settings.jobs is not None:
            self._executor.update_parameters(slurm_array_parallelism=settings.jobs)

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Put jobs into the queue, several of them as one array."""
        with self._executor.batch():
            handles = [self._executor.submit(self._task(job)) for job in jobs]
        self._jobs.update(zip(handles, jobs, strict=True))
        return handles

    def _task(self, job: Job) -> Task:
        return Task(str(self._sweep.path), job, typed=self._typed, run=self._run)

    def wait(self, handles: Collection[Any]) -> list[tuple[Any, RunState]]:
        """Look at the queue until one has ended."""
        while True:
            ended = [handle for handle in handles if handle.done()]
            if ended:
                return [(handle, self._state(handle)) for handle in ended]
            time.sleep(POLL)

    def _state(self, handle: Any) -> RunState:
        if handle.exception() is None:
            return RunState(handle.result())
        return state_left_by(self._sweep, self._jobs[handle])

    def stop(self, handles: Collection[Any]) -> None:
        """Take jobs out of the queue; those that run get a signal, and write their checkpoints."""
        for handle in handles:
            handle.cancel(check=False)

    def close(self) -> None:
        """Do nothing: the queue is not ours."""


class Task:
    """A job as submitit keeps it: called anew, it goes on where it was.

    Args:
        folder: The sweep's folder.
        job: What to run.
        typed: Settings of all jobs that are not written down.
        run: What is done with it.
    """

    def __init__(self, folder: str, job: Job, *, typed: Sequence[str], run: RunNoted) -> None:
        self.run = run
        self.folder = folder
        self.job = job
        self.typed = list(typed)

    def __call__(self) -> str:
        """Run the job; where it has to stop, this ends the process after its checkpoint."""
        state, has_notice = self.run(self.folder, self.job, typed=self.typed)
        if state is not RunState.INTERRUPTED:
            return state.value
        if has_notice:
            signal.raise_signal(signal.SIGUSR2)  # now for submitit, which puts the job back into the queue
        sys.exit(143)  # without a result: SLURM may start a job again that had to make room for others

    def checkpoint(self) -> Any:
        """Return what submitit runs when the job's turn comes again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

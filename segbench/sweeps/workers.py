"""Jobs in processes of this machine: each imports torch once, and takes one job after another."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any

from segbench.config.sweep_settings import JoblibLauncher
from segbench.core.signals import EXIT_CODES
from segbench.core.states import RunState
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import PATIENCE, Run, needed, run_elsewhere

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that say how many threads a process has."""
ORPHANED = 1.0
"""Seconds between two looks of a worker at whether the process that started it is still there."""
_at_work = threading.Lock()
"""Held while this process runs a job."""


class Workers:
    """Processes of joblib, one a place: the end of one takes no job of another with it.

    Args:
        settings: How many there are, and the GPUs that they are spread over.
        folder: The sweep's folder.
        typed: Settings of all jobs that are not written down.
        run: What is done with a job.
    """

    def __init__(
        self, settings: JoblibLauncher, folder: str, *, typed: Sequence[str], run: Run = run_elsewhere
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._typed = list(typed)
        self._run = run
        self._threads = max(1, needed("joblib").cpu_count() // settings.jobs)
        self._idle = list(range(settings.jobs))
        self._executors: dict[int, Any] = {}
        self._running: dict[Future[RunState], tuple[int, Future[int]]] = {}

    def submit(self, jobs: Sequence[Job]) -> list[Future[RunState]]:
        """Start jobs, for which there have to be as many idle processes."""
        futures = []
        for job in jobs:
            place = self._idle.pop(0)
            executor = self._executors.get(place) or self._executor(place)
            number = executor.submit(os.getpid)
            future = executor.submit(_work, self._run, self._folder, job=job, typed=self._typed)
            self._running[future] = (place, number)
            futures.append(future)
        return futures

    def _executor(self, place: int) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        variables = {name: str(self._threads) for name in THREADS if name not in os.environ}
        if self._settings.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = str(place % self._settings.gpus)
        executor = ProcessPoolExecutor(
            max_workers=1, env=variables, initializer=_become_worker, initargs=(os.getpid(),)
        )
        self._executors[place] = executor
        return executor

    def wait(self, handles: Collection[Future[RunState]]) -> list[tuple[Future[RunState], RunState]]:
        """Wait for the next that ends; a job whose process was killed has failed."""
        done, _ = wait(handles, return_when=FIRST_COMPLETED)
        ended = []
        for future in handles:
            if future not in done:
                continue
            place, _ = self._running.pop(future)
            self._idle.append(place)
            state = RunState.FAILED
            if future.exception() is None:
                state = future.result()
            else:
                self._executors.pop(place).shutdown(wait=False, kill_workers=True)
            ended.append((future, state))
        return ended

    def stop(self, handles: Collection[Future[RunState]]) -> None:
        """Send each a signal, and wait for the checkpoints."""
        for future in handles:
            _, number = self._running[future]
            with suppress(Exception):  # it is gone
                os.kill(number.result(PATIENCE), signal.SIGTERM)
        wait(handles, PATIENCE)

    def close(self) -> None:
        """End the processes."""
        for executor in self._executors.values():
            executor.shutdown(wait=True, kill_workers=True)


def _become_worker(parent: int) -> None:
    """Prepare a process: Ctrl-C in the terminal is for its parent alone, which sends it on, once."""
    if hasattr(os, "setpgrp"):  # Windows has none
        os.setpgrp()
        threading.Thread(target=_end_without, args=(parent,), daemon=True).start()


def _work(run: Run, folder: str, *, job: Job, typed: Sequence[str]) -> RunState:
    with _at_work:
        return run(folder, job, typed=typed)


def _end_without(parent: int) -> None:
    """End, after a checkpoint, once the process that started this one is gone: nobody waits for it any more."""
    while os.getppid() == parent:
        time.sleep(ORPHANED)
    os.kill(os.getpid(), signal.SIGTERM)
    with _at_work:
        os._exit(EXIT_CODES[signal.SIGTERM])

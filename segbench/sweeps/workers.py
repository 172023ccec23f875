"""Jobs in processes of this machine: torch is imported once for all, and each takes one job after another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from segbench.config.sweep_settings import JoblibLauncher
from segbench.core.signals import EXIT_CODES
from segbench.core.states import RunState
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import PATIENCE, Run, needed, run_elsewhere

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that say how many threads a process has."""
READY = "segbench.sweeps.ready"
"""Imports what takes seconds and megabytes, once, in a server; the processes are its forks."""
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
            with _in_environment(self._threads):  # the server begins with the first process
                number = executor.submit(os.getpid)
            future = executor.submit(_work, self._run, self._folder, job=job, typed=self._typed)
            self._running[future] = (place, number)
            futures.append(future)
        return futures

    def _executor(self, place: int) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        variables = {**{name: str(self._threads) for name in THREADS}, **os.environ}
        if self._settings.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = str(place % self._settings.gpus)
        threads = self._threads
        if variables[THREADS[0]].isdecimal():  # as torch itself would take it
            threads = max(1, int(variables[THREADS[0]]))
        context = _context()
        executor = ProcessPoolExecutor(
            max_workers=1,
            context=context,
            env=variables,
            initializer=partial(
                _become_worker,
                variables,
                threads=threads,
                is_fork=context is not None,
                method=multiprocessing.get_start_method(),
            ),
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


def _context() -> Any:
    """Return how processes are begun: as forks of a server that has torch; None where there is none."""
    if "forkserver" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return None  # macOS: its own libraries do not survive a fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([READY])
    return context


@contextmanager
def _in_environment(threads: int) -> Iterator[None]:
    """Let what is started meanwhile have so many threads, unless the user has said how many."""
    added = {name: str(threads) for name in THREADS if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _become_worker(variables: Mapping[str, str], *, threads: int, is_fork: bool, method: str) -> None:
    """Prepare a process: Ctrl-C in the terminal is for its parent alone, which sends it on, once.

    A fork of a server begins with the variables of the first sweep of its program. Its loader workers are started as
    those of any run, by `method`, rather than as it was itself.
    """
    multiprocessing.set_start_method(method, force=True)
    os.environ.clear()
    os.environ.update(variables)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    if hasattr(os, "setpgrp"):  # Windows has none
        os.setpgrp()
        threading.Thread(target=_end_without_command, args=(is_fork,), daemon=True).start()


def _work(run: Run, folder: str, *, job: Job, typed: Sequence[str]) -> RunState:
    with _at_work:
        return run(folder, job, typed=typed)


def _end_without_command(is_fork: bool) -> None:
    """End, after a checkpoint, once the command that wanted this process is gone: nobody waits for it any more."""
    command = multiprocessing.parent_process()
    if is_fork and command is not None:  # its parent is the server, which stays for as long as it has forks
        command.join()
    else:
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(ORPHANED)
    os.kill(os.getpid(), signal.SIGTERM)
    with _at_work:
        os._exit(EXIT_CODES[signal.SIGTERM])

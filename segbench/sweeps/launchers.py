"""Who runs the jobs of a sweep: this process, others beside it, SLURM, or Ray.

Each launcher yields a job with its state as soon as it has one, in whatever order they come.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from segbench.config.sweep_settings import JoblibLauncher, Launcher, RayLauncher, SubmititLauncher
from segbench.core.errors import ConfigError, Interrupted
from segbench.core.signals import stopped_by_signals
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job

Outcomes = Iterator[tuple[Job, RunState]]
POLL = 0.5
"""Seconds between two looks at what a queue has done."""


def launch_jobs(sweep: SweepFolder, jobs: Sequence[Job], *, settings: Launcher, typed: Sequence[str] = ()) -> Outcomes:
    """Run jobs as the settings of `conf/launcher` say, and yield each with its state.

    Args:
        sweep: Their folder.
        jobs: What to run.
        settings: The section `launcher` of the configuration.
        typed: Settings of all jobs that are not written down; see `run_job`.

    Raises:
        ConfigError: for a launcher that is not installed.
        Interrupted: if a signal stopped the job that runs in this process.
    """
    check_launcher(settings)
    folder = str(sweep.path)
    words = list(typed)
    match settings:
        case JoblibLauncher():
            return _joblib(folder, jobs, settings=settings, typed=words)
        case SubmititLauncher():
            return _submitit(folder, jobs, settings=settings, typed=words)
        case RayLauncher():
            return _ray(folder, jobs, settings=settings, typed=words)
    return _local(folder, jobs, typed=words)


def check_launcher(settings: Launcher) -> None:
    """Raise a ConfigError for a launcher whose package is not installed."""
    if settings.kind != "local":
        _needed(settings.kind)


def _needed(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ConfigError(f"launcher={name} needs a package that is not here: pip install 'segbench[{name}]'") from None


def _local(folder: str, jobs: Sequence[Job], *, typed: Sequence[str]) -> Outcomes:
    from segbench.sweeps.work import run_job

    for job in jobs:
        yield job, run_job(folder, job, typed=typed)


def _in_turn(folder: str, job: Job, *, typed: Sequence[str], gpus: int | None) -> tuple[Job, RunState]:
    """Run a job in a process that runs several, on the GPU that is its share."""
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(_place() % gpus)
    try:
        with stopped_by_signals():
            from segbench.sweeps.work import run_job  # torch

            return job, run_job(folder, job, typed=typed)
    except (Interrupted, KeyboardInterrupt):
        return job, RunState.INTERRUPTED


def _place() -> int:
    """Return which of the parallel processes this is, counted from 0."""
    from multiprocessing import current_process

    numbered = re.search(r"([0-9]+)$", current_process().name)  # LokyProcess-3
    if not numbered:
        return 0
    return max(0, int(numbered[1]) - 1)


def _joblib(folder: str, jobs: Sequence[Job], *, settings: JoblibLauncher, typed: Sequence[str]) -> Outcomes:
    joblib = _needed("joblib")
    pool = joblib.Parallel(n_jobs=settings.jobs, backend="loky", return_as="generator_unordered")
    # one job at a time: a worker that takes two would keep the second from an idle one
    yield from pool(joblib.delayed(_in_turn)(folder, job, typed=typed, gpus=settings.gpus) for job in jobs)


def _submitit(folder: str, jobs: Sequence[Job], *, settings: SubmititLauncher, typed: Sequence[str]) -> Outcomes:
    submitit = _needed("submitit")
    executor = submitit.AutoExecutor(folder=f"{folder}/.submitit/{uuid4().hex}/%j", cluster=settings.cluster)
    slurm = {"slurm_partition": settings.partition, "slurm_signal_delay_s": settings.signal_delay_s}
    executor.update_parameters(
        timeout_min=settings.timeout_min,
        gpus_per_node=settings.gpus_per_node,
        cpus_per_task=settings.cpus_per_task,
        mem_gb=settings.mem_gb,
        **(slurm if settings.cluster == "slurm" else {}),
    )
    with executor.batch():
        waiting = [(job, executor.submit(_in_turn, folder, job, typed=typed, gpus=None)) for job in jobs]
    try:
        while waiting:
            ready = [pair for pair in waiting if pair[1].done()]
            for job, handle in ready:
                error = handle.exception()
                yield job, RunState.FAILED if error is not None else handle.result()[1]
            waiting = [pair for pair in waiting if pair not in ready]
            time.sleep(POLL if waiting else 0)
    except BaseException:
        for _, handle in waiting:
            handle.cancel()
        raise


def _ray(folder: str, jobs: Sequence[Job], *, settings: RayLauncher, typed: Sequence[str]) -> Outcomes:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to a server
    ray = _needed("ray")
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=settings.address, log_to_driver=False, include_dashboard=False)
    try:
        work = ray.remote(num_cpus=settings.cpus, num_gpus=settings.gpus)(_in_turn)
        waiting = {work.remote(folder, job, typed=typed, gpus=None): job for job in jobs}
        while waiting:
            (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(ready)
            try:
                yield job, ray.get(ready)[1]
            except ray.exceptions.RayError:
                yield job, RunState.FAILED
    finally:
        if ours:
            ray.shutdown()

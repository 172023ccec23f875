"""Who runs the jobs of a sweep: this process, others beside it, SLURM, or Ray.

Each launcher yields a job with its state as soon as it has one, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from segbench.config.sweep_settings import JoblibLauncher, Launcher, RayLauncher, SubmititLauncher
from segbench.core.errors import ConfigError
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import Outcomes, keep_busy, needed


def launch_jobs(
    sweep: SweepFolder,
    jobs: Iterable[Job],
    *,
    settings: Launcher,
    at_once: int | None = None,
    typed: Sequence[str] = (),
) -> Outcomes:
    """Run jobs as the settings of `conf/launcher` say, and yield each with its state; to be closed, which stops them.

    Args:
        sweep: Their folder.
        jobs: What to run; each is taken when there is room for it.
        settings: The section `launcher` of the configuration.
        at_once: How many are taken at a time; None leaves that to the launcher, which may take all.
        typed: Settings of all jobs that are not written down; see `run_job`.

    Raises:
        ConfigError: for a launcher that is not installed.
        Interrupted: if a signal stopped the job that runs in this process.
    """
    check_launcher(settings)
    match settings:
        case JoblibLauncher():
            from segbench.sweeps.workers import Workers

            workers = Workers(settings, str(sweep.path), typed=typed)
            return keep_busy(workers, iter(jobs), at_once=settings.jobs)
        case SubmititLauncher():
            from segbench.sweeps.slurm import Queue

            if settings.cluster == "local":  # which has no arrays
                at_once = settings.jobs
            return keep_busy(Queue(settings, sweep, typed=typed), iter(jobs), at_once=at_once)
        case RayLauncher():
            from segbench.sweeps.ray_cluster import Cluster

            return keep_busy(Cluster(settings, sweep, typed=typed), iter(jobs), at_once=settings.jobs)
    return _local(sweep, iter(jobs), typed=typed)


def jobs_at_once(settings: Launcher) -> int:
    """Return how many jobs of a search run at a time; raises a ConfigError where the launcher leaves it open."""
    match settings:
        case JoblibLauncher() | SubmititLauncher() | RayLauncher():
            if settings.jobs is None:
                raise ConfigError(
                    "a search chooses a trial when another has ended, so it needs to know how many run at a time: give"
                    " launcher.jobs=4"
                )
            return settings.jobs
    return 1


def check_launcher(settings: Launcher) -> None:
    """Raise a ConfigError for a launcher whose package is not installed."""
    if settings.kind != "local":
        needed(settings.kind)


def _local(sweep: SweepFolder, jobs: Iterator[Job], *, typed: Sequence[str]) -> Outcomes:
    from segbench.sweeps.work import run_job

    for job in jobs:
        yield job, run_job(str(sweep.path), job, typed=typed)

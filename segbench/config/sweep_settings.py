"""The sections `sweep` and `launcher`: how the jobs of a sweep are chosen, and who runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segbench.config.schema import read_section
from segbench.core.choices import check_word


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search, which chooses each job by the ones before."""

    trials: int
    """How many jobs."""
    seed: int
    """Key of what is chosen at random."""
    startup: int
    """Trials at random before the model decides, and before runs are ended early."""
    prune: bool
    """End a run whose val score is below the median of the others at the same epoch."""
    space: Mapping[str, object] | None
    """What is searched: settings with their values or intervals, as they are typed."""


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How the jobs of a sweep are chosen."""

    limit: int
    """Jobs above which a sweep is not started."""
    params: Mapping[str, object]
    """What is swept over: settings with their values, as they are typed."""
    search: SearchSettings | None
    """A search instead of all combinations; null for none."""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Who runs the jobs; by itself, this process."""

    kind: str
    """Which one: one of LAUNCHERS."""


@dataclass(frozen=True, kw_only=True)
class JoblibLauncher(Launcher):
    """Several jobs side by side on this machine."""

    jobs: int
    """Jobs at a time."""
    gpus: int | None
    """GPUs that the jobs are spread over; null: as each job finds."""


@dataclass(frozen=True, kw_only=True)
class SubmititLauncher(Launcher):
    """Each job is a job of SLURM."""

    cluster: str
    """`slurm`, or `local`, which starts processes here."""
    partition: str | None
    """SLURM's partition; null for its default."""
    timeout_min: int
    """Minutes that a job may take."""
    gpus_per_node: int
    """GPUs of a job."""
    cpus_per_task: int
    """CPUs of a job."""
    mem_gb: int
    """Its memory."""
    signal_delay_s: int
    """Seconds of notice, in which a job writes its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class RayLauncher(Launcher):
    """Jobs on a Ray cluster."""

    address: str | None
    """Of a running cluster, such as auto; null starts one here."""
    cpus: int
    """CPUs of a job."""
    gpus: float
    """GPUs of a job, which may be a share."""


LAUNCHERS: Mapping[str, type[Launcher]] = {
    "local": Launcher,
    "joblib": JoblibLauncher,
    "submitit": SubmititLauncher,
    "ray": RayLauncher,
}
"""The launchers by `launcher.kind`; all but the first need the package of that name."""


def read_launcher(node: object) -> Launcher:
    """Return the section `launcher`; raises ConfigError for a kind that does not exist, or another setting."""
    kind = str(node.get("kind")) if isinstance(node, Mapping) else "nothing"
    check_word("launcher.kind", kind, valid=LAUNCHERS)
    return read_section(LAUNCHERS[kind], node, key="launcher")

"""The sections `sweep` and `launcher`: how the jobs of a sweep are chosen, and who runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from segbench.config.schema import read_section
from segbench.config.values import Range
from segbench.core.choices import Pruner, Sampler, check_word
from segbench.core.errors import ConfigError

Count = Annotated[int, Range(least=1)]


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search, which chooses each job by the ones before.

    Raises:
        ConfigError: for a search without an end.
    """

    trials: Count | None
    """How many jobs; null, for `sampler=grid`: every combination."""
    seed: int
    """Key of what is chosen at random."""
    sampler: Sampler
    """How the settings of a trial are chosen."""
    startup: Annotated[int, Range(least=0)]
    """Trials at random before `tpe` decides, and before `median` ends runs early."""
    pruner: Pruner
    """Which runs are ended early by their val score."""
    min_epochs: Count
    """Epochs of a run's first rung, for `asha` and `hyperband`."""
    reduction: Annotated[int, Range(least=2)]
    """One of so many runs goes on at each rung, which has so many times the epochs, for `asha` and `hyperband`."""
    max_hours: Annotated[float, Range(above=0)] | None
    """Hours after which the command begins no new trial; those that run end. Null: no limit."""
    space: Mapping[str, object] | None
    """What is searched: settings with their values or intervals, as they are typed."""

    def __post_init__(self) -> None:
        if self.trials is None and self.sampler is not Sampler.GRID:
            raise ConfigError(f"sweep.search.sampler={self.sampler} has no last trial; give sweep.search.trials=20")


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

    jobs: Count
    """Jobs at a time."""
    gpus: Count | None
    """GPUs that the jobs are spread over; null: as each job finds."""


@dataclass(frozen=True, kw_only=True)
class SubmititLauncher(Launcher):
    """Each job is a job of SLURM."""

    cluster: str
    """`slurm`, or `local`, which starts processes here."""
    jobs: Count | None
    """Jobs at a time; null: as many as the queue lets run."""
    partition: str | None
    """SLURM's partition; null for its default."""
    timeout_min: Count
    """Minutes after which a job is put back into the queue, where it goes on."""
    requeues: Annotated[int, Range(least=0)]
    """How often at most, beside the times that it had to make room for others."""
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

    jobs: Count | None
    """Jobs at a time; null: as many as the cluster has room for."""
    address: str | None
    """Of a running cluster, such as auto; null starts one here."""
    cpus_per_job: Annotated[float, Range(least=0)]
    """CPUs of a job."""
    gpus_per_job: Annotated[float, Range(least=0)]
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

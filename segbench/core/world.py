"""Which of how many processes of one run this is, as whatever started them says in the environment. No torch.

Started by `torchrun` (also by `trainer.devices=N`, which uses the same launcher), by `srun`, or by a cluster that sets
RANK and WORLD_SIZE itself, such as a PyTorchJob of Kubernetes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from segbench.core.errors import ConfigError

FIRST_PORT = 15000
"""From which on the port of a SLURM job is counted, by the last four digits of its number."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of one run, and which of them this is; one alone where nothing has started several."""

    size: int = 1
    """Processes altogether."""
    rank: int = 0
    """The number of this one; 0 writes the run folder."""
    local_size: int = 1
    """Processes on this machine."""
    local_rank: int = 0
    """The number of this one on its machine."""
    starter: str = ""
    """What has started them, such as `torchrun`; empty for a process of its own."""
    address: str = ""
    """Where they meet."""
    port: int = 0
    """The port there."""
    has_agent: bool = False
    """Whether a process of the launcher waits at that port, which outlives those of the run; else process 0 does."""

    @property
    def is_launched(self) -> bool:
        """Whether something else has started this process as one of a run."""
        return bool(self.starter)

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> World:
        """Return the world of this process.

        Raises:
            ConfigError: for variables that contradict one another, or name processes that cannot meet.
        """
        variables = _Variables(os.environ if environment is None else environment)
        if "TORCHELASTIC_RUN_ID" in variables.all:
            return _of_ranks(
                variables, "torchrun", has_agent=variables.all.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
            )
        if variables.number("WORLD_SIZE", 1) > 1:
            return _of_ranks(variables, "the cluster", has_agent=False)
        if variables.number("SLURM_STEP_NUM_TASKS", 1) > 1:
            return _of_slurm(variables)
        if variables.number("OMPI_COMM_WORLD_SIZE", 1) > 1:
            raise ConfigError(
                "mpirun has started several processes (OMPI_COMM_WORLD_SIZE is set) without saying where they meet:"
                " start them with torchrun or srun"
            )
        return cls()


@dataclass(frozen=True)
class _Variables:
    all: Mapping[str, str]
    """Of the environment."""

    def number(self, name: str, default: int | None = None) -> int:
        """Return a variable as a whole number from 0."""
        value = self.all.get(name)
        if value is None and default is not None:
            return default
        if value is None or not value.isdecimal():
            said = "is not set"
            if value is not None:
                said = f"is '{value[:40]}', not a whole number"
            raise ConfigError(f"this process is one of several, but {name} {said}: use torchrun or srun")
        return int(value)


def _of_ranks(variables: _Variables, starter: str, *, has_agent: bool) -> World:
    if "MASTER_ADDR" not in variables.all:
        raise ConfigError(
            "this process is one of several, but MASTER_ADDR is not set: start them with torchrun or srun"
        )
    return _checked(
        World(
            size=variables.number("WORLD_SIZE"),
            rank=variables.number("RANK"),
            local_size=variables.number("LOCAL_WORLD_SIZE", 1),
            local_rank=variables.number("LOCAL_RANK", 0),
            starter=starter,
            address=variables.all["MASTER_ADDR"],
            port=variables.number("MASTER_PORT"),
            has_agent=has_agent,
        )
    )


def _of_slurm(variables: _Variables) -> World:
    every = variables.all
    nodes = every.get("SLURM_STEP_NODELIST") or every.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    shares = every.get("SLURM_STEP_TASKS_PER_NODE") or every.get("SLURM_TASKS_PER_NODE") or "1"
    job = variables.number("SLURM_JOB_ID")
    return _checked(
        World(
            size=variables.number("SLURM_STEP_NUM_TASKS"),
            rank=variables.number("SLURM_PROCID"),
            local_size=tasks_of_node(shares, variables.number("SLURM_NODEID", 0)),
            local_rank=variables.number("SLURM_LOCALID"),
            starter="srun",
            address=every.get("MASTER_ADDR") or first_node(nodes),
            port=variables.number("MASTER_PORT", FIRST_PORT + job % 10_000),
        )
    )


def _checked(world: World) -> World:
    if world.rank >= world.size or world.local_rank >= world.local_size:
        raise ConfigError(
            f"{world.starter} says that this is process {world.rank} of {world.size}, and {world.local_rank} of"
            f" {world.local_size} on this machine, which cannot be: start them with torchrun or srun"
        )
    return world


def first_node(nodes: str) -> str:
    """Return the first machine of a list as SLURM writes it: `gpu[03,05-07],login` gives `gpu03`."""
    return re.sub(r"\[([^],-]+)[^]]*\]", r"\1", nodes).split(",")[0]


def tasks_of_node(shares: str, node: int) -> int:
    """Return the tasks of a node of SLURM, counted from 0, of the form `4(x2),3`: 4, 4 and 3."""
    counts: list[int] = []
    for part in shares.split(","):
        found = re.fullmatch(r"([0-9]+)(?:\(x([0-9]+)\))?", part.strip())
        if found is None:
            raise ConfigError(f"SLURM_STEP_TASKS_PER_NODE is '{shares[:40]}', which is no list of tasks a node")
        counts += [int(found[1])] * int(found[2] or 1)
    if node >= len(counts):
        raise ConfigError(f"SLURM_NODEID is {node}, but SLURM_STEP_TASKS_PER_NODE={shares[:40]} has no such node")
    return counts[node]

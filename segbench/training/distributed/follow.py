"""What all processes of a run but the first do: the same steps on their share of every batch, without files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from segbench.config.pretrained import without_pretrained
from segbench.config.schema import RunConfig
from segbench.core.collector import heap_shared
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.plain import Plain
from segbench.inference.trainer import device_kind, prepare_torch
from segbench.runs.folder import RunFolder, read_json
from segbench.training.distributed.meeting import waiting
from segbench.training.distributed.ranks import Ranks
from segbench.training.length import Length
from segbench.training.loop import Session
from segbench.training.parts import build_experiment
from segbench.training.speed.decision import Form

SHARED = 30.0
"""Seconds until another machine has to see a file of the first one: those of a network may be late."""


@dataclass(frozen=True)
class Plan:
    """What the first process tells the others."""

    config: Plain
    """The settings, plain."""
    run: str
    """The run folder."""
    started: float
    """What its status.json says of when this session began."""
    checkpoint: str | None
    """The checkpoint to continue from."""
    threads: int
    """CPU threads of each process."""
    steps: int
    """Optimizer steps of the whole training."""
    epochs: int
    """Epochs of the whole training."""
    form: str
    """How the network runs in training steps."""


def follow(ranks: Ranks) -> None:
    """Train with the first process, as it plans; nothing where there is nothing to train.

    Raises:
        SegbenchError: for what goes wrong here or in another process.
    """
    warnings.simplefilter("ignore")  # the first process has the same to say
    plan_of_first = ranks.plan()
    if plan_of_first is None:
        return
    plan = Plan(**plan_of_first)
    config = RunConfig.of(plan.config)
    settings = config.trainer
    prepare_torch(settings)
    torch.set_num_threads(plan.threads)
    run = RunFolder(Path(plan.run))
    _check_shared(run, plan, ranks=ranks)
    experiment = build_experiment(without_pretrained(config) if plan.checkpoint else config)
    experiment.read_data()
    ranks.mark_ready()
    with (
        heap_shared(),
        ranks.signals() as signals,
        ranks.sharing_signals(signals),
        ranks.connected(device_kind(settings)),
    ):
        session = Session(
            settings,
            experiment,
            run=run,
            signals=signals,
            length=Length(plan.steps, plan.epochs),
            ranks=ranks,
            form=Form(plan.form),
        )
        session.fit(Path(plan.checkpoint) if plan.checkpoint else None)
        session.evaluate_best()


def _check_shared(run: RunFolder, plan: Plan, *, ranks: Ranks) -> None:
    """Raise a ConfigError where this process does not see the files that the first one has written."""
    for _ in waiting(ranks.check, SHARED):
        try:
            seen = run.status.is_file() and read_json(run.status).get("started") == plan.started
        except CheckpointError:
            seen = False
        if seen and (plan.checkpoint is None or Path(plan.checkpoint).is_file()):
            return
    world = ranks.world
    raise ConfigError(
        f"process {world.rank} of {world.size} does not see the run folder {run.path} as process 0 writes it: give a"
        " hydra.run.dir on a file system that all machines share"
    )

"""What is asked of runs before they become one file, and what the file then says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segbench.core.choices import Precision
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.states import RunState
from segbench.export.description import Description
from segbench.export.steps import Step
from segbench.inference.alike import check_alike
from segbench.inference.load import TrainedRun, load_trained
from segbench.runs.folder import open_run


def load_for_export(path: str | Path, changes: Sequence[str], *, plugins: Sequence[str]) -> TrainedRun:
    """Return a run whose network computes in 32 bits, as its file will.

    Raises:
        CheckpointError: for one that is not there, or still running.
        ConfigError: for one that cannot be built.
    """
    run = open_run(path)
    if run.read_status()["state"] == RunState.RUNNING:
        raise CheckpointError(f"{run.path} is running, and its best weights may change; export it when it has ended")
    trained = load_trained(path, changes, plugins=plugins)
    return replace(
        trained,
        config=replace(trained.config, trainer=replace(trained.config.trainer, precision=Precision.SINGLE)),
        module=trained.module.float(),
    )


def describe(runs: Sequence[TrainedRun], steps: Sequence[Step]) -> Description:
    """Return what a file of runs says of itself.

    Raises:
        ConfigError: for runs or steps that do not go into one file.
    """
    check_alike(runs)
    described = [_described(run, steps) for run in runs]
    _check_looks(described[0], steps)
    if len(runs) > 1:
        _check_several(described, steps)
    names = tuple(run_name(run.run.path) for run in runs)
    return replace(described[0], runs=names)


def run_name(path: Path) -> str:
    """Return what a run is called: the last two folders of its path."""
    return "/".join(path.absolute().parts[-2:])


def _described(run: TrainedRun, steps: Sequence[Step]) -> Description:
    data = run.parts.data
    settings = run.config.evaluate
    return Description(
        runs=(),
        classes=tuple(data.classes),
        inputs=tuple(run.module.inputs),
        heads=tuple(head.value for head in run.config.task.heads),
        steps=tuple(step.value for step in steps),
        size=data.view.size,
        fit=str(data.view.fit),
        own_scale=data.view.own_scale,
        bands=data.channels.bands,
        channels=data.channels.count,
        values=data.values_record(),
        mean=tuple(run.module.mean.flatten().tolist()),
        std=tuple(run.module.std.flatten().tolist()),
        tile=settings.tile,
        overlap=settings.overlap,
        looks=settings.looks,
    )


def _check_looks(described: Description, steps: Sequence[Step]) -> None:
    for step in (Step.RESIZE, Step.ARGMAX):
        if described.looks and step in steps:
            raise ConfigError(
                f"--with {step} leaves no room for the further looks that this run takes (evaluate.tta): export it"
                f" without {step}, or give evaluate.tta=null"
            )


def _check_several(described: Sequence[Description], steps: Sequence[Step]) -> None:
    first = described[0]
    if Step.RESIZE not in steps and not all(one.own_scale for one in described):
        raise ConfigError(
            "several runs are averaged at the pictures' own size: give --with normalisation,resize, and the file brings"
            " what each network says to that size"
        )
    if any((one.values, one.looks) != (first.values, first.looks) for one in described):
        raise ConfigError(
            "the runs take values of files, or further looks (evaluate.tta), differently, which one file cannot: export"
            " runs on the same data with the same evaluate.tta"
        )
    same = all((one.mean, one.std) == (first.mean, first.std) for one in described)
    if Step.NORMALISATION not in steps and not same:
        raise ConfigError("the runs normalise pictures differently: give --with normalisation")

"""One job of a sweep, wherever it runs: start or continue it, and let no mistake of it reach the others."""

from __future__ import annotations

import io
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segbench.config.compose import compose_config
from segbench.config.quoting import rendered
from segbench.core.errors import Interrupted, InUseError, Pruned, SegbenchError
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job, examples
from segbench.training.start import Begin, train_in

if TYPE_CHECKING:
    from segbench.data.loading.datamodule import SegmentationData

_shared: dict[str, SegmentationData] = {}
"""The data of the last job of this process, by its settings: the next job mostly has the same."""


def run_job(folder: str, job: Job, *, typed: Sequence[str] = ()) -> RunState:
    """Run a job of the sweep in `folder` to its end and return its state; a failure is written down there.

    Args:
        folder: The sweep's folder.
        job: What to run; nothing if it is completed.
        typed: Settings that only the user who types may give, beside those of the job.

    Raises:
        ConfigError: if the folder would have it write elsewhere.
        Interrupted: if a signal stopped it; it can be continued.
    """
    sweep = SweepFolder(Path(folder))
    sweep.check_inside(job)
    state = sweep.state(job).state
    if state.is_settled:
        return state
    sweep.forget_failure(job)
    try:
        _train(sweep, job, typed=typed)
    except (Interrupted, KeyboardInterrupt) as error:
        sweep.write_stop(error)
        raise
    except InUseError:
        return RunState.RUNNING  # elsewhere, such as a SLURM job that has outlived the sweep that started it
    except Pruned:
        return RunState.PRUNED
    except SegbenchError as error:
        sweep.write_failure(job, str(error), exit_code=error.exit_code)
        return RunState.FAILED
    except Exception as error:
        sweep.write_failure(job, f"{type(error).__name__}: {' '.join(str(error).split())}", exit_code=1)
        (sweep.path / "failures" / f"{job.name}.txt").write_text(traceback.format_exc())
        return RunState.FAILED
    return RunState.COMPLETED


def compose_examples(sweep: SweepFolder, jobs: Sequence[Job], *, typed: Sequence[str]) -> list[Job]:
    """Return the jobs of a sweep, enough of them composed for every value to be checked.

    What is composed here goes with the job to the process that runs it; the others are composed there.

    Raises:
        ConfigError: for a setting that no job could be started with.
    """
    checked = {job.name for job in examples(jobs)}
    return [replace(job, begin=_composed(sweep, job, typed=typed)) if job.name in checked else job for job in jobs]


def _composed(sweep: SweepFolder, job: Job, *, typed: Sequence[str]) -> Begin:
    folder = rendered(str(sweep.run(job).path))
    return Begin.composed(compose_config([*job.words, *typed, f"hydra.run.dir={folder}"]))


def _train(sweep: SweepFolder, job: Job, *, typed: Sequence[str]) -> None:
    folder = sweep.run(job).path
    begin = job.begin or _composed(sweep, job, typed=typed)
    try:
        train_in(folder, begin, console=Console(file=io.StringIO()), watch=job.watch, shared=_shared)
    finally:
        if not sweep.run(job).exists() and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

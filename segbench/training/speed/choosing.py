"""In which form the steps of a run are made: as `trainer.compile` says, or by measuring, once in the life of a run."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence

import torch

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import Auto
from segbench.core.errors import SegbenchError
from segbench.core.files import write_json
from segbench.core.plain import Plain
from segbench.core.text import duration
from segbench.inference.trainer import device_kind
from segbench.runs.folder import COMPILATION, RunFolder
from segbench.training.faults import wants_memory
from segbench.training.parts import Experiment
from segbench.training.speed.compiled import MOST_SHAPES, Compiled, Shape
from segbench.training.speed.decision import Decision, Form, Trial, decided, might_pay
from segbench.training.speed.measuring import Steps, eager_seconds, measured, nothing_left

log = logging.getLogger("segbench")


def kept_decision(run: RunFolder, settings: TrainerSettings) -> Plain | None:
    """Return what was decided before in a run that is continued on the same kind of device; None for nothing."""
    before = run.read_environment().get(COMPILATION)
    if settings.compile is not Auto.AUTO or not isinstance(before, dict):
        return None
    if before.get("form") not in list(Form) or before.get("device") != device_kind(settings):
        return None
    return before


def chosen_form(experiment: Experiment, run: RunFolder, *, steps: int, stop: Callable[[], None]) -> Form:
    """Return the form of the steps; what has to be measured for it is written into environment.json.

    Args:
        experiment: The parts, with their data read; nothing of them changes.
        run: The run folder, in which the session has begun.
        steps: Optimizer steps that are left.
        stop: Called between measured steps; raises an error where the run is asked to stop.
    """
    settings = experiment.config.trainer
    if settings.compile is False:
        return Form.EAGER
    if settings.compile is True:
        forget_compiled()
        return Form.COMPILED
    environment = run.read_environment()
    kept = environment.get(COMPILATION)
    if isinstance(kept, dict):
        log.info("  trainer.compile=auto: %s, as it was decided when the run began", kept["form"])
        forget_compiled()
        return Form(kept["form"])
    decision = decide(experiment, steps=steps, stop=stop)
    log.info("  %s", decision)
    write_json(run.environment, {**environment, COMPILATION: decision.record()})
    return decision.form


def forget_compiled() -> None:
    """Begin with no compiled network: jobs of a sweep share a process, in which torch gives up after eight forms."""
    if "torch._dynamo" in sys.modules:  # else there is none, and importing it takes seconds
        torch.compiler.reset()


def decide(experiment: Experiment, *, steps: int, stop: Callable[[], None]) -> Decision:
    """Return in which form the steps that are left are done soonest, by measuring on a copy of the network.

    Args:
        experiment: The parts, with their data read; nothing of them changes.
        steps: Optimizer steps that are left.
        stop: As `chosen_form` takes it.
    """
    settings = experiment.config.trainer
    kind = device_kind(settings)
    reason = _unmeasured(settings, kind)
    if reason is not None:
        return Decision(form=Form.EAGER, reason=reason, device=kind, steps=steps)
    device = torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)
    try:
        with nothing_left(device):
            return _measured(experiment, device, steps=steps, stop=stop)
    except SegbenchError:
        raise
    except Exception as error:  # what breaks here is said where the training meets it
        what = "there was too little memory to measure" if wants_memory(error) else f"measuring failed: {error}"
        return Decision(form=Form.EAGER, reason=f"as {what}"[:300], device=kind, steps=steps)


def _unmeasured(settings: TrainerSettings, kind: str) -> str | None:
    """Return why nothing is measured; None where it is."""
    if kind not in ("cpu", "cuda"):
        return f"as compiled networks are not trusted on {kind}"
    if settings.is_sharded:
        return "as trainer.strategy=fsdp spreads the weights"
    if settings.sync_batchnorm:
        return "as trainer.sync_batchnorm waits for other processes within the network"
    return None


def _measured(experiment: Experiment, device: torch.device, *, steps: int, stop: Callable[[], None]) -> Decision:
    shapes = training_shapes(experiment)
    compiled = shapes[:MOST_SHAPES]
    batches = round(steps * experiment.config.trainer.accumulate * _share(compiled, shapes))
    trial = Steps(experiment, device, stop=stop)
    eager = eager_seconds(trial)
    if not might_pay(eager, batches):
        takes = duration(eager * batches)
        reason = f"as the {batches:,} batches left take {takes} as it is, too little to wait for a compiler"
        figures: Mapping[Form, Trial] = {Form.EAGER: Trial(wait=0.0, step=eager)}
        return Decision(form=Form.EAGER, reason=reason, device=device.type, steps=steps, trials=figures)
    forget_compiled()
    log.info("  trainer.compile=auto: compiling a copy of the network to see what it gains")
    kinds = [Form.COMPILED, *([Form.GRAPHS] if device.type == "cuda" else [])]
    forms = {form: Compiled(trial.module.network, form=form, shapes=shapes) for form in kinds}
    found = measured(trial, forms)
    trials = {form: one for form, one in found.items() if isinstance(one, Trial)}
    form, reason = decided(trials, batches, sizes=len(compiled))
    failures = "".join(f"; {form} does not work: {one}" for form, one in found.items() if isinstance(one, str))
    return Decision(form=form, reason=f"{reason}{failures}", device=device.type, steps=steps, trials=trials)


def _share(compiled: Sequence[Shape], shapes: Sequence[Shape]) -> float:
    """Return how much of a training on so many sizes, for equally long each, is that of the largest and is compiled.

    A batch takes time by its pixels.
    """
    return sum(math.prod(shape) for shape in compiled) / (math.prod(shapes[0]) * len(shapes))


def training_shapes(experiment: Experiment) -> list[Shape]:
    """Return the shapes `[B,C,H,W]` of the images that a process trains on, the largest first."""
    data = experiment.data
    sizes = [data.size]
    if experiment.resolution is not None:
        sizes = experiment.resolution.of_phases()
    count = max(1, data.batch_size // experiment.config.trainer.devices)
    shapes = {(count, experiment.channels, *size) for size in sizes}
    return sorted(shapes, key=lambda shape: shape[2] * shape[3], reverse=True)

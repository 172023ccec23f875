"""Rows on a GPU: how fast steps are in each form, how near to the peak, and what else speeds them up or slows them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import segbench
from segbench.config.compose import compose_config, run_config
from segbench.core.choices import Split
from segbench.data.loading.batches import Delivered
from segbench.inference.trainer import prepare_torch
from segbench.training.parts import Experiment, build_experiment
from segbench.training.speed.choosing import training_shapes
from segbench.training.speed.compiled import Compiled
from segbench.training.speed.decision import Form, Trial
from segbench.training.speed.device_batches import DeviceBatches, SideStream
from segbench.training.speed.measuring import Steps, measured, wait_for

PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
}
"""Operations a second in bfloat16, dense, as NVIDIA's data sheets say, by a part of the name; the first that fits."""

ROUNDS = 20
"""Steps that are timed."""

COMMON = ["data=synthetic", "trainer.precision=bf16-mixed", "data.val_size=1", "data.test_size=1"]


@dataclass(frozen=True)
class Figure:
    """What was measured."""

    name: str
    """What it is of."""
    value: float
    """The figure."""
    unit: str
    """Its unit."""


@dataclass(frozen=True)
class GpuRow:
    """A row of the table of a GPU."""

    name: str
    """How it is chosen on the command line."""
    what: str
    """What is measured."""
    measure: Callable[[], list[Figure]]
    """Measures it."""
    gpus: int = 1
    """GPUs that it needs."""

    def missing(self) -> str | None:
        """Return in one sentence why it cannot be measured here; None where it can."""
        there = torch.cuda.device_count()
        if there >= self.gpus:
            return None
        needed = "a GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        return f"{self.name} needs {needed}, of which torch sees {there or 'none'} here"


def here() -> torch.device:
    """Return the device that is measured: the GPU, or where there is none the CPU, to try the rows themselves."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def experiment_of(words: list[str]) -> Experiment:
    """Return a small experiment on generated scenes, with its data ready."""
    config = run_config(compose_config([*COMMON, *words]))
    prepare_torch(config.trainer)
    experiment = build_experiment(config)
    experiment.read_data()
    return experiment


def seconds_of(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median seconds of a piece of work on the device, after three times that do not count."""
    for _ in range(3):
        work()
    found = []
    for _ in range(rounds):
        wait_for(here())
        began = time.perf_counter()
        work()
        wait_for(here())
        found.append(time.perf_counter() - began)
    return median(found)


def forms(words: list[str]) -> list[Figure]:
    """Steps as they are, compiled, and recorded as CUDA graphs: milliseconds, images a second, share of the peak."""
    experiment = experiment_of(words)
    steps = Steps(experiment, here())
    with FlopCounterMode(display=False) as counter:
        steps.step()
    operations = counter.get_total_flops()
    shapes = training_shapes(experiment)
    network = steps.module.network
    compiled = {form: Compiled(network, form=form, shapes=shapes) for form in (Form.COMPILED, Form.GRAPHS)}
    figures: list[Figure] = []
    for form, trial in measured(steps, compiled).items():
        if isinstance(trial, Trial):
            figures += _of_form(form, trial, images=experiment.data.batch_size, operations=operations)
    return figures


def _of_form(form: Form, trial: Trial, *, images: int, operations: int) -> Iterator[Figure]:
    yield Figure(f"{form}: a step", 1000 * trial.step, "ms")
    yield Figure(f"{form}: speed", images / trial.step, "images/s")
    yield Figure(f"{form}: arithmetic", operations / trial.step / 1e12, "TFLOP/s")
    peak = peak_of_device()
    if peak is not None:
        yield Figure(f"{form}: share of the peak", 100 * operations / trial.step / peak, "%")
    if trial.wait:
        yield Figure(f"{form}: wait for the compiler", trial.wait, "s")


def peak_of_device() -> float | None:
    """Return the most operations a second of the GPU in bfloat16; None for one that is not in the table."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def deterministic(words: list[str]) -> list[Figure]:
    """Steps with and without `trainer.deterministic`."""
    figures = []
    for setting in ("false", "true"):
        experiment = experiment_of([*words, f"trainer.deterministic={setting}"])
        steps = Steps(experiment, here())
        figures.append(Figure(f"deterministic={setting}: a step", 1000 * seconds_of(steps.step), "ms"))
    torch.use_deterministic_algorithms(False)
    return figures


def optimizer(words: list[str]) -> list[Figure]:
    """The optimizer's step, as torch takes it and fused."""
    figures = []
    for name in ("foreach", "fused"):
        experiment = experiment_of([*words, f"+optimizer.{name}=true"])
        steps = Steps(experiment, here())
        made = steps.module.configure_optimizers()
        steps.step()
        figures.append(Figure(f"AdamW, {name}: a step", 1000 * seconds_of(made.step), "ms"))
    return figures


def prefetch(words: list[str]) -> list[Figure]:
    """Steps on batches of the loader, copied when they are needed and one ahead on a side stream."""
    figures = []
    for name, ahead in (("copied in the step", False), ("copied ahead", True)):
        experiment = experiment_of(words)
        steps = Steps(experiment, here())
        loader = experiment.data.loader(Split.TRAIN)
        batches: Iterable[Delivered] = loader
        if ahead and torch.cuda.is_available():
            batches = DeviceBatches(loader, SideStream())
        first = True
        count = 0
        began = 0.0
        for batch in batches:
            steps.batch = _on_device(batch)
            steps.step()
            count += not first
            if first:
                wait_for(here())
                began = time.perf_counter()
                first = False
        wait_for(here())
        images = count * experiment.data.batch_size
        figures.append(Figure(f"{name}: speed", images / (time.perf_counter() - began), "images/s"))
    return figures


def _on_device(batch: Delivered) -> dict[str, Tensor]:
    device = here()
    return {name: values.to(device, non_blocking=True) for name, values in batch.items() if isinstance(values, Tensor)}


def whole_run(words: list[str]) -> list[Figure]:
    """A run with everything that belongs to it: speed and memory as results.json says."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        few = ["data.val_size=64", "data.test_size=64", "trainer.plots=false", f"hydra.run.dir={folder}/run"]
        results = segbench.train(*words, *few, quiet=True).read_results()
    figures.append(Figure("speed", float(results["images_per_second"]), "images/s"))
    memory = results["peak_memory_bytes"]
    if memory is not None:
        figures.append(Figure("most memory", memory / 2**30, "GiB"))
    return figures


def fsdp(words: list[str]) -> list[Figure]:
    """Speed and memory of two GPUs that each have all weights, and that share them."""
    return [
        Figure(f"{strategy}: {figure.name}", figure.value, figure.unit)
        for strategy in ("ddp", "fsdp")
        for figure in whole_run([*words, f"trainer.strategy={strategy}"])
    ]


UNET = ["model=unet", "data.size=[256,256]", "data.batch_size=64", "data.train_size=64"]
FCN = ["model=fcn", "data.size=[128,128]", "data.batch_size=64", "data.train_size=64"]
READ = [*UNET[:-1], "data.train_size=4096", "data.num_workers=8", "data.pin_memory=true"]
RUN = ["data=synthetic", "trainer=gpu", "model=unet", "data.size=[256,256]", "data.train_size=8192"]
ROWS = [
    GpuRow("step-unet-gpu", "steps of unet, 64 x 256 x 256, bf16, in each form", partial(forms, UNET)),
    GpuRow("step-fcn-gpu", "the same of fcn, 64 x 128 x 128", partial(forms, FCN)),
    GpuRow("optimizer-gpu", "the optimizer of unet, fused", partial(optimizer, [*UNET, "optimizer=adamw"])),
    GpuRow("prefetch-gpu", "steps of unet on batches of 8 workers, one ahead", partial(prefetch, READ)),
    GpuRow("deterministic-gpu", "steps of unet that repeat bit by bit", partial(deterministic, UNET)),
    GpuRow("run-gpu", "two epochs of trainer=gpu, unet", partial(whole_run, [*RUN, "trainer.max_epochs=2"])),
    GpuRow(
        "fsdp-gpu",
        "the same on two GPUs, by trainer.strategy",
        partial(fsdp, [*RUN, "trainer.max_epochs=1", "trainer.devices=2", "model.width=64"]),
        gpus=2,
    ),
]

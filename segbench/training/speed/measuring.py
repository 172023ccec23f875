"""How long a training step takes in each form, on a copy of the network: the training itself is not touched."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor

from segbench.core.choices import Split
from segbench.core.errors import SegbenchError
from segbench.data.loading.batches import Batch, stacked
from segbench.data.loading.source import SplitDataset
from segbench.inference.precision import WHOLE, computing_in
from segbench.training.parts import Experiment
from segbench.training.speed.compiled import Compiled
from segbench.training.speed.decision import Form, Trial

ROUNDS = 5
"""Steps of each form that are timed, in turn, so that a machine that drifts meets all; the least counts."""

DRAWS = 3
"""Losses of the network as it is, which differ where it has dropout."""

CLOSE = 0.05
"""Relative difference of two losses of the same batch, by rounding alone."""


class Steps:
    """Training steps without the optimizer: forward, loss and backward, of a copy, on a batch of the training data.

    Args:
        experiment: The parts, with their data read; they are copied.
        device: Where it trains.
        stop: Called before each step that is timed; may raise an error. None: nothing is called.
    """

    def __init__(self, experiment: Experiment, device: torch.device, *, stop: Callable[[], None] | None = None) -> None:
        settings = experiment.config.trainer
        network, loss = deepcopy((experiment.network, experiment.loss))
        copied = replace(experiment, network=network, loss=loss, make_average=None)
        self.module = copied.module().to(device=device, dtype=WHOLE.get(settings.precision)).train()
        self.device = device
        self._stop = stop
        self.precision = settings.precision
        self.batch = {name: values.to(device) for name, values in _batch(experiment).items()}

    def use(self, compiled: Compiled | None) -> None:
        """Let the steps run in another form; None: the network as it is."""
        self.module.compiled = compiled

    def step(self) -> Tensor:
        """Make a step and return its loss."""
        self.module.zero_grad(set_to_none=True)
        with computing_in(self.precision, self.device.type, keeps_casts=False):
            loss, _ = self.module.loss_of(self.batch)
        torch.autograd.backward([loss])
        return loss.detach()

    def stop(self) -> None:
        """Raise an error where the run is asked to stop."""
        if self._stop is not None:
            self._stop()

    def timed(self) -> float:
        """Return the seconds of a step."""
        self.stop()
        wait_for(self.device)
        began = time.perf_counter()
        self.step()
        wait_for(self.device)
        return time.perf_counter() - began


def wait_for(device: torch.device) -> None:
    """Wait until a device has nothing to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _batch(experiment: Experiment) -> Batch:
    """Return the first samples of the training data, as many as a process gets at a time, at the largest size."""
    data = experiment.data
    dataset = SplitDataset(data, Split.TRAIN, augment=None, seed=data.order_seed)
    count = max(1, data.batch_size // experiment.config.trainer.devices)
    batch = stacked([dataset[0, index] for index in range(count)])
    if experiment.resolution is None:
        return batch
    areas = [height * width for height, width in experiment.resolution.of_phases()]
    return experiment.resolution.shrink(batch, areas.index(max(areas)), epochs=len(areas))


@contextmanager
def nothing_left(device: torch.device) -> Iterator[None]:
    """Leave random generators, and on a GPU its memory, as they were before."""
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        if devices:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def eager_seconds(steps: Steps) -> float:
    """Return the seconds of a step of the network as it is, after one that does not count."""
    steps.use(None)
    steps.timed()
    return min(steps.timed(), steps.timed())


def measured(steps: Steps, forms: dict[Form, Compiled]) -> dict[Form, Trial | str]:
    """Return what each form came to, and of one that does not work why.

    Args:
        steps: The steps.
        forms: The compiled forms beside the network as it is.
    """
    steps.use(None)
    expected = torch.stack([steps.step() for _ in range(DRAWS)])
    waits: dict[Form, float | str] = {form: _first(steps, one, expected=expected) for form, one in forms.items()}
    able: dict[Form, Compiled | None] = {form: one for form, one in forms.items() if isinstance(waits[form], float)}
    rounds = _in_turn(steps, {Form.EAGER: None, **able})
    found: dict[Form, Trial | str] = {Form.EAGER: Trial(wait=0.0, step=min(rounds[Form.EAGER]))}
    for form, wait in waits.items():
        found[form] = wait if isinstance(wait, str) else Trial(wait=wait, step=min(rounds[form]))
    return found


def _first(steps: Steps, compiled: Compiled, *, expected: Tensor) -> float | str:
    """Return the seconds until a form works, or why it does not."""
    steps.use(compiled)
    began = time.perf_counter()
    try:
        steps.timed()
        wait = time.perf_counter() - began
        steps.stop()
        loss = steps.step()  # a CUDA graph is recorded by a later step
    except SegbenchError:
        raise
    except Exception as error:  # a compiler may fail in any way
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    if not _is_close(loss, expected):
        return f"its loss is {loss.item():.6g}, not {expected.mean().item():.6g}"
    return wait


def _is_close(loss: Tensor, expected: Tensor) -> bool:
    """Whether a loss is one of those that were expected, up to rounding and to how far those are apart."""
    if not expected.isfinite().all():
        return True  # the training stops at that by itself
    apart = 2 * float(expected.max() - expected.min())
    return torch.allclose(loss, expected.mean(), rtol=CLOSE, atol=CLOSE + apart)


def _in_turn(steps: Steps, forms: dict[Form, Compiled | None]) -> dict[Form, list[float]]:
    seconds: dict[Form, list[float]] = {form: [] for form in forms}
    for _ in range(ROUNDS):
        for form, compiled in forms.items():
            steps.use(compiled)
            seconds[form].append(steps.timed())
    return seconds

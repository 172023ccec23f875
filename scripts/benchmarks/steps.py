"""Rows on training steps: segbench's trainer over a loop by hand with the same network, loss, optimizer and data."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import torch

import segbench
from scripts.benchmarks.measure import Pair, Row, ready, timed
from segbench.config.compose import compose_config, run_config
from segbench.core.choices import Split
from segbench.data.loading.source import SplitDataset
from segbench.training.parts import build_experiment

STEPS = 12


def by_hand(words: list[str]) -> float:
    """Return the CPU seconds of the steps after the first, by the least loop that does the same work."""
    experiment = build_experiment(run_config(compose_config(words)))
    data, network = experiment.data, experiment.network.to(memory_format=torch.channels_last)
    data.prepare()
    dataset, size = SplitDataset(data, Split.TRAIN, augment=None, seed=0), data.batch_size
    optimizer = experiment.make_optimizer(network.parameters())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (data.mean, data.std))

    def step(number: int) -> None:
        items = [dataset[0, number * size + place] for place in range(size)]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        image = ((batch["image"].float() - mean) / std).contiguous(memory_format=torch.channels_last)
        loss, _ = experiment.loss(network(image), {"mask": batch["mask"].long()})
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    step(0)

    def further() -> None:
        for number in range(1, STEPS + 1):
            step(number)

    return timed(further)


def by_segbench(words: list[str]) -> float:
    """Return the CPU seconds of the steps after the first: of a run, less those of one of a single step."""

    def run(steps: int) -> None:
        rest = [f"trainer.max_steps={steps}", "trainer.panels_every=0", "trainer.plots=false", "trainer.threads=1"]
        with tempfile.TemporaryDirectory() as folder:
            few = ["data.val_size=1", "data.test_size=1", f"hydra.run.dir={Path(folder) / 'run'}"]
            segbench.train(*words, *rest, *few, quiet=True)

    return timed(lambda: run(STEPS + 1)) - timed(lambda: run(1))


def steps(model: str, side: int) -> AbstractContextManager[Pair]:
    """Steps of a network on fgbg, batches of 16."""
    count = (STEPS + 1) * 16
    words = [f"model={model}", f"data.size=[{side},{side}]", f"data.train_size={count}", "data.batch_size=16"]
    return ready(partial(by_segbench, words), partial(by_hand, words))


ROWS = [
    Row(
        f"step-{model}",
        f"{STEPS} steps over a loop by hand, {model} {side} x {side}",
        goal,
        partial(steps, model, side),
    )
    for model, side, goal in (("unet", 128, 1.0), ("fcn", 64, 1.05))
]

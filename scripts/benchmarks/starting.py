"""Rows on what surrounds the steps: a checkpoint over its torch.save, and a run of one step over the imports."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from scripts.benchmarks.measure import Pair, Row, Work
from segbench.inference.checkpoints import Checkpoint
from segbench.training.checkpoints.beside import Writer

ROOT = Path(__file__).parents[2]
NUMBERS = 31_400_000
"""Of a network whose checkpoint, with the two moments of Adam, has 377 MB."""

IMPORTS = "import albumentations, hydra, numpy, omegaconf, PIL, pytorch_lightning, torch, torchmetrics, torchvision"
FIRST_STEP = [
    "trainer=debug",
    "trainer.threads=1",
    "trainer.max_steps=1",
    "trainer.plots=false",
    "trainer.panels_every=0",
    "data.size=[32,32]",
    "model.width=4",
]


@contextmanager
def saving(timed: Callable[[Work], Work]) -> Iterator[Pair]:
    """A checkpoint with its digest, flushed, over torch.save alone.

    Args:
        timed: What is made of both: their work itself, or the part of it that counts.
    """
    layers = 40
    state = {f"layer{number}": torch.rand(NUMBERS // layers) for number in range(layers)}
    moments = {name: {"exp_avg": torch.zeros_like(one), "exp_avg_sq": one.square()} for name, one in state.items()}
    checkpoint = {"state_dict": state, "optimizer_states": [moments]}
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder) / "step-00000001.ckpt"
        theirs = Path(folder) / "theirs.ckpt"
        yield Pair(timed(lambda: written(checkpoint, ours)), timed(lambda: torch.save(checkpoint, theirs)))


def written(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint as a training does, and wait until it is there."""
    with Writer() as writer:
        writer.save(checkpoint, path)
        writer.then(lambda: None)


def itself(work: Work) -> Work:
    """Return a piece of work as it is, of which all threads count."""
    return work


def of_this_thread(work: Work) -> Work:
    """Return a piece of work that tells the CPU seconds of the thread that waits for it, as a training does."""

    def seconds() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    return seconds


@contextmanager
def starting() -> Iterator[Pair]:
    """A whole run of one step, with its validation and test, over importing the libraries that it is made of."""
    with tempfile.TemporaryDirectory() as folder:

        def run() -> None:
            words = [*FIRST_STEP, f"hydra.run.dir={folder}/run"]
            subprocess.run([sys.executable, str(ROOT / "train.py"), *words], check=True, capture_output=True)
            subprocess.run(["rm", "-r", f"{folder}/run"], check=True)

        yield Pair(run, lambda: subprocess.run([sys.executable, "-c", IMPORTS], check=True))


ROWS = [
    Row("checkpoint", "a checkpoint of 377 MB with its digest over its torch.save", 1.3, partial(saving, itself)),
    Row("checkpoint-wait", "the same, of the thread that trains", 1.3, partial(saving, of_this_thread)),
    Row("start", "a run of one step, validation and test with it, over the bare imports", 1.0, starting),
]

"""Rows whose goals are absolute: comparing many runs, a further job of a sweep, the second start on many pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from scripts.benchmarks.measure import Pair, Row, timed
from scripts.benchmarks.starting import FIRST_STEP, ROOT
from scripts.scale import SIDE, make, write_pictures

PICTURES = 4000
JOBS = 4
SEGBENCH = [sys.executable, "-m", "segbench"]
CONFIG = """\
data: {{_target_: segbench.data.fgbg, size: [96, 96], train_size: 16}}
model: {{_target_: segbench.models.{model}, width: 32}}
loss: {{_target_: segbench.losses.{loss}}}
optimizer: {{_target_: torch.optim.AdamW, lr: {lr}}}
trainer: {{max_epochs: 10}}
seed: {seed}
task: mask
inputs: image
name: run
about:
  choices: {{model: {model}, loss: {loss}, data: fgbg, optimizer: adamw, scheduler: onecycle, trainer: default}}
  versions: {{segbench: 0.1.0}}
"""
MODELS = ("unet", "fcn", "deeplab", "segformer")
LOSSES = ("dice", "focal", "tversky", "edge", "lovasz")


def write_runs(folder: Path, count: int) -> None:
    """Write finished runs without training them: groups of three seeds that differ in model, loss and learning rate."""
    draw = np.random.default_rng(0)
    for number in range(count):
        group, seed = divmod(number, 3)
        rest, model = divmod(group, len(MODELS))
        rate, loss = divmod(rest, len(LOSSES))
        path = folder / f"run-{number:05d}"
        path.mkdir(parents=True)
        words = {"model": MODELS[model], "loss": LOSSES[loss], "lr": 1e-4 * (rate + 1), "seed": seed}
        (path / "config.yaml").write_text(CONFIG.format(**words))
        (path / "status.json").write_text(json.dumps({"state": "completed", "finished": 1.0}))
        scores = {name: float(draw.uniform(0.4, 0.9)) for name in ("test/mean_iou", "val/mean_iou")}
        results = {
            "metrics": {name: {"best": score, "last": score, "best_epoch": 3} for name, score in scores.items()},
            "classes": ["background", "foreground"],
            "data_fingerprint": {"train": "t", "val": "v", "test": "w"},
            "test_is_val": False,
            "parameters": 1000,
            "flops_per_image": 2e6,
            "images_per_second": 50.0,
            "peak_memory_bytes": 10**9,
            "seconds": 60.0,
        }
        (path / "results.json").write_text(json.dumps(results))


@contextmanager
def comparing(count: int, *words: str) -> Iterator[Pair]:
    """CPU seconds of the whole command over so many runs."""
    with tempfile.TemporaryDirectory() as name:
        write_runs(Path(name), count)
        command = [*SEGBENCH, "compare", name, *words]
        yield Pair(lambda: subprocess.run(command, check=True, capture_output=True, cwd=ROOT), None)


@contextmanager
def paging(count: int) -> Iterator[Pair]:
    """Megabytes of the page of so many runs."""
    with tempfile.TemporaryDirectory() as name:
        write_runs(Path(name) / "runs", count)
        page = Path(name) / "page.html"
        command = [*SEGBENCH, "compare", f"{name}/runs", "--format", "html", "--out", str(page)]

        def megabytes() -> float:
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            return page.stat().st_size / 1e6

        yield Pair(megabytes, None)


@contextmanager
def sweeping() -> Iterator[Pair]:
    """CPU seconds of a further tiny job: of a sweep of some jobs, less those of one of a single job."""
    with tempfile.TemporaryDirectory() as name:

        def sweep(jobs: int) -> float:
            seeds = ",".join(map(str, range(jobs)))
            with tempfile.TemporaryDirectory(dir=name) as folder:
                words = [*FIRST_STEP, "trainer.max_steps=2", f"seed={seeds}", f"hydra.sweep.dir={folder}/sweep"]
                command = [sys.executable, str(ROOT / "train.py"), "-m", *words]
                return timed(lambda: subprocess.run(command, check=True, capture_output=True))

        yield Pair(lambda: (sweep(JOBS) - sweep(1)) / (JOBS - 1), None)


@contextmanager
def starting_again() -> Iterator[Pair]:
    """CPU milliseconds a picture of a start on pictures that a start before has looked at."""
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, SEGBENCH_CACHE=f"{name}/cache"):
        write_pictures(Path(name) / "set", PICTURES)
        time.sleep(3)  # files that have just changed are looked at again

        def start() -> object:
            return make("folder", root=f"{name}/set", size=[SIDE, SIDE], num_workers=0, cache="none")

        start()
        yield Pair(lambda: timed(start) / PICTURES * 1e3, None)


ROWS = [
    Row("compare-1000", "compare of 1,000 runs, the whole command", 1.0, partial(comparing, 1000), unit="s"),
    Row(
        "compare-by-5000",
        "compare --by loss of 5,000 runs",
        3.0,
        partial(comparing, 5000, "--by", "loss"),
        unit="s",
    ),
    Row("compare-20000", "compare of 20,000 runs", 8.0, partial(comparing, 20_000), unit="s"),
    Row("compare-page", "the page of 20,000 runs", 4.0, partial(paging, 20_000), unit="MB"),
    Row("sweep-job", "a further job of two tiny steps in a sweep", 0.4, sweeping, unit="s"),
    Row(
        "files-second-start",
        f"the second start on {PICTURES:,} pictures, a picture",
        0.05,
        starting_again,
        unit="ms",
    ),
]

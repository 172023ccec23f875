"""Trains thousands of short epochs in one run, and shows that memory, open files and processes stay flat.

    python -m tests.support.soak                            5,000 epochs, under an hour on a busy core
    python -m tests.support.soak --epochs 500 data=fgbg     half a minute of CPU

The run is a real process of train.py with one loader worker, a validation, a row of the table and a checkpoint in every
epoch. What it and its children hold is read from /proc, so this works on Linux alone.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "trainer=debug",
    "trainer.threads=1",
    "trainer.panels_every=1000",
    "data=synthetic",
    "data.size=[16,16]",
    "data.train_size=4",
    "data.val_size=2",
    "data.test_size=2",
    "data.batch_size=2",
    "data.num_workers=1",
    "model=cnn",
]
WARM = 0.2
"""Share of the epochs after which growth counts: imports, caches and pools fill up before."""

LINES = 20
"""About how many moments are printed."""

ALLOWED = 2.0
"""Megabytes that the memory may grow in 1,000 epochs and be called flat."""


@dataclass(frozen=True)
class Held:
    """What a process and its children hold at a moment."""

    epoch: int
    """The last one that is in the table."""

    memory: float
    """Megabytes that belong to them alone: no libraries, whose share depends on who else has them open."""

    files: int
    """Open files."""

    processes: int
    """The process and its children, and theirs."""


def family(process: int) -> list[int]:
    """Return the numbers of a process and of all that it started; an ended one has none."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(one for child in children for one in family(int(child)))]


def memory_of(process: int) -> float:
    """Return the memory of a process that is no file's, in megabytes; what forked ones share counts once in all."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    pss = next(line for line in lines if line.startswith("Pss_Anon:"))
    return int(pss.split()[1]) / 1024


def held_by(process: int, table: Path) -> Held | None:
    """Return what a run holds now; None before its first epoch and after its end."""
    try:
        epochs = [int(row["epoch"]) for row in csv.DictReader(table.open()) if row["split"] == "epoch"]
        members = family(process)
        files = sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in members)
        return Held(epochs[-1], sum(map(memory_of, members)), files, len(members))
    except (OSError, IndexError, StopIteration):
        return None


def watch(run: Path, words: list[str], every: float) -> Iterator[Held]:
    """Train, and yield what is held every few seconds while epochs go by."""
    command = [sys.executable, str(ROOT / "train.py"), *words, f"hydra.run.dir={run}"]
    with (run.parent / "said.txt").open("w") as said:
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT)
        while child.poll() is None:
            time.sleep(every)
            held = held_by(child.pid, run / "metrics.csv")
            if held is not None:
                yield held
    if child.returncode:
        raise SystemExit((run.parent / "said.txt").read_text())


def growth(held: list[Held], name: str) -> float:
    """Return by how much something grows in 1,000 epochs: the slope of a line through all that was seen when warm."""
    warm = [one for one in held if one.epoch >= WARM * held[-1].epoch]
    slope = np.polyfit([one.epoch for one in warm], [getattr(one, name) for one in warm], 1)[0]
    return float(1000 * slope)


def main(
    settings: Annotated[
        list[str] | None, typer.Argument(help="More settings of the run, as train.py takes them.", metavar="KEY=VALUE")
    ] = None,
    epochs: Annotated[int, typer.Option(help="How many epochs of two steps.")] = 5000,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 5.0,
) -> None:
    """Train one long run of short epochs, and print what it held.

    The exit status is 1 where memory, open files or processes grew.
    """
    held: list[Held] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        words = [*SETTINGS, f"trainer.max_epochs={epochs}", *(settings or [])]
        for one in watch(Path(folder) / "run", words, every):
            if one.epoch == epochs - 1:  # the workers have gone, and what draws the plots comes
                continue
            if not held or one.epoch * LINES // epochs > held[-1].epoch * LINES // epochs:
                print(
                    f"epoch {one.epoch:>6,}: {one.memory:.1f} MB, {one.files} open files, {one.processes} processes",
                    flush=True,
                )
            held.append(one)
    if len(held) < 10:
        raise SystemExit(f"only {len(held)} looks; give more epochs or a shorter --every")
    grown = {name: growth(held, name) for name in ("memory", "files", "processes")}
    told = ", ".join(f"{name} {value:+.2f}" for name, value in grown.items())
    print(f"growth in 1,000 epochs: {told}")
    flat = grown["memory"] <= ALLOWED and max(grown["files"], grown["processes"]) < 0.5
    raise SystemExit(0 if flat else 1)


if __name__ == "__main__":
    typer.run(main)

"""Kills training runs at random moments and shows that each, resumed, ends as if nothing had happened.

    python -m tests.support.torture --kills 100              about 15 minutes on two idle cores
    python -m tests.support.torture --kills 20 --seed 3 scheduler=plateau data.num_workers=2
    python -m tests.support.torture --kills 40 --early     in the first seconds of runs and of sweeps
    python -m tests.support.torture --kills 20 --ranks 2   runs of two processes; now all are killed, now one of them

Each configuration is drawn at random and trained twice by real processes of train.py: once in peace, once killed with
SIGKILL again and again, workers and all, and resumed each time. Then the two run folders are compared bit by bit:
weights, optimizer, schedule, best epoch, scores, metrics table, per-image tables, pictures. Only the clock may differ.
"""

from __future__ import annotations

import functools
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.support.killing import EARLY, POINTS, ROOT, Run, Sweep, Words, differences, differences_of_sweeps

ENDING = ["test", "results are not written yet", "plots are not drawn yet"]
TRAINING = [point for point in POINTS if point not in (*ENDING, *EARLY)]
TRAINER = {
    "accumulate": [1, 1, 2, 3],
    "checkpoint_every": [0, 2, 5],
    "val_every": [1, 1, 2],
    "log_every": [1, 3],
    "gradient_clip": ["null", 0.5],
    "ema": ["null", 0.9],
    "patience": ["null", 2],
}
"""Settings of the trainer to choose from."""


@dataclass
class Outcome:
    """What became of a configuration."""

    words: list[str]
    """Its settings."""
    kills: list[str]
    """When the kills came."""
    difference: str | None
    """The first difference; None for none."""


def draw_words(draw: random.Random) -> list[str]:
    """Return a random small configuration; of settings of the trainer only such as this version has."""
    words = ["trainer=debug", "trainer.threads=1", "data.size=[32,32]", "trainer.max_epochs=6", "optimizer.lr=0.02"]
    words += [f"data.train_size={draw.randint(30, 80)}", f"data.val_size={draw.randint(4, 12)}"]
    words += draw.choice([["model=unet", "model.width=4", "model.depth=2", "model.dropout=0.2"], ["model=cnn"]])
    words += [f"data={draw.choice(['fgbg', 'synthetic'])}", f"loss={draw.choice(['dice', 'cross_entropy', 'focal'])}"]
    for group in ("scheduler", "augment", "optimizer"):
        words.append(f"{group}={draw.choice(sorted(path.stem for path in (ROOT / 'conf' / group).glob('*.yaml')))}")
    if "scheduler=plateau" in words:
        words.append("scheduler.patience=0")
    averages = "optimizer=schedulefree" in words
    known = (ROOT / "conf/trainer/default.yaml").read_text()
    return words + [
        f"trainer.{name}={value}"
        for name, values in TRAINER.items()
        for value in [draw.choice(values)]
        if f"\n{name}:" in known and not (averages and name == "ema")
    ]


def attack(run: Run, draw: random.Random, ranks: int) -> Iterator[str]:
    """Kill a run several times, or one of its processes, and yield when each kill came."""
    points = [draw.choice(TRAINING) if draw.random() < 0.6 else None for _ in range(draw.randint(2, 7))]
    for point in [*points, *draw.sample(ENDING, draw.randint(0, 2))]:
        workers = f"data.num_workers={draw.choice([0, 1, 2])}"
        count, seconds = draw.randint(1, 2), draw.uniform(0, 0.4)
        if point in ("step", "step is done"):
            count *= draw.randint(1, 9)
        rank = draw.choice([None, *range(ranks)]) if ranks > 1 and point in TRAINING else None
        if not (run.killed_at(point, count, workers, rank=rank) if point else run.killed_after(seconds, workers)):
            return
        whom = "" if rank is None else f" (process {rank})"
        yield f"{count} x {point}{whom}" if point else f"{seconds:.2f} s"


def attack_early(run: Run, draw: random.Random, further: int) -> Iterator[str]:
    """Kill a run or a sweep in its first seconds, again and again, then at any time; yield when each kill came."""
    for _ in range(draw.randint(2, 5)):
        point, seconds = draw.choice([None, None, *EARLY]), draw.uniform(0, 1.5)
        count = draw.randint(1, 3) if point == "status is not written yet" else 1
        if not (run.killed_at(point, count) if point else run.killed_young(seconds)):
            return
        yield f"early, {count} x {point}" if point else f"early, {seconds:.2f} s"
    for _ in range(further):
        seconds = draw.uniform(0, 4)
        if not run.killed_young(seconds):
            return
        yield f"{seconds:.2f} s"


def torture(number: int, seed: int, given: Words, folder: Path, *, early: bool, ranks: int) -> Outcome:
    """Train the configuration of a number in peace and under attack, and compare; every third early one is a sweep."""
    draw = random.Random(f"{seed}/{number}")
    several = [f"trainer.devices={ranks}", "trainer.accelerator=cpu"] if ranks > 1 else []
    words = [*draw_words(draw), *several, *given]
    is_sweep = early and number % 3 == 2
    words += ["-m", "seed=1,2"] if is_sweep else []
    kind, compare = (Sweep, differences_of_sweeps) if is_sweep else (Run, differences)
    reference, victim = (kind(folder / str(number) / name, words, warm=False) for name in ("reference", "victim"))
    kills: list[str] = []
    try:
        reference.finish()
        kills.extend(attack_early(victim, draw, 3 if is_sweep else 1) if early else attack(victim, draw, ranks))
        victim.finish()
        return Outcome(words, kills, next(compare(reference.folder, victim.folder), None))
    except RuntimeError as error:
        return Outcome(words, kills, str(error))


def show(console: Console, number: int, outcome: Outcome) -> None:
    """Print the line of a configuration, and what it needs to be looked into where it differs."""
    verdict = "[green]identical[/]" if outcome.difference is None else "[red]differs  [/]"
    console.print(f"{number:>4}  {len(outcome.kills)} kills  {verdict}  [dim]{' '.join(outcome.words[3:])}[/]")
    if outcome.difference is not None:
        console.print(f"      after {', '.join(outcome.kills)}: {outcome.difference}", markup=False)


def main(
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings of every run, as train.py takes them.", metavar="KEY=VALUE")
    ] = None,
    kills: Annotated[int, typer.Option(help="How many kills, at least.")] = 100,
    seed: Annotated[int, typer.Option(help="Key of all that is drawn: configurations and attacks.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Folder for the run folders; else only what differs stays.")] = None,
    jobs: Annotated[int, typer.Option(help="Configurations at the same time.")] = 2,
    early: Annotated[bool, typer.Option(help="Kill in the first second or two of a run, and whole sweeps.")] = False,
    ranks: Annotated[int, typer.Option(help="Processes of each run.")] = 1,
) -> None:
    """Kill runs at random moments, resume them, and compare them bit by bit with runs left in peace.

    Prints a line for each configuration; the exit status is 1 if any differs.
    """
    console, began = Console(highlight=False, soft_wrap=True), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="torture-")) if keep is None else keep.absolute()
    done, differing, number = 0, 0, 0
    given = settings or []
    with ThreadPoolExecutor(jobs) as pool:
        while done < kills:
            numbers = range(number, number := number + jobs)
            attacked = functools.partial(torture, seed=seed, given=given, folder=folder, early=early, ranks=ranks)
            outcomes = pool.map(attacked, numbers)
            for one, outcome in zip(numbers, outcomes, strict=True):
                show(console, one, outcome)
                done += len(outcome.kills)
                differing += outcome.difference is not None
                if keep is None and outcome.difference is None:
                    shutil.rmtree(folder / str(one))
    console.print(
        f"{done} kills in {number} configurations, {differing} differing, {time.monotonic() - began:.0f} s"
        + (f"; see {folder}" if differing or keep else "")
    )
    raise SystemExit(1 if differing else 0)


if __name__ == "__main__":
    typer.run(main)

"""How many training pictures and seconds a run took to reach a score on val, as rows of Markdown.

    python scripts/time_to_score.py --score val/mean_iou=0.6 RUN_FOLDER...

A score counts from the first validation that reached it. Pictures are counted as often as they were shown. Seconds are
the run's own in proportion to its pictures, as all its epochs show as many; they include what was scored on the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from segbench.core.errors import CheckpointError
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.metrics_log import read_metrics
from segbench.runs.results import Results

HEADS = ("run", "score", "pictures", "CPU seconds", "seconds", "best", "of pictures")


@dataclass(frozen=True)
class Reached:
    """When a run reached a score."""

    run: str
    """Its folder's name."""
    share: float | None
    """The part of its epochs that it took; None where it never did."""
    pictures: int
    """What it was trained on from beginning to end, each as often as it was shown."""
    cpu_seconds: float | None
    """What it took from beginning to end; None where nothing counted it."""
    seconds: float
    """The same by the clock."""
    best: float
    """Its best score of all validations."""


def reached(folder: Path, name: str, *, wanted: float) -> Reached:
    """Return when the run in a folder reached a score, larger ones being better.

    Args:
        folder: A completed run.
        name: The score as metrics.csv calls it, such as `val/mean_iou`.
        wanted: What is to be reached.

    Raises:
        CheckpointError: for no completed run, and one that has no such score.
    """
    run = RunFolder(folder)
    results = cast("Results", read_json(run.results))
    epochs = [row for row in read_metrics(run.metrics) if row["split"] == "epoch" and name in row]
    if not results or not epochs:
        raise CheckpointError(f"{folder} is no completed run with {name} in its metrics.csv")
    found = [int(row["epoch"]) + 1 for row in epochs if float(row[name]) >= wanted]
    return Reached(
        run=folder.name,
        share=found[0] / results["epochs"] if found else None,
        pictures=results["images_trained"],
        cpu_seconds=results.get("cpu_seconds"),
        seconds=results["seconds"],
        best=max(float(row[name]) for row in epochs),
    )


def row(one: Reached, score: str) -> str:
    """Return the row of Markdown."""
    return "| " + " | ".join([one.run, score, *_costs(one), f"{one.best:.3f}", f"{one.pictures:,}"]) + " |"


def _costs(one: Reached) -> list[str]:
    if one.share is None:
        return ["never", "-", "-"]
    costs = [f"{amount * one.share:,.0f}" if amount is not None else "-" for amount in (one.cpu_seconds, one.seconds)]
    return [f"{round(one.pictures * one.share):,}", *costs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", required=True, help="name=value, such as val/mean_iou=0.6")
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
    given = parser.parse_args(arguments)
    name, _, value = given.score.partition("=")
    try:
        wanted = float(value)
    except ValueError:
        parser.error(f"--score must be name=value, such as val/mean_iou=0.6, got {given.score}")
    print("| " + " | ".join(HEADS) + " |")
    print("|" + "---|" * len(HEADS))
    for folder in given.folders:
        try:
            print(row(reached(folder, name, wanted=wanted), given.score))
        except CheckpointError as error:
            parser.error(str(error))


if __name__ == "__main__":
    main()

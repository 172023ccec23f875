"""Measures what scoring costs beside one bincount, in CPU milliseconds of one thread.

python scripts/benchmark_scoring.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from segbench.data.loading.views import EvaluationView
from segbench.inference.forward import Answer
from segbench.metrics.boundary import BoundaryScores
from segbench.metrics.confusion import confusion_counts

CASES = ((8, 360, 480, 11), (2, 1024, 2048, 19))
"""Pictures, height, width and classes."""
ROUNDS = 7


def milliseconds(work: Callable[[], object]) -> float:
    """Return the least CPU time of several rounds."""
    work()
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1000 * min(found)


def smooth_logits(pictures: int, height: int, width: int, classes: int) -> torch.Tensor:
    """Return logits whose classes lie in patches of some 60 pixels, as those of photographs do."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(pictures, classes, height // 60, width // 60, generator=draw)
    return F.interpolate(coarse, (height, width), mode="bicubic")


def figures(pictures: int, height: int, width: int, classes: int) -> dict[str, float]:
    """Return the milliseconds of each part of the scoring of a batch."""
    logits = smooth_logits(pictures, height, width, classes)
    truth = logits.argmax(1).byte()
    guess = truth.roll((2, 3), (1, 2))
    view = EvaluationView((height, width))
    boundary = BoundaryScores([str(number) for number in range(classes)])
    parts = {
        "bincount": lambda: torch.bincount((truth.long() * classes + guess).flatten(), minlength=classes**2),
        "ids of logits": lambda: [Answer({"mask": one[None]}, view, (height, width)).ids() for one in logits],
        "confusion": lambda: confusion_counts(guess, truth, classes=classes),
        "boundary": lambda: boundary.update(guess, truth),
    }
    return {name: milliseconds(part) for name, part in parts.items()}


def main() -> None:
    """Print a line for each case."""
    torch.set_num_threads(1)
    for case in CASES:
        told = ", ".join(f"{name} {value:.1f}" for name, value in figures(*case).items())
        print(f"{case[0]} x {case[1]} x {case[2]}, {case[3]} classes: {told} ms")


if __name__ == "__main__":
    main()

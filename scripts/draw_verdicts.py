"""Draws the picture of docs/verdicts.md: one sweep of settings that are truly equal, looked at in two ways.

python -m scripts.draw_verdicts docs/images/verdicts.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from scripts.simulate_verdicts import SCORE, World, counts
from segbench.compare.influence import influence
from segbench.compare.seeds import Layout
from segbench.compare.selection import chosen_setting

SETTINGS, SEEDS, TRIAL = 12, 3, 5
BLUE, GREY, RED = "#2a6f97", "#8d99ae", "#c44536"


def main() -> None:
    """Draw the sweep into the file that the command line names."""
    world, draw = World("crossed"), np.random.default_rng(TRIAL)
    luck = draw.normal(0, world.seed, (SETTINGS, SEEDS))
    layout = Layout(tuple(np.arange(SETTINGS * SEEDS).reshape(SETTINGS, SEEDS)))
    splits = []
    for _ in range(2):
        table, design = counts(world, draw, luck)
        splits.append(influence(table, SCORE, design=design))
    test, val = splits
    found = chosen_setting(test, val, layout=layout)
    scores = test.scores.reshape(SETTINGS, SEEDS)
    plt.rcParams["svg.hashsalt"] = "verdicts"
    plt.rcParams["font.size"] = 9
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    _scores(left, scores)
    _differences(right, found.value, found.half, found.control)
    figure.savefig(Path(sys.argv[1]), metadata={"Date": None})


def _scores(axes: Axes, scores: np.ndarray) -> None:
    order = scores.mean(axis=1).argsort()
    for place, number in enumerate(order):
        best = number == order[-1]
        axes.plot(scores[number], [place] * SEEDS, "o", color=RED if best else GREY, markersize=4, alpha=0.7)
        axes.plot(scores[number].mean(), place, "|", color=RED if best else "black", markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(order)), [f"setting {number + 1}" for number in order])
    axes.set_xlabel("test mean IoU of three seeds, and their mean")
    axes.set_title("Twelve equal settings, ranked by the test:\nthe first is the luckiest", loc="left", fontsize=10)


def _differences(axes: Axes, value: np.ndarray, half: np.ndarray, control: int) -> None:
    order = [number for number in value.argsort() if number != control]
    axes.axvline(0, color=RED, linewidth=1)
    axes.errorbar(value[order], range(len(order)), xerr=half[order], fmt="o", color=BLUE, markersize=4, capsize=2)
    axes.set_yticks(range(len(order)), [f"setting {number + 1}" for number in order])
    axes.set_xlabel(f"test mean IoU less that of setting {control + 1}, which val chose")
    axes.set_title("The same runs, judged together:\nall may be as good as the chosen one", loc="left", fontsize=10)


if __name__ == "__main__":
    main()

"""Curves of a run and its confusion matrix, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.core.score_names import without_size
from segbench.runs.metrics_log import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, str | int | float]

MOST_NUMBERED = 32
"""Classes up to which a confusion matrix has its numbers written into it."""


def draw_curves(metrics: Path, folder: Path) -> None:
    """Write `loss.png`, and `iou.png` and `depth.png` as far as the task has them, from a run's metrics.csv."""
    read = (row for row in read_metrics(metrics) if row["split"] == "epoch")
    rows = [{without_size(name): value for name, value in row.items()} for row in read]
    if not rows:
        return
    names = sorted({str(name) for row in rows for name in row})
    classes = [name for name in names if name.startswith("val/iou/")]
    _lines(rows, ["train/loss", "val/loss"], label="loss", path=folder / "loss.png")
    if "val/mean_iou" in names:
        _lines(rows, ["val/mean_iou", *classes], label="IoU", path=folder / "iou.png", top=1.0)
    if "val/depth/rmse" in names:
        _lines(rows, ["val/depth/rmse", "val/depth/mae"], label="depth", path=folder / "depth.png")


def _lines(rows: Sequence[Row], names: Sequence[str], *, label: str, path: Path, top: float | None = None) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = 7
    height = max(4, 0.3 * len(names))  # room for the legend
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    # margins in inches: a layout engine would draw everything twice, which takes longer than a short run's last epoch
    left = 0.75 / width
    right = 1 - 0.15 / width
    bottom = 0.5 / height
    top_edge = 1 - 0.15 / height
    axes = figure.add_axes((left, bottom, right - left, top_edge - bottom))
    for name in names:
        points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if name in row]
        if points:
            wide = 2.5 if name in ("val/mean_iou", "val/loss", "train/loss") else 1.0
            axes.plot(*zip(*points, strict=True), label=name, linewidth=wide, marker="." if len(points) < 40 else None)
    axes.set(xlabel="epoch", ylabel=label)
    if top is not None:
        axes.set_ylim(0, top)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


def draw_confusion(counts: np.ndarray, classes: Sequence[str], *, path: Path) -> None:
    """Write the confusion matrix as PNG: each row is a true class, in per cent of its pixels.

    Of more than `MOST_NUMBERED` classes, cells are coloured alone: with the numbers of 150 classes the picture would
    have 90 million pixels, and take a minute.

    Args:
        counts: int64 `[C, C]`, rows truth, columns prediction.
        classes: Names of the classes.
        path: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    numbered = len(classes) <= MOST_NUMBERED
    side = 3.5 + (0.55 if numbered else 0.14) * len(classes)  # room for the names
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    ticks = range(len(classes))
    size = 10 if numbered else 7
    axes.set_xticks(
        ticks, classes, rotation=60 if numbered else 90, ha="right" if numbered else "center", fontsize=size
    )
    axes.set_yticks(ticks, classes, fontsize=size)
    axes.set(xlabel="prediction", ylabel="truth")
    if numbered:
        _write_numbers(axes, share)
    figure.savefig(path, dpi=110)


def _write_numbers(axes: Axes, share: np.ndarray) -> None:
    for row in range(len(share)):
        for column in range(len(share)):
            ink = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{100 * share[row, column]:.1f}", ha="center", va="center", color=ink, fontsize=8)

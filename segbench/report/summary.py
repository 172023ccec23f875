"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS = ("iou", "dice", "accuracy")
SHORT = {"iou": "IoU", "dice": "Dice", "accuracy": "acc"}
MEANS = {"iou": "mean_iou", "dice": "mean_dice", "accuracy": "mean_accuracy"}


DEPTH = {"depth/rmse": "RMSE", "depth/mae": "MAE", "depth/abs_rel": "abs rel", "depth/delta1": "delta < 1.25",
         "depth/ssim": "SSIM"}  # fmt: skip


def print_summary(
    console: Console, results: Mapping[str, Any], classes: Sequence[str], title: str = "scores of the best epoch"
) -> None:
    """Print IoU, Dice and accuracy by class, and depth scores, as far as there are any, for val and test."""
    metrics = results["metrics"]
    if splits := [split for split in ("val", "test") if f"{split}/mean_iou" in metrics]:
        table = _table(title, "class", [f"{split} {SHORT[column]}" for split in splits for column in COLUMNS])
        for name in classes:
            table.add_row(name, *(_cell(metrics, f"{s}/{c}/{name}") for s in splits for c in COLUMNS))
        table.add_section()
        table.add_row("mean", *(_cell(metrics, f"{s}/{MEANS[c]}") for s in splits for c in COLUMNS), style="bold")
        console.print(table)
    if splits := [split for split in ("val", "test") if f"{split}/depth/rmse" in metrics]:
        table = _table(title, "depth", splits)
        for name, label in DEPTH.items():
            table.add_row(label, *(_cell(metrics, f"{split}/{name}") for split in splits))
        console.print(table)


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics.get(name, {}).get("best")
    return "-" if value is None else f"{value:.4f}"

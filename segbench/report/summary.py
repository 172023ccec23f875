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


def print_summary(console: Console, results: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Print IoU, Dice and accuracy by class for val and test, and what the run cost."""
    metrics = results["metrics"]
    splits = [split for split in ("val", "test") if f"{split}/mean_iou" in metrics]
    table = Table(title="scores of the best epoch", title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD)
    table.add_column("class")
    for split in splits:
        for column in COLUMNS:
            table.add_column(f"{split} {SHORT[column]}", justify="right", no_wrap=True)
    for name in classes:
        table.add_row(name, *(_cell(metrics, f"{s}/{c}/{name}") for s in splits for c in COLUMNS))
    table.add_section()
    table.add_row("mean", *(_cell(metrics, f"{s}/{MEANS[c]}") for s in splits for c in COLUMNS), style="bold")
    console.print(table)


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics.get(name, {}).get("best")
    return "-" if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as `45 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"

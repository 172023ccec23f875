"""The table of `data check`: what each split consists of, by class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from segbench.core.text import say


def print_data_table(console: Console, report: Mapping[str, Any]) -> None:
    """Print share of pixels and number of pictures by class and split, and notes on what is missing.

    Args:
        console: Where to print.
        report: As `segbench data check` writes it to JSON.
    """
    splits = report["splits"]
    table = Table(title="share of pixels, and pictures with it", title_justify="left", pad_edge=False)
    table.box = box.SIMPLE_HEAD
    table.add_column("id", justify="right")
    table.add_column("class")
    for split in splits:
        table.add_column(f"{split} %", justify="right", no_wrap=True)
        table.add_column("pictures", justify="right", no_wrap=True)
    for number, name in enumerate(report["classes"]):
        cells = [cell for split in splits.values() for cell in _cells(split["classes"][name])]
        table.add_row(str(number), name, *cells)
    table.add_section()
    table.add_row("255", "void", *(cell for split in splits.values() for cell in _cells(split["void"])))
    table.add_row("", "all", *(cell for split in splits.values() for cell in ("", f"{split['looked_at']:,}")))
    console.print(table)
    for line in notes(report):
        say(console, line)


def _cells(entry: Mapping[str, Any]) -> tuple[str, str]:
    if entry["pictures"]:
        return (f"{100 * entry['share']:.2f}", str(entry["pictures"]))
    return ("-", "-")


def notes(report: Mapping[str, Any]) -> list[str]:
    """Return what the table does not show: the splits, classes that never occur, colours and repetitions."""
    lines = []
    for name, split in report["splits"].items():
        looked = ""
        if split["looked_at"] != split["samples"]:
            looked = f"; the first {split['looked_at']:,} are looked at"
        lines.append(f"{name}: {split['describe']}{looked}")
        if split["never"]:
            lines.append(f"{name}: never occurs: {', '.join(split['never'])}")
        if split["repeated"]:
            lines.append(f"{name}: {split['repeated']} pictures repeat another one of this split")
    training = report["train"]
    lines += training["notes"]
    channels = "red, green, blue"
    if training["bands"] is not None:
        channels = f"bands {_joined(training['bands'])}"
    for word in ("mean", "std"):
        measured = _joined(f"{value:.4f}" for value in training[word])
        declared = training[f"declared_{word}"]
        said = "null: this is used"
        if declared is not None:
            said = _joined(f"{value:.4f}" for value in declared)
        lines.append(f"train {word} of {channels}: {measured} (data.{word} is {said})")
    return lines


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))

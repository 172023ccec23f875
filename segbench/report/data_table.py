"""The table of `data check`: what each split consists of, by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from rich import box
from rich.console import Console
from rich.table import Table

from segbench.core.plain import Plain
from segbench.core.text import say


class Occurrence(TypedDict):
    """How much of a split is of a class, or is void."""

    pixels: int
    """Its pixels."""
    share: float
    """Their share of all pixels."""
    pictures: int
    """Pictures that show it."""


class SplitReport(TypedDict):
    """What a split consists of."""

    describe: str
    """The split in words."""
    samples: int
    """How many samples it has."""
    looked_at: int
    """How many of them were counted."""
    classes: dict[str, Occurrence]
    """By name."""
    void: Occurrence
    """What no class is given for."""
    never: list[str]
    """Classes that do not occur."""
    outside: dict[int, int]
    """Pixels of ids that are no class, by id."""
    repeated: int
    """Pictures that repeat another one of the split."""


class TrainingReport(TypedDict):
    """What the training split says about the data set."""

    mean: list[float]
    """Measured, by channel."""
    std: list[float]
    """Likewise."""
    declared_mean: list[float] | None
    """That of the configuration; None where the measured one is used."""
    declared_std: list[float] | None
    """Likewise."""
    bands: Sequence[int] | None
    """The bands that are used; None for red, green and blue."""
    values: Plain | None
    """What the values of the files are."""
    notes: list[str]
    """Remarks on the data."""
    median_frequency_weights: dict[str, float]
    """A weight for each class that a loss may be given."""


class DataReport(TypedDict, total=False):
    """What `segbench data check` writes."""

    data: str
    """The class of the data set."""
    classes: list[str]
    """Names of the classes."""
    size: list[int]
    """Height and width in pixels."""
    splits: dict[str, SplitReport]
    """By name; empty where nothing could be read."""
    problems: list[str]
    """What is wrong with the data."""
    notes: list[str]
    """What is not wrong, but has to be known."""
    train: TrainingReport
    """Of the training split, where it could be read."""


def print_data_table(console: Console, report: DataReport) -> None:
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


def _cells(entry: Occurrence) -> tuple[str, str]:
    if entry["pictures"]:
        return (f"{100 * entry['share']:.2f}", str(entry["pictures"]))
    return ("-", "-")


def notes(report: DataReport) -> list[str]:
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
    figures = {
        "mean": (training["mean"], training["declared_mean"]),
        "std": (training["std"], training["declared_std"]),
    }
    for word, (found, declared) in figures.items():
        measured = _joined(f"{value:.4f}" for value in found)
        said = "null: this is used"
        if declared is not None:
            said = _joined(f"{value:.4f}" for value in declared)
        lines.append(f"train {word} of {channels}: {measured} (data.{word} is {said})")
    return lines


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))

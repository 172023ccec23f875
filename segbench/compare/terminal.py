"""A comparison on the terminal. Everything that stems from run folders is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segbench.compare.across import across_table
from segbench.compare.comparison import Comparison
from segbench.compare.tables import (
    COST_HEADS,
    FRONT,
    FRONT_HEAD,
    answer_sentences,
    group_table,
    interval_legend,
    run_words,
)
from segbench.compare.text import printable
from segbench.core.states import RunState

STYLES = {
    RunState.BROKEN: "red",
    RunState.FAILED: "red",
    RunState.RUNNING: "cyan",
    RunState.QUEUED: "cyan",
    RunState.INTERRUPTED: "yellow",
    RunState.PRUNED: "dim",
}
MAX_SENTENCES = 20
"""Verdicts that are written out."""
MAX_OTHERS = 50
"""Runs without final numbers that are listed one by one."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table of groups, the runs without final numbers, the verdicts and the notes."""
    if comparison.groups:
        _print_groups(console, comparison)
        _say(console, f"{interval_legend(comparison)}\n{FRONT}", style="dim")
    else:
        _say(console, "no completed runs")
    if comparison.others:
        console.print(_others(comparison))
        if len(comparison.others) > MAX_OTHERS:
            _say(console, f"and {len(comparison.others) - MAX_OTHERS} more; --format csv or json lists them all")
    if comparison.across:
        heads, rows = across_table(comparison.across)
        table = _table(heads, {0})
        for cells in rows:
            table.add_row(*(Text(printable(cell, 60)) for cell in cells))
        console.print(table)
    for sentence in [*answer_sentences(comparison), *(v.sentence for v in comparison.verdicts[:MAX_SENTENCES])]:
        _say(console, printable(sentence, 1000))
    if len(comparison.verdicts) > MAX_SENTENCES:
        _say(console, f"and {len(comparison.verdicts) - MAX_SENTENCES} more; --format json has them all")
    for note in comparison.notes:
        _say(console, f"note: {printable(note, 1000)}", style="yellow")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def _print_groups(console: Console, comparison: Comparison) -> None:
    """Print one table, or quality and costs below each other where they do not fit side by side."""
    heads, rows = group_table(comparison)
    rows = [[printable(cell, 60) for cell in cells] for cells in rows]
    settings = range(1, 1 + len(comparison.columns))
    folding = {*settings, len(heads) - 1, len(heads) - 2}
    width = sum(max(len(cells[place]) for cells in (heads, *rows)) + 1 for place in range(len(heads)))
    costs = [place for place, head in enumerate(heads) if head in (*COST_HEADS.values(), FRONT_HEAD, "sd")]
    parts: list[list[int]] = [list(range(len(heads)))]
    if width > console.width:
        parts = [[place for place in parts[0] if place not in costs], [0, *settings, *costs]]
    for places in parts:
        table = _table([heads[place] for place in places], {k for k, place in enumerate(places) if place in folding})
        for group, cells in zip(comparison.groups, rows, strict=True):
            table.add_row(*(Text(cells[place]) for place in places), style="bold" if group.best else "")
        console.print(table)


def _others(comparison: Comparison) -> Table:
    table = _table(["run", "state", "settings", "why"], {0, 1, 2, 3})
    for run in comparison.others[:MAX_OTHERS]:
        cells = [run.name, run.state, run_words(comparison, run), run.error]
        texts = [Text(printable(cell, 200)) for cell in cells]
        texts[1].stylize(STYLES.get(run.state, ""))
        table.add_row(*texts)
    return table


def _table(heads: Sequence[str], folding: set[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads):
        text = Text(printable(head, 80))
        if number in folding:
            table.add_column(text, overflow="fold")
        else:
            table.add_column(text, justify="right", no_wrap=True)
    return table

"""A comparison on the terminal. Everything that stems from run folders is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segbench.compare.across import Across, across_table
from segbench.compare.comparison import Comparison
from segbench.compare.labels import shorten, shorten_apart
from segbench.compare.layout import blocks, gap
from segbench.compare.tables import (
    FRONT,
    FRONT_HEAD,
    INTERVAL_HEAD,
    answer_sentences,
    interval_legend,
    run_words,
    verdict_sentences,
)
from segbench.core.states import RunState
from segbench.core.text import printable, say

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
ROOM_FOR_SETTINGS = 120
"""Characters in a line from which on runs without numbers show their settings beside their name."""
LEAST_NAME = 20
"""Characters of the name of settings in a table over data sets, or a third of the line."""
MAX_OTHERS = 50
"""Runs without final numbers that are listed one by one."""


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table of groups, the runs without final numbers, the verdicts and the notes."""
    if comparison.groups:
        _print_groups(console, comparison)
    else:
        _say(console, "no completed runs")
    if comparison.others:
        console.print(_others(console, comparison))
        if len(comparison.others) > MAX_OTHERS:
            _say(console, f"and {len(comparison.others) - MAX_OTHERS} more; --format csv or json lists them all")
    if comparison.across:
        _print_across(console, comparison.across)
    for sentence in [*answer_sentences(comparison), *verdict_sentences(comparison)[:MAX_SENTENCES]]:
        _say(console, printable(sentence, 1000))
    if len(comparison.verdicts) > MAX_SENTENCES:
        _say(console, f"and {len(comparison.verdicts) - MAX_SENTENCES} more; --format json has them all")
    for note in comparison.notes:
        _say(console, f"note: {printable(note, 1000)}", style="yellow")


def _say(console: Console, line: str, *, style: str = "") -> None:
    say(console, line, style=style)


def _print_groups(console: Console, comparison: Comparison) -> None:
    """Print a table for each data set, every row one line, and what the columns mean."""
    legends: list[str] = []
    for block in blocks(comparison, console.width):
        if block.title:
            _say(console, printable(block.title, 1000))
        heads = ["\n".join(column.head_lines) for column in block.columns]
        left = [column.left for column in block.columns]
        table = _table(heads, left, width=console.width)
        for row, bold in enumerate(block.bold):
            table.add_row(*(Text(column.cells[row]) for column in block.columns), style="bold" if bold else "")
        console.print(table)
        if block.dropped:
            names = ", ".join(block.dropped)
            _say(console, f"no room for {names}: a wider terminal or --format csv has them", style="dim")
        shown = [column.head for column in block.columns]
        legends += [interval_legend(comparison)] * (INTERVAL_HEAD in shown) + [FRONT] * (FRONT_HEAD in shown)
    for legend in dict.fromkeys(legends):
        _say(console, legend, style="dim")


def _print_across(console: Console, across: Across) -> None:
    heads, rows = across_table(across)
    most = max(LEAST_NAME, console.width // 3)
    plain = [[printable(cell, 300) for cell in column] for column in zip(heads, *rows, strict=True)]
    columns = [shorten_apart(column, most) for column in plain]
    for some in _fitting(columns, console.width):
        first, *others = zip(*some, strict=True)
        table = _table(first, [place == 0 for place in range(len(first))], width=console.width)
        for cells in others:
            table.add_row(*map(Text, cells))
        console.print(table)


def _fitting(columns: Sequence[Sequence[str]], width: int) -> Iterator[list[Sequence[str]]]:
    """Yield columns that fit a line beside the first one, which each of these tables has."""
    name, *rest = columns
    some = [name]
    for column in rest:
        used = sum(max(map(len, one)) + gap(width) for one in (*some, column))
        if used > width and len(some) > 1:
            yield some
            some = [name]
        some.append(column)
    yield some


def _others(console: Console, comparison: Comparison) -> Table:
    """Return the runs without final numbers, one line each; settings where there is room for them."""
    if console.width < ROOM_FOR_SETTINGS:
        heads = ["state", "run", "why"]
    else:
        heads = ["state", "run", "settings", "why"]
    room = (console.width - 12) // (len(heads) - 1) - 1
    table = _table(heads, [True] * len(heads), width=console.width)
    for run in comparison.others[:MAX_OTHERS]:
        words = {"state": run.state, "run": run.name, "settings": run_words(comparison, run), "why": run.error}
        whys = sum(bool(one.error) for one in comparison.others)
        cells = [shorten(printable(words[head], 300), room if whys else 2 * room) for head in heads]
        table.add_row(Text(cells[0], style=STYLES.get(run.state, "")), *map(Text, cells[1:]))
    return table


def _table(heads: Sequence[str], left: Sequence[bool], *, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap(width) - 1, 0, 0), show_edge=False)
    for head, to_left in zip(heads, left, strict=True):
        lines = [printable(line, 80) for line in head.split("\n")]
        table.add_column(Text("\n".join(lines)), justify="left" if to_left else "right", no_wrap=True)
    return table

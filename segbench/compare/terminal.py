"""A comparison on the terminal. Everything that stems from run folders is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

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
from segbench.compare.text_table import text_table
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
        _print_others(console, comparison)
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
        cells = [column.cells for column in block.columns]
        styles = [("bold", "bold") if bold else ("", "") for bold in block.bold]
        _print_table(console, heads, columns=cells, left=[column.left for column in block.columns], styles=styles)
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
        left = [place == 0 for place in range(len(some))]
        _print_table(console, [one[0] for one in some], columns=[one[1:] for one in some], left=left)


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


def _print_others(console: Console, comparison: Comparison) -> None:
    """Print the runs without final numbers, one line each; settings where there is room for them."""
    if console.width < ROOM_FOR_SETTINGS:
        heads = ["state", "run", "why"]
    else:
        heads = ["state", "run", "settings", "why"]
    shown = comparison.others[:MAX_OTHERS]
    room = (console.width - 12) // (len(heads) - 1) - 1
    if not any(run.error for run in comparison.others):
        room *= 2
    columns: dict[str, list[str]] = {head: [] for head in heads}
    for run in shown:
        words = {"state": run.state, "run": run.name, "settings": run_words(comparison, run), "why": run.error}
        for head, cells in columns.items():
            cells.append(shorten(printable(words[head], 300), room))
    styles = [(STYLES.get(run.state, ""), "") for run in shown]
    _print_table(console, heads, columns=list(columns.values()), left=[True] * len(heads), styles=styles)


def _print_table(
    console: Console,
    heads: Sequence[str],
    *,
    columns: Sequence[Sequence[str]],
    left: Sequence[bool],
    styles: Sequence[tuple[str, str]] = (),
) -> None:
    titles = ["\n".join(printable(line, 80) for line in head.split("\n")) for head in heads]
    plain = styles or [("", "")] * len(columns[0])
    width = console.width
    table = text_table(titles, columns, left=left, gap=gap(width), width=width, styles=plain)
    console.print(table, soft_wrap=True)

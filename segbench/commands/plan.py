"""`plan`: how many seeds and units it takes to see a difference, from the runs so far. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from segbench.compare.comparison import compare_runs
from segbench.compare.layout import gap
from segbench.compare.planning import plan_sentences, plan_table
from segbench.compare.text_table import text_table
from segbench.core.errors import ConfigError
from segbench.core.text import printable, say


def plan_runs(
    folders: Sequence[str],
    difference: float,
    *,
    power: float = 0.8,
    metric: str | None = None,
    filters: Sequence[str] = (),
    console: Console,
) -> None:
    """Print what it takes to see a difference between settings such as those below the folders.

    Args:
        folders: Run folders or folders with runs below.
        difference: In units of the metric.
        power: How often it is to be seen, in 0.5 to 1.
        metric: Such as `test/iou/road`; by default as in `compare`.
        filters: Conditions on the runs, as in `compare`.
        console: Where it is printed.

    Raises:
        ConfigError: for a number out of range, or where no runs can be compared.
    """
    if not 0 < difference < float("inf"):
        raise ConfigError(f"--difference must be positive, such as 0.01, got {difference:g}")
    if not 0.5 <= power <= 0.999:
        raise ConfigError(f"--power must lie in 0.5 to 0.999, such as 0.8, got {power:g}")
    found = compare_runs(list(folders), metric=metric, filters=filters)
    if not found.answers:
        raise ConfigError(
            "nothing to plan with: no completed runs there can be compared; run two settings with three seeds each"
        )
    several = len(found.answers) > 1
    for answer in found.answers:
        if several:
            _say(console, f"data {found.data_labels[answer.control.data]}: {answer.control.short_label}")
        sentences = plan_sentences(answer, difference, power=power)
        for text in sentences:
            _say(console, text)
        if len(sentences) > 1:
            heads, rows = plan_table(answer, power)
            _say(console, f"smallest difference of {found.metric} that is seen in {power:.0%} of comparisons:")
            _print(console, heads, rows=rows)


def _say(console: Console, text: str) -> None:
    say(console, printable(text, 1000))


def _print(console: Console, heads: Sequence[str], *, rows: Sequence[Sequence[str]]) -> None:
    columns = list(zip(*rows, strict=True))
    right = [False] * len(heads)
    width = console.width
    table = text_table(heads, columns, left=right, gap=gap(width), width=width, styles=[("", "")] * len(rows))
    console.print(table, soft_wrap=True)

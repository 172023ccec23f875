"""Which of many runs the parts of the report that need much room show."""

from __future__ import annotations

from itertools import zip_longest

from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group
from segbench.compare.labels import setting_words, short_names
from segbench.compare.runs import Run
from segbench.compare.tables import run_words
from segbench.core.text import printable


def best_of_groups(comparison: Comparison, most: int) -> list[Run]:
    """Return the best run of each of the first `most` groups, best first."""
    return [group.runs[0] for group in comparison.groups[:most]]


def by_rank(comparison: Comparison) -> list[Run]:
    """Return every group's best run, then every second best, and so on; runs without final numbers come last."""
    rounds = zip_longest(*(group.runs for group in comparison.groups))
    ranked = [run for one in rounds for run in one if run is not None]
    return [*ranked, *(run for run in comparison.others if run.state != "broken")]


def run_label(comparison: Comparison, run: Run) -> str:
    """Return what tells a run apart, as one printable line of short names."""
    return printable(run_words(comparison, run, short=True) or run.name, 160)


def group_label(comparison: Comparison, group: Group) -> str:
    """Return what tells a group apart, as one printable line of short names."""
    names = short_names(comparison.columns)
    words = [
        f"{name}={setting_words(value)}" for name, value in zip(names, group.settings.values(), strict=True) if value
    ]
    return printable(" ".join(words) or group.label, 160)

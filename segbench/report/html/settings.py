"""The settings of all runs, packed: what the first has, and of each other one only what differs."""

from __future__ import annotations

from segbench.compare.comparison import Comparison
from segbench.compare.text import LONGEST
from segbench.core.plain import Plain
from segbench.core.text import printable


def settings_data(comparison: Comparison) -> Plain:
    """Return `base` (settings by name) and `runs` (by number: what is otherwise, null for what is not there).

    Broken runs have no settings and are left out.
    """
    base: dict[str, str] = next((run.settings for run in comparison.runs if run.settings), {})
    others: dict[int, dict[str, str | None]] = {}
    for number, run in enumerate(comparison.runs):
        if run.settings:
            changed = {name: value for name, value in run.settings.items() if base.get(name) != value}
            gone = [name for name in base if name not in run.settings]
            others[number] = {_text(name): _text(value) for name, value in changed.items()}
            others[number].update({_text(name): None for name in gone})
    return {"base": {_text(name): _text(value) for name, value in base.items()}, "runs": others}


def _text(value: str) -> str:
    return printable(value, LONGEST)

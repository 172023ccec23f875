"""What a word lacks where there are too few repeats, and which runs would do."""

from __future__ import annotations

from segbench.compare.family import Family
from segbench.compare.seeds import MIN_FREEDOM
from segbench.compare.simultaneous import Simultaneous


def lacking(family: Family, found: Simultaneous, *, number: int) -> str:
    """Return what a word on a setting beside the control lacks and what to run for it, "" where nothing is."""
    spread = found.spread
    repeats = spread.repeats(number, found.control)
    if repeats >= MIN_FREEDOM:
        return ""
    return f"{repeats} of the {MIN_FREEDOM} repeats that a word needs; {_to_run(family, found, number=number)}"


def _to_run(family: Family, found: Simultaneous, *, number: int) -> str:
    seeds = found.spread.seeds
    missing = MIN_FREEDOM - seeds.freedom
    if missing <= 0:
        odd = [one for one in (number, found.control) if found.spread.repeats(one, one) < MIN_FREEDOM]
        each = [
            f"{_more(MIN_FREEDOM - found.spread.repeats(one, one), 'seed')} of {family.groups[one].short_label}"
            for one in odd
        ]
        return f"run {' and '.join(each)}"
    if family.blocks is None:
        return f"{_more(missing, 'run')} in all will do, of any settings here with other seeds"
    rounds = -(-missing // (len(family.groups) - 1))  # each adds a repeat of every setting but one
    if family.blocks.draws:
        return f"run every setting on {_more(rounds, 'draw')} of the data (data.seed)"
    return f"run every setting with {_more(rounds, 'seed')}, or with {_more(rounds, 'value')} of what else varies"


def _more(count: int, what: str) -> str:
    return f"{count} more {what}{'s' * (count > 1)}"

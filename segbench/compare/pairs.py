"""Runs of different groups that are compared one by one, as they share all that is not asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.files import Unusable
from segbench.compare.groups import Group, Identity, Measure
from segbench.compare.runs import Run
from segbench.compare.settings import REPLICATIONS, differing, draw_of


@dataclass(frozen=True, eq=False)
class Blocks:
    """What pairs of runs share."""

    words: str
    """Such as `over 4 values of optimizer.lr, 1 seed each`."""
    left_out: tuple[str, ...] = ()
    """Blocks that some group lacks."""
    draws: tuple[int, ...] = ()
    """Which draw of the data each pair is of, from 0; empty where all have the same data."""


def pair_runs(groups: Sequence[Group], measure: Measure, *, by: Sequence[str]) -> tuple[list[list[Run]], Blocks | None]:
    """Return the runs of each group, the same blocks at the same places where they are paired.

    Runs are paired where they differ in settings that `--by` does not name, or were made on several draws of the data.

    Args:
        groups: Groups of the same data that can be compared.
        measure: What is reported and what is chosen by.
        by: The settings that groups differ in, empty for all but replications.

    Raises:
        Unusable: if no block is in all groups.
    """
    runs = [_counting(group, measure) for group in groups]
    draws = any("+" in (group.data or "") for group in groups)
    varied = []
    if by:
        varied = [name for name in _varied(runs) if name not in by]
    if not draws and (len(groups) < 2 or not varied):
        return runs, None
    names = by or list(groups[0].settings)
    shared = (*varied, *REPLICATIONS)
    keys = [{_key(run, shared): run for run in members} for members in runs]
    common = [key for key in keys[0] if all(key in one for one in keys)]
    everything = list(dict.fromkeys(key for one in keys for key in one))
    if not common:
        raise Unusable(f"no other settings and seed were run with every value of {', '.join(names)}")
    left_out = tuple(_key_words(key, varied or REPLICATIONS) for key in everything if key not in common)
    paired = [[one[key] for key in common] for one in keys]
    if not draws:
        return paired, Blocks(_block_words(common, varied), left_out)
    found = [draw_of(run.settings) for run in paired[0]]
    numbers = {draw: number for number, draw in enumerate(dict.fromkeys(found))}
    words = f"over {len(numbers)} draws of the data, {_each(len(common) / len(numbers), 'run')}"
    return paired, Blocks(words, left_out, tuple(numbers[draw] for draw in found))


def _counting(group: Group, measure: Measure) -> list[Run]:
    """Return the runs of a group that count, in the order of their seeds: those with both scores, if any has both."""
    scored = [run for run in group.runs if measure.metric in run.metrics]
    both = [run for run in scored if measure.chosen_by in run.metrics]
    return sorted(both or scored, key=lambda run: (_natural(run.settings.get("seed", "")), run.path))


def _natural(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _varied(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Return the settings besides replications in which runs of one group differ."""
    return list(dict.fromkeys(name for runs in groups for name in differing([run.settings for run in runs])))


def _key(run: Run, names: Sequence[str]) -> Identity:
    return tuple((name, run.settings.get(name, "")) for name in names)


def _block_words(common: Sequence[Identity], varied: Sequence[str]) -> str:
    """Return `over 4 values of optimizer.lr, 1 seed each`."""
    found = [dict(key) for key in common]
    places = {tuple(one.get(name, "") for name in varied) for one in found}
    if len(varied) == 1:
        what = f"values of {varied[0]}"
    else:
        what = f"combinations of {', '.join(varied)}"
    return f"over {len(places)} {what}, {_each(len(found) / len(places), 'seed')}"


def _each(count: float, what: str) -> str:
    number = f"{count:.3g}"
    return f"{number} {what}{'s' * (number != '1')} each"


def _key_words(key: Identity, names: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in key if name in (*names, "seed") and value)

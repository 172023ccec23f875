"""Runs of different groups that are compared one by one, as they share all that is not asked about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.files import Unusable
from segbench.compare.groups import Group, Identity, Measure, families
from segbench.compare.runs import Run
from segbench.compare.seeds import MIN_FREEDOM
from segbench.compare.settings import REPLICATIONS, differing, draw_of


@dataclass(frozen=True, eq=False)
class Blocks:
    """What pairs of runs share."""

    words: str
    """Such as `over 4 values of optimizer.lr, 1 seed each`."""
    draws: tuple[int, ...] = ()
    """Which draw of the data each pair is of, from 0; empty where all have the same data."""


def share_blocks(groups: Sequence[Group], measure: Measure, *, by: Sequence[str]) -> bool:
    """Keep, of groups that are compared in pairs, the runs in blocks that all of their data have, so means compare.

    A setting that was only tried where scores are good would else come first. A group that has so few of the others'
    blocks that nothing could be said of any is set apart.

    Args:
        groups: Groups of any data.
        measure: What is reported and what is chosen by.
        by: The settings that groups differ in, empty for all but replications.

    Returns:
        Whether anything was left out.
    """
    before = [group.runs for group in groups]
    for same in families(groups):
        fitting = [group for group in same if group.runs[0].classes == same[0].runs[0].classes]
        runs = [_counting(group, measure) for group in fitting]
        varied = _varied(runs, by)
        if len(fitting) > 1 and (varied or _has_draws(fitting)):
            _share(fitting, runs, measure=measure, varied=varied)
    return before != [group.runs for group in groups] or any(group.apart for group in groups)


def _share(groups: Sequence[Group], runs: Sequence[Sequence[Run]], *, measure: Measure, varied: Sequence[str]) -> None:
    found = [{_key(run, (*varied, *REPLICATIONS)): run for run in members} for members in runs]
    together, common = _together(found)
    if not common:
        return
    for number, (group, own) in enumerate(zip(groups, found, strict=True)):
        if number in together:
            left = {key: run for key, run in own.items() if key not in common}
            words = [_key_words(key, varied or REPLICATIONS) for key in left]
            group.leave_out(list(left.values()), words, measure=measure)
        else:
            has = len(common & own.keys())
            group.apart = (
                f"{group.short_label} was run in {has} of the {len(common)} blocks of other settings, seed and data"
                " that the others share, too few for a word on any of them"
            )


def _together(found: Sequence[dict[Identity, Run]]) -> tuple[set[int], set[Identity]]:
    """Return the groups that are compared and the blocks that all of them have.

    All groups, if together they have enough for a word; else without those of the fewest blocks, if that helps.
    """
    order = sorted(range(len(found)), key=lambda number: -len(found[number]))
    common = set(found[order[0]])
    shared = []
    for number in order:
        common = common & found[number].keys()
        shared.append(common)
    for count in range(len(order), 1, -1):
        if (count - 1) * (len(shared[count - 1]) - 1) >= MIN_FREEDOM:
            return set(order[:count]), shared[count - 1]
    return set(order), shared[-1]


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
    draws = _has_draws(groups)
    varied = _varied(runs, by)
    if not draws and (len(groups) < 2 or not varied):
        return runs, None
    keys = [{_key(run, (*varied, *REPLICATIONS)): run for run in members} for members in runs]
    common = [key for key in keys[0] if all(key in one for one in keys)]
    if not common:
        names = by or list(groups[0].settings)
        raise Unusable(f"no other settings and seed were run with every value of {', '.join(names)}")
    paired = [[one[key] for key in common] for one in keys]
    if not draws:
        return paired, Blocks(_block_words(common, varied))
    found = [draw_of(run.settings) for run in paired[0]]
    numbers = {draw: number for number, draw in enumerate(dict.fromkeys(found))}
    words = f"over {len(numbers)} draws of the data, {_each(Counter(found), 'run')}"
    return paired, Blocks(words, tuple(numbers[draw] for draw in found))


def _has_draws(groups: Sequence[Group]) -> bool:
    return any("+" in (group.data or "") for group in groups)


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


def _varied(groups: Sequence[Sequence[Run]], by: Sequence[str]) -> list[str]:
    """Return the settings besides replications and those of `--by` in which runs of one group differ."""
    if not by:
        return []
    found = dict.fromkeys(name for runs in groups for name in differing([run.settings for run in runs]))
    return [name for name in found if name not in by]


def _key(run: Run, names: Sequence[str]) -> Identity:
    return tuple((name, run.settings.get(name, "")) for name in names)


def _block_words(common: Sequence[Identity], varied: Sequence[str]) -> str:
    """Return `over 4 values of optimizer.lr, 1 seed each`."""
    found = [dict(key) for key in common]
    places = Counter(tuple(one.get(name, "") for name in varied) for one in found)
    what = f"combinations of {', '.join(varied)}"
    if len(varied) == 1:
        what = f"values of {varied[0]}"
    return f"over {len(places)} {what}, {_each(places, 'seed')}"


def _each(counts: Counter[tuple[str, ...]], what: str) -> str:
    """Return `1 seed each`, or `2 to 3 seeds each` where blocks have different numbers of them."""
    least = min(counts.values())
    most = max(counts.values())
    number = str(most) if least == most else f"{least} to {most}"
    return f"{number} {what}{'s' * (most > 1)} each"


def _key_words(key: Identity, names: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in key if name in (*names, "seed") and value)

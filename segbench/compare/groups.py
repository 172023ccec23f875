"""Runs that differ only in their seed, taken together, and ordered by the score that they are chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypedDict

from segbench.compare.filters import known_names
from segbench.compare.intervals import Summary, summarize
from segbench.compare.labels import setting_words
from segbench.compare.pareto import pareto_front
from segbench.compare.runs import COSTS, Run
from segbench.compare.settings import REPLICATIONS, draw_of
from segbench.core.errors import ConfigError, nearest
from segbench.core.score_names import at_both_sizes, without_size
from segbench.core.settings import is_experimental
from segbench.core.states import RunState

LOWER_OWN = "_error"
"""What metrics of the user's own end in of which less is better, see `segbench.metrics.own`."""
LOWER = ("depth/rmse", "depth/mae", "depth/abs_rel", "loss")
FRONTS = ("parameters", "flops_per_image", "seconds")
"""Costs that the Pareto front is drawn against."""

Identity = tuple[tuple[str, str], ...]


class _Numbers(TypedDict):
    summary: Summary
    chosen: Summary
    costs: dict[str, float]
    flattered: str
    images: str


@dataclass(frozen=True)
class Measure:
    """The score that is reported, and the one that settings are chosen by."""

    metric: str
    """Such as `test/mean_iou`."""
    chosen_by: str
    """Such as `val/mean_iou`; the same as `metric` where that is of val, or where no run has a score of val."""

    @property
    def split(self) -> str:
        """The split that is reported."""
        return self.metric.partition("/")[0]

    @property
    def sign(self) -> int:
        """-1 where small scores are good."""
        if lower_is_better(self.metric):
            return -1
        return 1


@dataclass(eq=False)
class Group:
    """Completed runs of the same settings but for the seed, or of the same values of `--by`."""

    settings: dict[str, str]
    """The shown settings, "" where there is none."""
    runs: list[Run]
    """Those that count, best first by the score that is chosen by, then those without it."""
    repeats: list[Run]
    """Runs that repeat settings and seed of a newer one, which are left out."""
    unpaired: list[Run] = field(default_factory=list, kw_only=True)
    """Runs in blocks that another group of the same data lacks, which are left out where groups are paired."""
    left_out: tuple[str, ...] = field(default=(), kw_only=True)
    """The blocks of those, in words."""
    apart: str = field(default="", kw_only=True)
    """Why it is not compared with the others of its data, though it has their score; else empty."""
    summary: Summary
    """Of the reported metric."""
    chosen: Summary
    """Of the metric that is chosen by."""
    costs: dict[str, float]
    """Means over the runs."""
    data: str | None
    """Fingerprint of the metric's split (several, joined by `+`, where runs are draws of the data), None if unknown."""
    flattered: str
    """What is said where it was chosen by images that it is reported on, such as `val is the test`, else empty."""
    images: str
    """The number of images behind the score: `400`, `380 to 400`, or "" where unknown."""
    trivial: float | None = None
    """The score of painting the most frequent class everywhere, where the pictures of folds are pooled."""
    lost: dict[str, int] = field(default_factory=dict)
    """Runs of these settings that gave no numbers, by state: failed, pruned."""
    best: bool = False
    """Whether it is the chosen one among the groups of the same data."""
    baseline: bool = False
    """Whether the others are judged against it."""
    shared: tuple[str, ...] = field(default=(), kw_only=True)
    """The settings that all groups of its data have in common."""
    fronts: list[str] = field(default_factory=list)
    """Costs in whose Pareto front it is, among the groups of the same data."""

    def leave_out(self, runs: Sequence[Run], words: Sequence[str], *, measure: Measure) -> None:
        """Count the other runs alone; `words` name what is left out."""
        self.unpaired = list(runs)
        self.left_out = tuple(words)
        left = set(runs)
        self.runs = [run for run in self.runs if run not in left]
        vars(self).update(_numbers(self.runs, measure))

    @property
    def label(self) -> str:
        """What tells it from all others, such as `loss=dice optimizer.lr=0.001 data=fgbg`."""
        return self._label(without=())

    @property
    def short_label(self) -> str:
        """What tells it from the others of its data, for a sentence about these alone: `loss=dice`."""
        return self._label(without=self.shared)

    def _label(self, *, without: Sequence[str]) -> str:
        told = {name: value for name, value in self.settings.items() if value and name not in without}
        words = " ".join(f"{name}={setting_words(value)}" for name, value in told.items())
        if not words and len(self.runs) == 1:
            return self.runs[0].name
        return words or "the one setting"


def labels_apart(first: Group, second: Group) -> tuple[str, str]:
    """Return two groups' labels without the settings that they share, for a sentence about both."""
    names = {**first.settings, **second.settings}
    apart = [name for name in names if first.settings.get(name, "") != second.settings.get(name, "")]
    if not apart:
        return first.label, second.label
    one, other = (
        " ".join(f"{name}={setting_words(group.settings.get(name) or 'none')}" for name in apart)
        for group in (first, second)
    )
    return one, other


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of the metric are better: errors and losses."""
    name = without_size(metric.partition("/")[2])
    return name in LOWER or name.split("/")[0].endswith(LOWER_OWN)


def choose_measure(runs: Sequence[Run], wanted: str | None) -> Measure:
    """Return the metric to compare by: the wanted one, else test mean IoU, or test RMSE where no run has the former.

    Settings are chosen by the same score of val where there is one.

    Raises:
        ConfigError: if runs have metrics, and none has the wanted one.
    """
    names = {name for run in runs for name in run.metrics}
    if wanted is None:
        known = (name for name in at_both_sizes("test/mean_iou", "test/depth/rmse") if name in names)
        wanted = next(known, "test/mean_iou")
    elif names and wanted not in names:
        raise ConfigError(f"--metric: no run has '{wanted}'{nearest(wanted, names)}")
    val = f"val/{wanted.partition('/')[2]}"
    return Measure(wanted, val if val in names else wanted)


def group_runs(runs: Sequence[Run], measure: Measure, *, shown: Sequence[str], by: Sequence[str] = ()) -> list[Group]:
    """Return the groups of completed runs, best first, groups of the same data together.

    Args:
        runs: Any runs; only completed ones are grouped.
        measure: What is reported and what is chosen by.
        shown: The settings that `Group.settings` holds.
        by: Group by these settings alone; by default by all but the seed.
    """
    members: dict[Identity, list[Run]] = {}
    lost: dict[Identity, dict[str, int]] = {}
    for run in runs:
        identity = identify(run, by)
        if run.counts:
            members.setdefault(identity, []).append(run)
        elif run.state in (RunState.FAILED, RunState.PRUNED):
            counted = lost.setdefault(identity, {})
            counted[run.state] = counted.get(run.state, 0) + 1
    groups = [_group(found, measure, shown=shown, by=by) for found in members.values()]
    for group, identity in zip(groups, members, strict=True):
        group.lost = lost.get(identity, {})
    _join_draws(groups)
    return ranked(groups, measure)


def ranked(groups: Sequence[Group], measure: Measure) -> list[Group]:
    """Return groups best first, those of the same data together and the newest data first; marks the best ones."""
    newest: dict[str | None, float] = {}
    for group in groups:
        ends = [run.finished or 0.0 for run in group.runs]
        newest[group.data] = max(newest.get(group.data, 0.0), *ends)
    found = sorted(
        groups,
        key=lambda group: (
            group.data is None,
            -newest[group.data],
            str(group.data),
            bool(group.apart),
            *_worst_last(group.chosen.mean, measure.sign),
            *_worst_last(group.summary.mean, measure.sign),
            group.label,
        ),
    )
    for same in families(found):
        _mark(same, measure)
        shared = [name for name in same[0].settings if len({group.settings.get(name) for group in same}) == 1]
        for group in same:
            group.shared = tuple(shared)
    return found


def families(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Yield the groups of each known data set that have scores."""
    for data in dict.fromkeys(group.data for group in groups):
        same = [group for group in groups if group.data == data and group.summary.mean is not None]
        if data is not None and same:
            yield same


def check_by(runs: Sequence[Run], by: Sequence[str], *, option: str = "--by") -> None:
    """Raise ConfigError for a name in `--by` that no run has."""
    names = known_names(runs) if by else []
    for name in by:
        if name not in names:
            raise ConfigError(f"{option}: no run has a setting '{name}'{nearest(name, names)}")


def setting(run: Run, name: str) -> str:
    """Return a run's setting (or its `name` or `state`) as text, "" where it has none."""
    return {"name": run.name, "state": run.state}.get(name) or run.settings.get(name, "")


def identify(run: Run, by: Sequence[str] = ()) -> Identity:
    """Return what the runs of a group share: the experimental settings but replications, or those of `by`."""
    if by:
        return tuple((name, setting(run, name)) for name in by)
    return _experimental(run, without=REPLICATIONS)


def _experimental(run: Run, without: Sequence[str] = ()) -> Identity:
    settings = run.settings
    return tuple((name, settings[name]) for name in _experimental_names(tuple(settings), tuple(without)))


@lru_cache(maxsize=256)  # thousands of runs have the same few lists of names
def _experimental_names(names: tuple[str, ...], without: tuple[str, ...]) -> list[str]:
    return sorted(name for name in names if name not in without and is_experimental(name))


def _group(found: Sequence[Run], measure: Measure, *, shown: Sequence[str], by: Sequence[str]) -> Group:
    newest: dict[Identity, Run] = {}
    for run in sorted(found, key=lambda run: run.finished or 0.0):
        if by:
            newest[_experimental(run)] = run
        else:  # all else is the same
            newest[tuple((name, run.settings.get(name, "")) for name in REPLICATIONS)] = run
    kept = list(newest.values())
    counting = set(kept)
    kept.sort(key=lambda run: (*_worst_last(run.metrics.get(measure.chosen_by), measure.sign), run.path))
    return Group(
        settings={name: setting(kept[0], name) for name in shown},
        runs=kept,
        repeats=[run for run in found if run not in counting],
        data=_data([run for run in kept if measure.metric in run.metrics], measure.split),
        **_numbers(kept, measure),
    )


def _numbers(runs: Sequence[Run], measure: Measure) -> _Numbers:
    """Return what a group holds of the runs that count."""
    scored = [run for run in runs if measure.metric in run.metrics]
    return {
        "summary": summarize([run.metrics[measure.metric] for run in scored]),
        "chosen": summarize([run.metrics[measure.chosen_by] for run in runs if measure.chosen_by in run.metrics]),
        "costs": _mean_costs([run.costs for run in runs]),
        "flattered": _flattered(scored, measure),
        "images": _images(scored, measure.split),
    }


def _data(runs: Sequence[Run], split: str) -> str | None:
    """Return the fingerprint; several only where the data were drawn several times, each draw with its own."""
    draws: dict[tuple[str, ...], set[str | None]] = {}
    for run in runs:
        draws.setdefault(draw_of(run.settings), set()).add(run.fingerprints.get(split))
    prints = {one for found in draws.values() for one in found}
    if None in prints or not prints or any(len(found) > 1 for found in draws.values()):
        return None
    return "+".join(sorted(one for one in prints if one))


def _join_draws(groups: Sequence[Group]) -> None:
    """Give groups that share most draws of the data the same data: some may lack one, as a run of theirs failed."""
    several = dict.fromkeys(group.data for group in groups if group.data and "+" in group.data)
    for largest in sorted((set(data.split("+")) for data in several), key=len, reverse=True):
        joined = set(largest)
        near = []
        for group in groups:
            draws = set((group.data or "").split("+"))
            if 2 * len(draws & largest) > len(largest):
                near.append(group)
                joined |= draws
        for group in near:
            group.data = "+".join(sorted(joined))


def _flattered(runs: Sequence[Run], measure: Measure) -> str:
    """Return what is said where runs were chosen by images that they are reported on, in the test's name."""
    if measure.split != "test":
        return ""
    prints = [run.fingerprints for run in runs]
    if any(one.get("test") is not None and one.get("test") == one.get("val") for one in prints):
        return "val is the test"
    if any(run.test_is_val for run in runs):
        return "val and test share images"
    return ""


def _images(runs: Sequence[Run], split: str) -> str:
    known = sorted({run.images[split] for run in runs if split in run.images})
    return " to ".join(str(count) for count in dict.fromkeys([*known[:1], *known[-1:]]))


def _mean_costs(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    known = {name: [one[name] for one in costs if name in one] for name in COSTS}
    return {name: sum(values) / len(values) for name, values in known.items() if values}


def _worst_last(value: float | None, sign: int) -> tuple[bool, float]:
    return value is None, 0.0 if value is None else -sign * value


def _mark(same: Sequence[Group], measure: Measure) -> None:
    """Mark the first group and the Pareto fronts, among groups of the same data, best first."""
    compared = [group for group in same if not group.apart]
    quality = [None if group.chosen.mean is None else measure.sign * group.chosen.mean for group in compared]
    for group in same:
        group.best = group is same[0] and group.chosen.mean is not None
        group.fronts = []
    for cost in FRONTS:
        front = pareto_front(quality, [group.costs.get(cost) for group in compared])
        for group, on_it in zip(compared, front, strict=True):
            group.fronts += [cost] * on_it

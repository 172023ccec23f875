"""Runs that differ only in their seed, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segbench.compare.filters import known_names
from segbench.compare.intervals import Summary, summarize
from segbench.compare.pareto import pareto_front
from segbench.compare.runs import COSTS, Run
from segbench.compare.settings import LABELS
from segbench.core.errors import ConfigError, nearest

LOWER = ("depth/rmse", "depth/mae", "depth/abs_rel", "loss")
FRONTS = ("parameters", "flops_per_image", "seconds")
"""Costs that the Pareto front is drawn against."""


@dataclass(eq=False)
class Group:
    """Completed runs of the same settings but for the seed, or of the same values of `--by`.

    settings: the shown settings, "" where there is none. runs: those that count, best first, then those without the
    metric. repeats: runs that repeat settings and seed of a newer one, which are left out. summary: of the metric.
    costs: means over the runs. data: fingerprint of the metric's split, None where unknown or mixed. best, baseline:
    whether it is; best among the groups of the same data. fronts: the costs in whose Pareto front it is, likewise.
    """

    settings: dict[str, str]
    runs: list[Run]
    repeats: list[Run]
    summary: Summary
    costs: dict[str, float]
    data: str | None
    best: bool = False
    baseline: bool = False
    fronts: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What tells it apart, such as `loss=dice optimizer.lr=0.001`."""
        words = [f"{name}={value}" for name, value in self.settings.items() if value]
        return " ".join(words) or self.runs[0].name


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of the metric are better: errors and losses."""
    return metric.partition("/")[2] in LOWER


def choose_metric(runs: Sequence[Run], wanted: str | None) -> str:
    """Return the metric to compare by: the wanted one, else test mean IoU, or test RMSE where no run has the former.

    Raises:
        ConfigError: if runs have metrics, and none has the wanted one.
    """
    names = {name for run in runs for name in run.metrics}
    if wanted is None:
        return next((name for name in ("test/mean_iou", "test/depth/rmse") if name in names), "test/mean_iou")
    if names and wanted not in names:
        raise ConfigError(f"--metric: no run has '{wanted}'{nearest(wanted, names)}")
    return wanted


def group_runs(runs: Sequence[Run], metric: str, shown: Sequence[str], by: Sequence[str] = ()) -> list[Group]:
    """Return the groups of completed runs, best first, groups of the same data together.

    Args:
        runs: Any runs; only completed ones are grouped.
        metric: Such as `test/mean_iou`.
        shown: The settings that `Group.settings` holds.
        by: Group by these settings alone; by default by all but the seed.
    """
    members: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        if run.counts:
            members.setdefault(_identity(run, by), []).append(run)
    groups = [_group(found, metric, shown) for found in members.values()]
    _mark(groups, metric)
    sign = -1 if lower_is_better(metric) else 1
    first = {group.data: group.summary.mean for group in groups if group.best}
    return sorted(groups, key=lambda g: (*_worst_last(first.get(g.data), sign), str(g.data), *_rank(g, sign)))


def check_by(runs: Sequence[Run], by: Sequence[str]) -> None:
    """Raise ConfigError for a name in `--by` that no run has."""
    names = known_names(runs)
    for name in by:
        if name not in names:
            raise ConfigError(f"--by: no run has a setting '{name}'{nearest(name, names)}")


def setting(run: Run, name: str) -> str:
    """Return a run's setting (or its `name` or `state`) as text, "" where it has none."""
    return {"name": run.name, "state": run.state}.get(name) or run.settings.get(name, "")


def _identity(run: Run, by: Sequence[str], seed: bool = False) -> tuple[tuple[str, str], ...]:
    if by:
        return tuple((name, setting(run, name)) for name in by)
    without: tuple[str, ...] = LABELS if seed else (*LABELS, "seed")
    return tuple(sorted((name, value) for name, value in run.settings.items() if name not in without))


def _group(found: Sequence[Run], metric: str, shown: Sequence[str]) -> Group:
    newest: dict[tuple[tuple[str, str], ...], Run] = {}
    for run in sorted(found, key=lambda run: (run.finished or 0.0, run.path)):
        newest[_identity(run, (), seed=True)] = run
    kept = list(newest.values())
    sign = -1 if lower_is_better(metric) else 1
    kept.sort(key=lambda run: (*_worst_last(run.metrics.get(metric), sign), run.path))
    prints = {run.fingerprints.get(metric.partition("/")[0]) for run in kept if metric in run.metrics}
    return Group(
        settings={name: setting(kept[0], name) for name in shown},
        runs=kept,
        repeats=[run for run in found if run not in kept],
        summary=summarize([run.metrics[metric] for run in kept if metric in run.metrics]),
        costs=_mean_costs([run.costs for run in kept]),
        data=prints.pop() if len(prints) == 1 else None,
    )


def _mean_costs(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    known = {name: [one[name] for one in costs if name in one] for name in COSTS}
    return {name: sum(values) / len(values) for name, values in known.items() if values}


def _worst_last(value: float | None, sign: int) -> tuple[bool, float]:
    return value is None, 0.0 if value is None else -sign * value


def _rank(group: Group, sign: int) -> tuple[bool, float, str]:
    return *_worst_last(group.summary.mean, sign), group.label


def _mark(groups: Sequence[Group], metric: str) -> None:
    """Mark the best group and the Pareto fronts, among those of the same known data."""
    sign = -1 if lower_is_better(metric) else 1
    for data in {group.data for group in groups if group.data is not None}:
        same = [group for group in groups if group.data == data and group.summary.mean is not None]
        quality = [sign * group.summary.mean for group in same if group.summary.mean is not None]
        for group, value in zip(same, quality, strict=True):
            group.best = value == max(quality)
        for cost in FRONTS:
            front = pareto_front(quality, [group.costs.get(cost) for group in same])
            for group, on_it in zip(same, front, strict=True):
                group.fronts += [cost] * on_it

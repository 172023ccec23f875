"""Quality against cost of every group, for the Pareto plot."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group, lower_is_better
from segbench.compare.pareto import pareto_front
from segbench.core.plain import Plain
from segbench.core.text import printable
from segbench.report.html.choice import group_label

AXES = {
    "parameters": "parameters",
    "flops_per_image": "FLOPs of one image",
    "seconds": "seconds of training",
    "images_per_second": "images per second",
    "peak_memory_bytes": "peak memory in bytes",
}
MORE_IS_BETTER = ("images_per_second",)


def pareto_data(comparison: Comparison) -> Plain:
    """Return the axes, the letters of the data, and a point for each group with a value: what the plot draws.

    `fronts` names the costs in whose front a group is, among those of the same data, by the score that is chosen by.
    """
    labels = comparison.data_labels
    groups = [group for group in comparison.groups if group.summary.mean is not None]
    points = []
    for letter in dict.fromkeys(labels[group.data] for group in groups):
        points += _points([g for g in groups if labels[g.data] == letter], letter, comparison=comparison)
    used = [name for name in AXES if any(name in group.costs for group in groups)]
    return {
        "metric": printable(comparison.metric, 80),
        "lower": lower_is_better(comparison.metric),
        "axes": [{"name": name, "label": AXES[name], "more": name in MORE_IS_BETTER} for name in used],
        "points": points,
    }


def _points(groups: Sequence[Group], letter: str, *, comparison: Comparison) -> list[Plain]:
    sign = comparison.measure.sign
    quality = [None if group.chosen.mean is None else sign * group.chosen.mean for group in groups]
    fronts: dict[str, list[bool]] = {}
    for name in AXES:
        way = -1 if name in MORE_IS_BETTER else 1
        costs = [way * group.costs[name] if name in group.costs else None for group in groups]
        fronts[name] = pareto_front(quality, costs) if groups[0].data is not None else [False] * len(groups)
    return [
        {
            "label": group_label(comparison, group),
            "data": letter,
            "best": group.best,
            "value": group.summary.mean,
            "low": group.summary.low,
            "high": group.summary.high,
            "costs": group.costs,
            "fronts": [name for name in AXES if fronts[name][place]],
        }
        for place, group in enumerate(groups)
    ]

"""Scores by class: the heat map of groups, and the confusion matrices of the best runs."""

from __future__ import annotations

from dataclasses import dataclass

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable, number, read_object
from segbench.compare.runs import MAX_RESULTS, Run
from segbench.core.plain import Plain
from segbench.core.score_names import AT_INPUT
from segbench.core.text import printable
from segbench.report.html.choice import best_of_groups, group_label
from segbench.runs.folder import RunFolder

MAX_GROUPS = 60
MAX_CLASSES = 120
MAX_MATRICES = 12


@dataclass(frozen=True)
class HeatMap:
    """IoU by class."""

    metric: str
    """Such as `test/iou`."""

    classes: list[str]
    """Names of the columns."""

    rows: list[tuple[str, list[float | None]]]
    """Label of each group, and its value of each class; None where it has none."""

    left: int
    """How many groups are not shown."""


def heat_map(comparison: Comparison) -> HeatMap | None:
    """Return the mean IoU over each group's runs by class, or None where no group has any."""
    kind = f"{comparison.metric.partition('/')[0]}/iou"
    size = ""
    if comparison.metric.endswith(AT_INPUT):
        size = AT_INPUT
    groups = comparison.groups[:MAX_GROUPS]
    classes = list(dict.fromkeys(name for group in groups for run in group.runs[:1] for name in run.classes))
    classes = classes[:MAX_CLASSES]
    rows = []
    for group in groups:
        values = [_mean([run.metrics.get(f"{kind}/{name}{size}") for run in group.runs]) for name in classes]
        if any(value is not None for value in values):
            rows.append((group_label(comparison, group), values))
    names = [printable(name, 60) for name in classes]
    if not rows:
        return None
    return HeatMap(f"{kind}{size}", names, rows, len(comparison.groups) - len(groups))


def confusion_data(comparison: Comparison) -> list[Plain]:
    """Return `run`, `classes` and `counts` (rows truth, columns prediction) of the best runs that have a matrix."""
    split = comparison.metric.partition("/")[0]
    numbers = {run: place for place, run in enumerate(comparison.runs)}
    found = []
    for run in best_of_groups(comparison, MAX_MATRICES):
        if counts := _matrix(run, split):
            names = [printable(name, 60) for name in run.classes]
            found.append({"run": numbers[run], "classes": names, "counts": counts})
    return found


def _matrix(run: Run, split: str) -> list[list[float]] | None:
    """Return the matrix in results.json if it is one: as many rows and columns as classes, numbers from 0."""
    try:
        confusion = read_object(RunFolder(run.path).results, MAX_RESULTS).get("confusion")
    except Unusable:
        return None
    rows = None
    if isinstance(confusion, dict):
        rows = confusion.get(split)
    size = len(run.classes)
    if not isinstance(rows, list) or len(rows) != size or not 0 < size <= MAX_CLASSES:
        return None
    table = [[number(cell) for cell in row] if isinstance(row, list) else [] for row in rows]
    if any(len(row) != size or any(cell is None or cell < 0 for cell in row) for row in table):
        return None
    return [[int(cell) for cell in row if cell is not None] for row in table]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sum(known) / len(known)

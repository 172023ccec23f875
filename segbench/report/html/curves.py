"""The curves of runs, read from metrics.csv and thinned."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable, read_text
from segbench.compare.runs import Run
from segbench.core.plain import Plain
from segbench.core.score_names import at_both_sizes
from segbench.core.text import printable
from segbench.report.html.choice import by_rank, group_label
from segbench.runs.folder import RunFolder
from segbench.runs.metrics_log import KEYS

MAX_RUNS = 60
MAX_METRICS = 40
MAX_POINTS = 120
LEAST_POINTS = 40
MAX_VALUES = 120_000
"""Points of all curves of single runs together: fewer of each where there are many metrics."""
MAX_GROUPS = 12
"""Groups whose mean is drawn."""
MAX_SEEDS = 10
"""Runs of each."""
MAX_TABLE = 16_000_000
"""Bytes: a row every ten steps of a million makes about 5 million."""

FIRST = (
    "train/loss",
    "val/loss",
    "val/mean_iou",
    "val/depth/rmse",
    "lr",
    "val/mean_dice",
    "val/accuracy",
    "val/mean_accuracy",
    "val/mean_boundary_f1",
    "val/depth/mae",
    "val/depth/delta1",
)

Points = list[tuple[float, float]]


def curve_data(comparison: Comparison) -> Plain:
    """Return the curves of the first MAX_RUNS runs by rank, running and failed ones last.

    `metrics` are names, `start` is the one shown first, `runs` have the number of the run and curves by number of the
    metric, `groups` have label, number of runs and curves of their mean and range (see `join`), `left` is how many runs
    are left out. A run's curve is two lists, epochs from 1 and values with five digits, at most MAX_POINTS long.
    """
    numbers = {run: number for number, run in enumerate(comparison.runs)}
    wanted = by_rank(comparison)
    found = {run: curves for run in wanted[:MAX_RUNS] if (curves := _curves_or_none(run))}
    metrics = _choose_metrics(found.values())
    most = min(MAX_POINTS, max(LEAST_POINTS, MAX_VALUES // max(1, len(found) * len(metrics))))
    joined = _groups(comparison, found, most=most)
    runs = [
        {"run": numbers[run], "curves": {k: _packed(curves[m], most) for k, m in enumerate(metrics) if m in curves}}
        for run, curves in found.items()
    ]
    named = f"val/{comparison.metric.partition('/')[2]}"
    return {
        "metrics": [printable(name, 80) for name in metrics],
        "start": metrics.index(named) if named in metrics else 0,
        "runs": runs,
        "groups": [
            {"label": label, "n": n, "curves": {k: curves[m] for k, m in enumerate(metrics) if m in curves}}
            for label, n, curves in joined
        ],
        "left": len(wanted) - len(runs),
    }


def read_curves(run: Run) -> dict[str, Points]:
    """Return points (epoch from 1, value) by metric: the rows of epochs, and the last learning rate of each.

    Of rows of the same epoch the last one counts; what is no finite number is left out.

    Raises:
        Unusable: if metrics.csv is missing or no such table.
    """
    path = RunFolder(run.path).metrics
    rows: dict[str, dict[int, float]] = {}
    try:
        table = csv.reader(io.StringIO(read_text(path, MAX_TABLE), newline=""))
        names = next(table, [])
        if names[: len(KEYS)] != [*KEYS]:
            raise Unusable(f"{path.name} is not the table of a run")
        rate = []
        if "lr" in names:
            rate = [(names.index("lr"), "lr")]
        columns = {"epoch": list(enumerate(names))[len(KEYS) :], "train": rate}
        for cells in table:
            _keep(rows, cells, columns=columns)
    except csv.Error:
        raise Unusable(f"{path.name} is no table") from None
    return {name: [(epoch + 1.0, values[epoch]) for epoch in sorted(values)] for name, values in rows.items()}


def _keep(
    rows: dict[str, dict[int, float]], cells: Sequence[str], *, columns: Mapping[str, list[tuple[int, str]]]
) -> None:
    if len(cells) < len(KEYS) or not cells[1].isdecimal() or len(cells[1]) > 9:
        return  # half a row, left by a kill
    epoch = int(cells[1])
    for place, name in columns.get(cells[0], ()):
        try:
            value = float(cells[place])
        except (ValueError, IndexError):
            continue
        if value - value == 0:
            rows.setdefault(name, {})[epoch] = value


def thin(points: Points, most: int = MAX_POINTS) -> Points:
    """Return at most `most` points: of equal slices the smallest and the largest value, so that no peak is lost."""
    if len(points) <= most:
        return points
    slices = (most - 2) // 2
    kept = {0, len(points) - 1}
    for number in range(slices):
        inside = range(number * len(points) // slices, (number + 1) * len(points) // slices)
        kept |= {min(inside, key=lambda k: points[k][1]), max(inside, key=lambda k: points[k][1])}
    return [points[k] for k in sorted(kept)]


def _groups(
    comparison: Comparison, known: Mapping[Run, dict[str, Points]], *, most: int
) -> list[tuple[str, int, dict[str, list[list[float]]]]]:
    """Return label, number of runs, and mean and range of the curves of each of the first groups of several seeds."""
    joined = []
    for group in comparison.groups[:MAX_GROUPS]:
        runs = [known.get(run) or _curves_or_none(run) for run in group.runs[:MAX_SEEDS]]
        curves = [one for one in runs if one]
        if len(curves) > 1:
            names = {name for one in curves for name in one}
            packed = {name: join([one[name] for one in curves if name in one], most) for name in names}
            joined.append((group_label(comparison, group), len(curves), packed))
    return joined


def join(curves: Sequence[Points], most: int = MAX_POINTS) -> list[list[float]]:
    """Return epochs, means, smallest and largest values of several curves, where all of them have a value."""
    tables = [dict(points) for points in curves]
    epochs = sorted(set.intersection(*(set(table) for table in tables)))
    step = max(1, -(-len(epochs) // most))
    kept = [*epochs[::step], *(epochs[-1:] if (len(epochs) - 1) % step else [])]
    rows = [[table[epoch] for table in tables] for epoch in kept]
    columns = ([sum(row) / len(row) for row in rows], [min(row) for row in rows], [max(row) for row in rows])
    return [[int(epoch) for epoch in kept], *([float(f"{value:.5g}") for value in column] for column in columns)]


def _curves_or_none(run: Run) -> dict[str, Points] | None:
    try:
        return read_curves(run)
    except Unusable:
        return None


def _choose_metrics(found: Iterable[Mapping[str, Points]]) -> list[str]:
    names = {name for curves in found for name in curves}
    first = [name for name in at_both_sizes(*FIRST) if name in names]
    classes = sorted(name for name in names.difference(first) if name.startswith("val/iou/"))
    return [*first, *classes, *sorted(names.difference(first, classes))][:MAX_METRICS]


def _packed(points: Points, most: int) -> list[list[float]]:
    kept = thin(points, most)
    return [[int(x) for x, _ in kept], [float(f"{y:.5g}") for _, y in kept]]

"""The score of single units, such as one recording or one foreground: where the best runs do worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable
from segbench.compare.images import ImageTable, read_tables, scorer
from segbench.compare.labels import shorten
from segbench.compare.runs import Run
from segbench.core.text import printable
from segbench.report.html.choice import run_label

MAX_RUNS = 6
MAX_UNITS = 12
LONGEST_NAME = 40


@dataclass(frozen=True)
class UnitScores:
    """The units of one factor that the shown runs do worst on."""

    factor: str
    """Such as `foreground`."""
    count: int
    """How many units the split has."""
    runs: list[str]
    """What tells the shown runs apart."""
    rows: list[tuple[str, int, list[float | None]]]
    """Unit, its images, and the score of each run over them; the worst first."""


def unit_scores(comparison: Comparison) -> list[UnitScores]:
    """Return the worst units by factor, of the best run of each of the first groups of the first data set.

    The score of a unit is that of all its images together, by the same counts as the score of the split.
    """
    groups = [group for group in comparison.groups if group.data == comparison.groups[0].data]
    runs: list[Run] = []
    tables: list[ImageTable] = []
    for run in (group.runs[0] for group in groups[:MAX_RUNS]):
        try:
            if comparison.metric in run.metrics and scorer(comparison.metric, run.classes) is not None:
                tables += read_tables([run], comparison.metric, units=not tables)
                runs.append(run)
        except Unusable:
            continue
    same = [k for k, table in enumerate(tables) if np.array_equal(table.index, tables[0].index)]
    if not same:
        return []
    kept = [runs[k] for k in same]
    counts = [tables[k].counts for k in same]
    labels = [run_label(comparison, run) for run in kept]
    return [
        UnitScores(printable(name, 40), len(set(units)), labels, _rows(comparison, kept, counts=counts, units=units))
        for name, units in tables[0].units.items()
    ]


def _rows(
    comparison: Comparison, runs: Sequence[Run], *, counts: Sequence[np.ndarray], units: Sequence[str]
) -> list[tuple[str, int, list[float | None]]]:
    names, levels = np.unique(units, return_inverse=True)
    belongs = (levels == np.arange(len(names))[:, None]).astype(float)
    scores = np.stack(
        [_score(comparison.metric, run, sums=belongs @ table) for run, table in zip(runs, counts, strict=True)]
    )
    known = ~np.isnan(scores)
    means = np.where(known, scores, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = [k for k in (comparison.measure.sign * means).argsort(kind="stable") if known[:, k].any()]
    return [
        (
            printable(shorten(str(names[k]), LONGEST_NAME)),
            int(belongs[k].sum()),
            [None if np.isnan(value) else float(value) for value in scores[:, k]],
        )
        for k in order[:MAX_UNITS]
    ]


def _score(metric: str, run: Run, *, sums: np.ndarray) -> np.ndarray:
    score = scorer(metric, run.classes)
    assert score is not None, "runs without one are left out"
    return score(sums)

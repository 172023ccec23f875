"""The scores of a split's single images, as counts that add up to the score of any choice of images."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segbench.compare.files import Unusable, read_text
from segbench.compare.influence import Score
from segbench.compare.runs import Run
from segbench.core.score_names import without_size
from segbench.runs.folder import RunFolder

MAX_TABLE = 64_000_000
"""Bytes: 5,000 images of 81 classes take about 7 million."""

MASK_SCORES = ("mean_iou", "iou", "mean_dice", "dice", "mean_accuracy", "accuracy")
TOLERANCE = 1e-6
"""How far the table's score may be from that in results.json, as a share of it: depth errors have nine digits."""


UNIT = "unit/"
"""Begins the name of a column that names the unit of each image."""


@dataclass(frozen=True, eq=False)
class ImageTable:
    """What the images of one run add to its score."""

    index: np.ndarray
    """The images' numbers `[N]`, ascending."""
    counts: np.ndarray
    """`[N, K]`: for masks true positives, false positives and false negatives of the C classes (K = 3 C), for depth the
    squared error and the known pixels (K = 2)."""
    units: dict[str, list[str]]
    """The unit of each image, by factor such as `foreground`; empty where none are known or asked for."""


def scorer(metric: str, classes: tuple[str, ...]) -> Score | None:
    """Return how to score summed counts, or None for a metric that they do not give.

    As in training: the mean over classes leaves out those in neither truth nor prediction.

    Args:
        metric: Such as `test/mean_iou`, `val/dice/road`, `test/depth/rmse`.
        classes: Names of the classes.
    """
    name = _score_name(metric, classes)
    if name == "depth/rmse":
        return lambda sums: np.sqrt(_ratio(sums[..., 0], sums[..., 1]))
    kind, _, wanted = name.partition("/")
    if kind not in MASK_SCORES or (wanted and wanted not in classes):
        return None
    if name == "accuracy":
        return lambda sums: _ratio(_three(sums)[0].sum(-1), (_three(sums)[0] + _three(sums)[2]).sum(-1))
    if kind.startswith("mean_") != (not wanted):
        return None
    part = kind.removeprefix("mean_")
    return lambda sums: _of_classes(part, sums, number=classes.index(wanted) if wanted else None)


def is_share(metric: str) -> bool:
    """Whether a score lies in 0 to 1, as those of masks do."""
    return without_size(metric.partition("/")[2].partition("/")[0]) in MASK_SCORES


def _score_name(metric: str, classes: tuple[str, ...]) -> str:
    """Return the name without split and size; a class may be called what a size is."""
    name = metric.partition("/")[2]
    if name.partition("/")[2] in classes:
        return name
    return without_size(name)


def _of_classes(kind: str, sums: np.ndarray, *, number: int | None) -> np.ndarray:
    hits, wrong, missed = _three(sums)
    whole = {"iou": hits + wrong + missed, "dice": hits + (wrong + missed) / 2, "accuracy": hits + missed}[kind]
    each = _ratio(hits, whole)
    if number is not None:
        return each[..., number]
    return _ratio(np.nansum(each, axis=-1), (~np.isnan(each)).sum(axis=-1))


def _three(sums: np.ndarray) -> np.ndarray:
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)


def paint_most_frequent(sums: np.ndarray) -> np.ndarray | None:
    """Return the counts of painting the class that most pixels are of everywhere `[3 * C]`, None for those of depth."""
    if len(sums) % 3:
        return None
    hits, _, missed = _three(sums)
    truth = hits + missed
    frequent = np.arange(len(truth)) == truth.argmax()
    return np.concatenate([truth * frequent, (truth.sum() - truth) * frequent, truth * ~frequent])


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def read_tables(runs: Sequence[Run], metric: str, *, units: bool = False) -> list[ImageTable]:
    """Return the counts of the images of the metric's split of each run, in the order of their numbers.

    Args:
        runs: Completed runs of the same classes.
        metric: Such as `test/mean_iou`; its split says which table.
        units: Also read from the first which units the images come from, which is the same on the same data.

    Raises:
        Unusable: if a table is missing, broken, or does not add up to the score in results.json; it names the run.
    """
    tables = []
    for number, run in enumerate(runs):
        try:
            tables.append(_read_table(run, metric, units=units and not number))
        except Unusable as unusable:
            raise Unusable(f"{run.name}: {unusable}") from None
    _check_sums(tables, runs, metric=metric)
    return tables


def _read_table(run: Run, metric: str, *, units: bool) -> ImageTable:
    split, _, name = metric.partition("/")
    path = RunFolder(run.path).per_image(split)
    text = read_text(path, MAX_TABLE)
    head, _, body = text.partition("\n")
    try:
        heads, places = _places(head, run.classes, is_depth=name.startswith("depth/"))
        if body.strip():
            table = np.loadtxt(io.StringIO(body), delimiter=",", usecols=places, quotechar='"', comments=None, ndmin=2)
        else:
            table = np.empty((0, 1))
    except (csv.Error, ValueError):
        raise Unusable(f"{path.name} is no table of images") from None
    if not len(table) or not np.isfinite(table).all() or (table < 0).any():
        raise Unusable(f"{path.name} is no table of images")
    order = table[:, 0].argsort(kind="stable")
    table = table[order]
    if (np.diff(table[:, 0]) == 0).any():
        raise Unusable(f"{path.name} has an image twice")
    return ImageTable(table[:, 0], table[:, 1:], _units(text, heads, order=order) if units else {})


@lru_cache(maxsize=64)  # runs on the same data have the same
def _places(head: str, classes: tuple[str, ...], *, is_depth: bool) -> tuple[list[str], list[int]]:
    """Return the headings, and the places of the columns that are read; raises ValueError where one is missing."""
    heads = next(csv.reader([head]), [])
    wanted = [f"{kind}/{label}" for kind in ("tp", "fp", "fn") for label in classes]
    if is_depth:
        wanted = ["depth/squared_error", "depth/pixels"]
    return heads, [heads.index(column) for column in ("index", *wanted)]


def _units(text: str, heads: list[str], *, order: np.ndarray) -> dict[str, list[str]]:
    """Return the columns `unit/<factor>` by factor; none where a row lacks one, so that no unit is made up."""
    places = {head.removeprefix(UNIT): place for place, head in enumerate(heads) if head.startswith(UNIT)}
    rows = []
    if places:
        rows = list(csv.reader(io.StringIO(text)))[1:]
    columns = {name: [row[place] for row in rows] for name, place in places.items()}
    return {name: [column[k] for k in order] for name, column in columns.items() if all(column)}


def _check_sums(tables: Sequence[ImageTable], runs: Sequence[Run], *, metric: str) -> None:
    score = scorer(metric, runs[0].classes)
    sums = np.stack([table.counts.sum(axis=0) for table in tables])
    values = np.full(len(runs), np.nan) if score is None else score(sums)
    for run, value in zip(runs, values.tolist(), strict=True):
        told = run.metrics[metric]
        if not abs(value - told) <= TOLERANCE * max(abs(told), 1.0):
            name = RunFolder(run.path).per_image(metric.partition("/")[0]).name
            raise Unusable(f"{run.name}: {name} adds up to {value:.6f}, results.json says {told:.6f}")

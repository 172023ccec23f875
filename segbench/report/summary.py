"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from segbench.core.score_names import without_size
from segbench.runs.results import Baseline, Results

COLUMNS = ("iou", "dice", "accuracy")
SHORT = {"iou": "IoU", "dice": "Dice", "accuracy": "acc"}
MEANS = {"iou": "mean_iou", "dice": "mean_dice", "accuracy": "mean_accuracy"}
DEPTH = {
    "depth/rmse": "RMSE",
    "depth/mae": "MAE",
    "depth/abs_rel": "abs rel",
    "depth/delta1": "delta < 1.25",
    "depth/ssim": "SSIM",
}
MISSING = "-"
WIDE = 76
"""Columns of a terminal from which val and test stand side by side."""
NARROW = 46
"""Columns below which there is room for IoU alone."""


def print_summary(
    console: Console, results: Results, *, classes: Sequence[str], title: str = "scores of the best epoch"
) -> None:
    """Print IoU, Dice and accuracy by class, and depth scores, as far as there are any, for val and test.

    Args:
        console: Where to print.
        results: As in results.json: `metrics`, and as far as known `images`, `images_with_class`, `baselines` and
            `scored_at`.
        classes: Names of the classes.
        title: Above the tables.
    """
    metrics = {without_size(name): value for name, value in results["metrics"].items()}
    results = {**results, "metrics": metrics}
    if sizes := list(dict.fromkeys(results.get("scored_at", {}).values())):
        title = f"{title}, at {' and '.join(sizes)}"
    console.print(title, style="italic", markup=False, highlight=False)
    if splits := [split for split in ("val", "test") if f"{split}/mean_iou" in metrics]:
        columns = COLUMNS if console.width >= NARROW else COLUMNS[:1]
        for shown in [splits] if console.width >= WIDE else [[split] for split in splits]:
            console.print(_mask_table(results, classes, splits=shown, columns=columns))
        if columns != COLUMNS:
            console.print("no room for Dice and accuracy: a wider terminal or results.json has them", style="dim")
    if splits := [split for split in ("val", "test") if f"{split}/depth/rmse" in metrics]:
        console.print(_depth_table(results, splits))


def _mask_table(results: Results, classes: Sequence[str], *, splits: Sequence[str], columns: Sequence[str]) -> Table:
    """Return the scores by class, beside the number of images that show it, and below those of trivial predictions."""
    heads = [head for split in splits for head in (f"{split}\nn", *(f"{split}\n{SHORT[column]}" for column in columns))]
    table = _table("class", columns=heads)
    shown = {split: results.get("images_with_class", {}).get(split, {}) for split in splits}
    for name in classes:
        images = {split: shown[split].get(name) for split in splits}
        table.add_row(name, *_mask_cells(results, splits, columns=columns, images=images, of_class=f"/{name}"))
    table.add_section()
    cells = _mask_cells(results, splits, columns=columns, images=results.get("images", {}))
    table.add_row("mean", *cells, style="bold")
    for label, baselines in _painted(results, splits).items():
        table.add_row(
            label, *(cell for baseline in baselines for cell in _baseline_cells(baseline, columns)), style="dim"
        )
    return table


def _painted(results: Results, splits: Sequence[str]) -> dict[str, list[Baseline]]:
    """Return what painting one class everywhere scores on each split, by what it is called."""
    known = [results.get("baselines", {}).get(split, {}) for split in splits]
    frequent = [baselines.get("most_frequent", {}) for baselines in known]
    foreground = [baselines.get("all_foreground", {}) for baselines in known]
    found = {}
    if any(frequent):
        names = dict.fromkeys(str(baseline["class"]) for baseline in frequent if baseline)
        found[f"most frequent ({', '.join(names)})"] = frequent
    if any(foreground) and foreground != frequent:
        found[f"all {foreground[0]['class']}"] = foreground
    return found


def _mask_cells(
    results: Results,
    splits: Sequence[str],
    *,
    columns: Sequence[str],
    images: Mapping[str, int | None],
    of_class: str = "",
) -> list[str]:
    cells = []
    for split in splits:
        cells.append(MISSING if images.get(split) is None else f"{images[split]:,}")
        names = [f"{column}{of_class}" if of_class else MEANS[column] for column in columns]
        cells += [_cell(_best(results, f"{split}/{name}")) for name in names]
    return cells


def _baseline_cells(baseline: Baseline, columns: Sequence[str]) -> list[str]:
    return ["", *(_cell(baseline.get(MEANS[column])) for column in columns)]


def _depth_table(results: Results, splits: Sequence[str]) -> Table:
    table = _table("depth", columns=splits)
    images = results.get("images", {})
    table.add_row("images", *(f"{images[split]:,}" if split in images else MISSING for split in splits))
    for name, label in DEPTH.items():
        table.add_row(label, *(_cell(_best(results, f"{split}/{name}")) for split in splits))
    baselines = [results.get("baselines", {}).get(split, {}).get("mean_depth", {}) for split in splits]
    if any(baselines):
        table.add_section()
        table.add_row("RMSE of the mean depth", *(_cell(one.get("depth/rmse")) for one in baselines), style="dim")
    return table


def _best(results: Results, name: str) -> float | None:
    score = results["metrics"].get(name)
    return None if score is None else score.get("best")


def _table(first: str, *, columns: Sequence[str]) -> Table:
    table = Table(pad_edge=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, min_width=12)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(value: object) -> str:
    if not isinstance(value, int | float) or value != value:
        return MISSING
    return f"{value:.4f}"

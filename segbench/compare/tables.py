"""A comparison as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from segbench.compare.bootstrap import Difference
from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group, setting
from segbench.compare.runs import COSTS, Run
from segbench.compare.text import csv_cell, markdown_cell, si
from segbench.compare.verdict import BETTER, WORSE, Verdict
from segbench.core.text import duration

COST_HEADS = {"parameters": "params", "flops_per_image": "FLOPs", "images_per_second": "img/s",
              "peak_memory_bytes": "peak B", "seconds": "time"}  # fmt: skip
FRONT_HEADS = {"parameters": "params", "flops_per_image": "FLOPs", "seconds": "time"}
FRONT_HEAD = "front"
INTERVAL = "95 % interval: of the mean over seeds, by Student's t (mean -+ t * sd / sqrt(n)); none for n = 1"
FRONT = "front: no group has at least this quality for less (Pareto); params, FLOPs of one image, time of training"
"""What the columns mean, for below a table."""


def verdict_on(comparison: Comparison, group: Group) -> tuple[str, Difference | None]:
    """Return the verdict on a group against the baseline or the best, from the group's side; "" where there is none."""
    for verdict in comparison.verdicts:
        if group is (verdict.first if verdict.second.baseline else verdict.second):
            return _from_side(verdict, group)
    return "", None


def _from_side(verdict: Verdict, group: Group) -> tuple[str, Difference | None]:
    found = verdict.difference
    if group is verdict.first:
        return verdict.word, found
    word = {BETTER: WORSE, WORSE: BETTER}.get(verdict.word, verdict.word)
    return word, found and Difference(-found.value, -found.high, -found.low)


def score_text(value: float | None) -> str:
    """Return a score with four decimals, or `-`."""
    return "-" if value is None else f"{value:.4f}"


def interval_text(low: float | None, high: float | None) -> str:
    """Return `0.8012 to 0.8214`, or `-`."""
    return "-" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def cost_text(name: str, value: float | None) -> str:
    """Return a cost with its size's letter, seconds as a duration, or `-`."""
    if value is None:
        return "-"
    return duration(value) if name == "seconds" else si(value)


def run_words(comparison: Comparison, run: Run) -> str:
    """Return what tells a run apart: `loss=dice seed=3`; its name alone where its settings cannot be read."""
    names = [*comparison.columns, *(["seed"] if "seed" not in comparison.columns else [])]
    return " ".join(f"{name}={setting(run, name)}" for name in names if setting(run, name))


def to_csv(comparison: Comparison) -> str:
    """Return one row a group, then one for each run without final numbers; text like a formula is quoted."""
    heads = ["state", *comparison.columns, "n", comparison.metric, "sd", "low", "high", "best", "data", *COSTS,
             "fronts", "verdict", "difference", "difference_low", "difference_high", "run", "error"]  # fmt: skip
    rows = [_csv_group(comparison, group) for group in comparison.groups]
    for run in comparison.others:
        known = [run.state, *(setting(run, name) for name in comparison.columns)]
        rows.append([*known, *[None] * (len(heads) - len(known) - 2), run.name, run.error])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([csv_cell(cell) for cell in row] for row in [heads, *rows])
    return text.getvalue()


def _csv_group(comparison: Comparison, group: Group) -> list[str | float | None]:
    word, found = verdict_on(comparison, group)
    numbers = group.summary
    return [
        "completed", *group.settings.values(),
        numbers.n, numbers.mean, numbers.sd, numbers.low, numbers.high,
        "best" if group.best else "", comparison.data_labels[group.data], *(group.costs.get(name) for name in COSTS),
        " ".join(group.fronts), "baseline" if group.baseline else word,
        *((found.value, found.low, found.high) if found else (None, None, None)),
        group.runs[0].name, "",
    ]  # fmt: skip


def to_json(comparison: Comparison) -> str:
    """Return everything as JSON, indented."""
    groups = [_json_group(comparison, group) for group in comparison.groups]
    others = [
        {"run": run.name, "path": str(run.path), "state": run.state, "error": run.error, "settings": run.settings}
        for run in comparison.others
    ]
    verdicts = [_json_verdict(verdict, comparison.groups.index) for verdict in comparison.verdicts]
    whole = {"metric": comparison.metric, "columns": comparison.columns, "groups": groups, "others": others,
             "verdicts": verdicts, "notes": comparison.notes}  # fmt: skip
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def _json_group(comparison: Comparison, group: Group) -> dict[str, Any]:
    metric = comparison.metric
    runs = [
        {
            "run": run.name,
            "path": str(run.path),
            "seed": run.settings.get("seed"),
            "value": run.metrics.get(metric),
            "tags": run.tags,
            "note": run.note,
        }  # fmt: skip
        for run in group.runs
    ]
    return {
        "settings": group.settings, **vars(group.summary), "best": group.best, "baseline": group.baseline,
        "data": comparison.data_labels[group.data], "fingerprint": group.data, "costs": group.costs,
        "fronts": group.fronts, "runs": runs, "repeats": [run.name for run in group.repeats],
    }  # fmt: skip


def _json_verdict(verdict: Verdict, place: Callable[[Group], int]) -> dict[str, Any]:
    return {
        "first": place(verdict.first), "second": place(verdict.second), "word": verdict.word,
        **(vars(verdict.difference) if verdict.difference else {}),
        "images": verdict.images, "seeds": list(verdict.seeds), "sentence": verdict.sentence,
    }  # fmt: skip


def to_markdown(comparison: Comparison) -> str:
    """Return tables, verdicts and notes in Markdown."""
    heads, rows = group_table(comparison)
    lines = [*_markdown_table(heads, rows), "", f"{INTERVAL}. {FRONT}."] if rows else ["No completed runs."]
    if comparison.others:
        cells = [[run.name, run.state, run_words(comparison, run), run.error] for run in comparison.others]
        lines += ["", *_markdown_table(["run", "state", "settings", "why"], cells)]
    sentences = [*(verdict.sentence for verdict in comparison.verdicts), *comparison.notes]
    lines += ["", *(f"- {markdown_cell(sentence, 1000)}" for sentence in sentences)] if sentences else []
    return "\n".join(lines) + "\n"


def group_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the groups as text for people; nothing is escaped yet.

    The first column marks the best with `*`; `data` is there only where numbers of different data stand side by side.
    """
    labels, several = comparison.data_labels, len({group.data for group in comparison.groups}) > 1
    against = "against baseline" if any(group.baseline for group in comparison.groups) else "against best"
    heads = ["", *comparison.columns, *(["data"] if several else []), "n", comparison.metric, "sd", "95 % interval",
             *COST_HEADS.values(), FRONT_HEAD, against]  # fmt: skip
    rows = []
    for group in comparison.groups:
        numbers = group.summary
        word = "baseline" if group.baseline else verdict_on(comparison, group)[0]
        rows.append([
            "*" if group.best else "", *group.settings.values(), *([labels[group.data]] if several else []),
            str(numbers.n), score_text(numbers.mean), score_text(numbers.sd), interval_text(numbers.low, numbers.high),
            *(cost_text(name, group.costs.get(name)) for name in COSTS),
            " ".join(FRONT_HEADS[name] for name in group.fronts), word,
        ])  # fmt: skip
    return heads, rows


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[markdown_cell(cell) for cell in cells] for cells in (heads, *rows)]
    lines.insert(1, ["---"] * len(heads))
    return [f"| {' | '.join(cells)} |" for cells in lines]

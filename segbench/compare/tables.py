"""A comparison as CSV and Markdown, and the cells of its tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.across import across_table
from segbench.compare.comparison import Comparison
from segbench.compare.files import number
from segbench.compare.groups import Group, setting
from segbench.compare.labels import setting_words, short_names
from segbench.compare.runs import COSTS, Run
from segbench.compare.text import cost_text, csv_cell, interval_text, markdown_cell
from segbench.compare.verdict import Difference
from segbench.core.score_names import without_size

COST_HEADS = {
    "parameters": "params",
    "flops_per_image": "FLOPs",
    "images_per_second": "img/s",
    "peak_memory_bytes": "peak B",
    "seconds": "time",
}
FRONT_HEADS = {"parameters": "params", "flops_per_image": "FLOPs", "seconds": "time"}
FRONT_HEAD = "front"
INTERVAL_HEAD = "95 % interval"
TRIVIAL_HEAD = "one class"
"""Heading of the score of painting the most frequent class everywhere."""
FRONT = "front: no group has at least this quality for less (Pareto); params, FLOPs of one image, time of training"
"""What the columns mean, for below a table."""


def interval_legend(comparison: Comparison) -> str:
    """Return what the column of intervals speaks of."""
    known = {group.data for group in comparison.groups if group.summary.low is not None}
    bases = list(dict.fromkeys(answer.basis for answer in comparison.answers if answer.control.data in known))
    if not bases:
        return "95 % interval: none is known here"
    return f"95 % interval: of the score for {' / '.join(bases)}"


def verdict_on(comparison: Comparison, group: Group) -> tuple[str, Difference | None]:
    """Return the verdict on a group against the baseline or the chosen one; "" where there is none."""
    found = comparison.verdict_of(group)
    if found:
        return (found.word.value, found.difference)
    return ("", None)


def score_text(value: float | None) -> str:
    """Return a score with four decimals, or `-`."""
    if value is None:
        return "-"
    return f"{value:.4f}"


def run_words(comparison: Comparison, run: Run, *, short: bool = False) -> str:
    """Return what tells a run apart: `loss=dice seed=3`; its name alone where its settings cannot be read.

    Args:
        comparison: Whose columns tell runs apart.
        run: Any of its runs.
        short: `lr` for `optimizer.lr`, where no other setting ends so.
    """
    names = [*comparison.columns, *(["seed"] if "seed" not in comparison.columns else [])]
    shown = short_names(names) if short else names
    return " ".join(
        f"{word}={setting_words(setting(run, name))}"
        for word, name in zip(shown, names, strict=True)
        if setting(run, name)
    )


def to_csv(comparison: Comparison) -> str:
    """Return one row a group, then one for each run without final numbers; text like a formula is quoted."""
    heads = [
        "state",
        *comparison.columns,
        "n",
        "lost",
        comparison.metric,
        "sd",
        "low",
        "high",
        "images",
        "baseline_score",
        *chosen_heads(comparison),
        "best",
        "val_is_test",
        "data",
        *COSTS,
        "fronts",
        "verdict",
        "difference",
        "difference_low",
        "difference_high",
        "units",
        "reason",
        "run",
        "error",
    ]
    rows: list[list[str | float | None]] = [_csv_group(comparison, group) for group in comparison.groups]
    for run in comparison.others:
        row: list[str | float | None] = [run.state, *(setting(run, name) for name in comparison.columns)]
        row += [None] * (len(heads) - len(row) - 2)
        rows.append([*row, run.name, run.error])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([csv_cell(head) for head in heads])
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def chosen_heads(comparison: Comparison) -> list[str]:
    """Return the heading of the score that is chosen by, where it is another than the reported one."""
    measure = comparison.measure
    if measure.chosen_by == measure.metric:
        return []
    return [measure.chosen_by]


def _csv_group(comparison: Comparison, group: Group) -> list[str | float | None]:
    word, found = verdict_on(comparison, group)
    verdict = comparison.verdict_of(group)
    numbers = group.summary
    return [
        "completed",
        *group.settings.values(),
        numbers.n,
        sum(group.lost.values()),
        numbers.mean,
        numbers.sd,
        numbers.low,
        numbers.high,
        group.images,
        trivial_score(comparison, group),
        *(group.chosen.mean for _ in chosen_heads(comparison)),
        "best" if group.best else "",
        group.flattered,
        comparison.data_labels[group.data],
        *(group.costs.get(name) for name in COSTS),
        " ".join(group.fronts),
        "baseline" if group.baseline else word,
        *((found.value, found.low, found.high) if found else (None, None, None)),
        verdict.images if verdict else "",
        verdict.reason if verdict else "",
        group.runs[0].name,
        "",
    ]


def trivial_score(comparison: Comparison, group: Group) -> float | None:
    """Return the reported score of painting the most frequent class everywhere, None where it is not known.

    Of several draws of the data that are not pooled it is the mean.
    """
    if group.trivial is not None:
        return group.trivial
    split, _, name = comparison.metric.partition("/")
    draws = {run.fingerprints.get(split): run.baselines.get(split) for run in group.runs}
    scores = [_painted(baselines, without_size(name)) for baselines in draws.values()]
    known = [score for score in scores if score is not None]
    if not known:
        return None
    return sum(known) / len(known)


def _painted(baselines: object, name: str) -> float | None:
    entry = None
    if isinstance(baselines, dict):
        entry = baselines.get("most_frequent")
    if not isinstance(entry, dict):
        return None
    return number(entry.get(name))


def sentences(comparison: Comparison) -> list[str]:
    """Return what is to be said in words: the answers, then every verdict."""
    return [*answer_sentences(comparison), *verdict_sentences(comparison)]


def verdict_sentences(comparison: Comparison) -> list[str]:
    """Return every verdict, with the letter of its data where there are several."""
    labels = comparison.data_labels
    several = _has_several(comparison)
    return [
        f"data {labels[verdict.second.data]}: {verdict.sentence}" if several else verdict.sentence
        for verdict in comparison.verdicts
    ]


def _has_several(comparison: Comparison) -> bool:
    """Whether there are several data sets, so that a sentence has to say of which it speaks."""
    return len({group.data for group in comparison.groups}) > 1


def answer_sentences(comparison: Comparison) -> list[str]:
    """Return what the comparison of each data set comes to, the answer first."""
    labels = comparison.data_labels
    several = _has_several(comparison)
    said = [
        f"data {labels[answer.control.data]}: {text}" if several else text
        for answer in comparison.answers
        for text in answer.sentences
    ]
    return [*said, *(comparison.across.sentences if comparison.across else [])]


def to_markdown(comparison: Comparison) -> str:
    """Return tables, verdicts and notes in Markdown."""
    heads, rows = group_table(comparison)
    legend = f"{interval_legend(comparison)}. {FRONT}."
    if rows:
        lines = [*_markdown_table(heads, rows), "", legend]
    else:
        lines = ["No completed runs."]
    if comparison.others:
        cells = [[run.name, run.state, run_words(comparison, run), run.error] for run in comparison.others]
        lines += ["", *_markdown_table(["run", "state", "settings", "why"], cells)]
    if comparison.across:
        lines += ["", *_markdown_table(*across_table(comparison.across))]
    said = [*sentences(comparison), *comparison.notes]
    lines += ["", *(f"- {markdown_cell(sentence, 1000)}" for sentence in said)] if said else []
    return "\n".join(lines) + "\n"


def group_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the groups as text for users; nothing is escaped yet.

    The first column marks the chosen one with `*`; `data` is there only where numbers of different data stand side by
    side. Where val is the test, or they share images, the heading says so.
    """
    some = _SomeColumns(
        labels=comparison.data_labels,
        data=_has_several(comparison),
        images=any(group.images for group in comparison.groups),
        trivial=any(trivial_score(comparison, group) is not None for group in comparison.groups),
    )
    return _heads(comparison, some), [_cells(comparison, group, some=some) for group in comparison.groups]


@dataclass(frozen=True, kw_only=True)
class _SomeColumns:
    """Columns that are there only where a group has something to say in them."""

    labels: dict[str | None, str]
    """The letter of each data set."""
    data: bool
    """That letter."""
    images: bool
    """How many images or other units were resampled."""
    trivial: bool
    """The score of painting the most frequent class everywhere."""


def _heads(comparison: Comparison, some: _SomeColumns) -> list[str]:
    against = "against best"
    if any(group.baseline for group in comparison.groups):
        against = "against baseline"
    return [
        "",
        *comparison.columns,
        *["data"] * some.data,
        "n",
        *chosen_heads(comparison),
        metric_head(comparison, comparison.groups),
        "sd",
        INTERVAL_HEAD,
        *["images"] * some.images,
        *[TRIVIAL_HEAD] * some.trivial,
        *COST_HEADS.values(),
        FRONT_HEAD,
        against,
    ]


def metric_head(comparison: Comparison, groups: Sequence[Group]) -> str:
    """Return the heading of the reported score of some groups; it says whose val is the test, or shares images."""
    labels = comparison.data_labels
    data: dict[str, dict[str, None]] = {}
    for group in groups:
        if group.flattered:
            data.setdefault(group.flattered, {})[labels[group.data]] = None
    if not data:
        return comparison.metric
    said = list(data)
    if len({group.data for group in groups}) > 1:
        said = [f"data {', '.join(letters)}: {words}" for words, letters in data.items()]
    return f"{comparison.metric} ({'; '.join(said)})"


def _cells(comparison: Comparison, group: Group, *, some: _SomeColumns) -> list[str]:
    numbers = group.summary
    word = "baseline"
    if not group.baseline:
        word, _ = verdict_on(comparison, group)
    return [
        "*" if group.best else "",
        *map(setting_words, group.settings.values()),
        *[some.labels[group.data]] * some.data,
        count_text(group),
        *(score_text(group.chosen.mean) for _ in chosen_heads(comparison)),
        score_text(numbers.mean),
        score_text(numbers.sd),
        interval_text(numbers.low, numbers.high),
        *[group.images] * some.images,
        *[score_text(trivial_score(comparison, group))] * some.trivial,
        *(cost_text(name, group.costs.get(name)) for name in COSTS),
        " ".join(FRONT_HEADS[name] for name in group.fronts),
        word,
    ]


def count_text(group: Group) -> str:
    """Return how many runs count, and of how many: `3`, or `3 of 4` where one failed or was pruned."""
    lost = sum(group.lost.values())
    if lost:
        return f"{len(group.runs)} of {len(group.runs) + lost}"
    return str(group.summary.n)


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [[markdown_cell(cell) for cell in cells] for cells in (heads, *rows)]
    lines.insert(1, ["---"] * len(heads))
    return [f"| {' | '.join(cells)} |" for cells in lines]

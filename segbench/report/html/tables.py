"""The two sortable tables of the report: groups, and all runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group, lower_is_better, setting
from segbench.compare.labels import setting_words
from segbench.compare.runs import COSTS, Run
from segbench.compare.tables import (
    COST_HEADS,
    FRONT_HEAD,
    FRONT_HEADS,
    chosen_heads,
    count_text,
    interval_legend,
    metric_head,
    score_text,
    verdict_on,
)
from segbench.compare.text import LONGEST, cost_text, interval_text
from segbench.core.text import printable
from segbench.report.html.whiskers import Scale, Whisker

REPEATED = "left out: repeats settings and seed of a newer run"
UNPAIRED = "left out: not every setting was run with its other settings and seed, or on its data"
LEFT_OUT = {REPEATED: "repeat", UNPAIRED: "left out"}
"""Reasons why completed runs do not count, and what is shown as their state."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    """Its heading."""

    number: bool = False
    """Whether it is sorted as numbers and shown to the right."""

    falling: bool = False
    """Whether the first click puts the largest on top."""

    hint: str = ""
    """What a pointer over it shows."""


@dataclass(frozen=True)
class Cell:
    """A field of a table."""

    text: str
    """Printable text."""

    key: str = ""
    """The number that it is sorted by; empty where there is none."""

    kind: str = ""
    """A class of its looks."""

    hint: str = ""
    """What a pointer over it shows."""

    whisker: Whisker | None = None
    """An interval to draw in it."""


@dataclass(frozen=True)
class Row:
    """One group or run."""

    cells: list[Cell]
    """One for each column."""

    mark: str = ""
    """`best`, `baseline`, or the state of a run."""

    def packed(self) -> list[object]:
        """Return the mark and the cells, each its text alone, or a list of all it has."""
        return [self.mark, *map(_packed, self.cells)]


@dataclass(frozen=True)
class Table:
    """Columns and rows in the order in which they are first shown."""

    columns: list[Column]
    """From left to right."""

    rows: list[Row]
    """From top to bottom."""


def _packed(cell: Cell) -> str | list[object]:
    drawn = cell.whisker and [cell.whisker.low, cell.whisker.mean, cell.whisker.high]
    parts: list[object] = [cell.text, cell.key, cell.kind, cell.hint, drawn]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    if len(parts) == 1:
        return cell.text
    return parts


def groups_table(comparison: Comparison) -> Table:
    """Return best mark, differing settings, metric with interval, costs, Pareto fronts and verdict of every group."""
    labels = comparison.data_labels
    several = len({group.data for group in comparison.groups}) > 1
    if any(group.baseline for group in comparison.groups):
        against = "against baseline"
    else:
        against = "against best"
    metric = _metric_column(comparison)
    columns = [
        Column("mark", hint="best of its data, or the baseline"),
        *(Column(printable(name, 80)) for name in comparison.columns),
        *([Column("data", hint="numbers of different data are never compared")] if several else []),
        Column("n", number=True, hint="runs that count: one for each seed"),
        *_chosen_columns(comparison),
        metric,
        Column("sd", number=True, hint="standard deviation over seeds"),
        Column("95 % interval", number=True, falling=metric.falling, hint=interval_legend(comparison)),
        Column(against),
        Column(FRONT_HEAD, hint="nothing has at least this quality for less (Pareto)"),
        *_cost_columns(),
    ]
    scale = Scale.of([group.summary for group in comparison.groups])
    rows = []
    for group in comparison.groups:
        numbers = group.summary
        mark = "baseline" if group.baseline else ""
        if group.best:
            mark = "best"
        rows.append(
            Row(
                [
                    Cell(mark, kind="mark"),
                    *(_text(value) for value in group.settings.values()),
                    *([Cell(labels[group.data])] if several else []),
                    _number(count_text(group), numbers.n),
                    *(_number(score_text(group.chosen.mean), group.chosen.mean) for _ in chosen_heads(comparison)),
                    Cell(score_text(numbers.mean), _key(numbers.mean), "score", whisker=scale.whisker(numbers)),
                    _number(score_text(numbers.sd), numbers.sd),
                    _number(interval_text(numbers.low, numbers.high), numbers.low),
                    _verdict(comparison, group),
                    Cell(" ".join(FRONT_HEADS[name] for name in group.fronts), kind="front" if group.fronts else ""),
                    *_costs(group.costs),
                ],
                mark,
            )
        )
    return Table(columns, rows)


def runs_table(comparison: Comparison) -> Table:
    """Return state, name, settings, seed, metric, costs and error of every run: counting ones first, by rank."""
    names = [*comparison.columns, *(["seed"] if "seed" not in comparison.columns else [])]
    columns = [
        Column("state"),
        Column("run"),
        *(Column(printable(name, 80)) for name in names),
        *_chosen_columns(comparison),
        _metric_column(comparison),
        *_cost_columns(),
        Column("reason"),
    ]
    counting = [run for group in comparison.groups for run in group.runs]
    rows = [_run(comparison, run, names=names, reason="") for run in [*counting, *comparison.others]]
    for group in comparison.groups:
        rows += [_run(comparison, run, names=names, reason=UNPAIRED) for run in group.unpaired]
        rows += [_run(comparison, run, names=names, reason=REPEATED) for run in group.repeats]
    return Table(columns, rows)


def _run(comparison: Comparison, run: Run, *, names: Sequence[str], reason: str) -> Row:
    value = run.metrics.get(comparison.metric)
    return Row(
        [
            Cell(LEFT_OUT.get(reason, run.state), kind="state"),
            Cell(printable(run.name, LONGEST), kind="name"),
            *(_text(setting(run, name)) for name in names),
            *(_number(score_text(run.metrics.get(name)), run.metrics.get(name)) for name in chosen_heads(comparison)),
            Cell(score_text(value), _key(value), "score"),
            *_costs(run.costs),
            Cell(reason or printable(run.error or _forced(run), LONGEST), kind="reason"),
        ],
        "repeat" if reason else run.state,
    )


def _forced(run: Run) -> str:
    if not run.forced:
        return ""
    return f"resumed by force: {', '.join(run.forced)}"


def _metric_column(comparison: Comparison) -> Column:
    lower = lower_is_better(comparison.metric)
    hint = f"{'lower' if lower else 'higher'} is better"
    head = metric_head(comparison, comparison.groups)
    return Column(printable(head, 160), number=True, falling=not lower, hint=hint)


def _chosen_columns(comparison: Comparison) -> list[Column]:
    """Return the column of the score that is chosen by, where it is another than the reported one."""
    falling = not lower_is_better(comparison.metric)
    hint = "the best was chosen by this score"
    return [Column(printable(name, 80), number=True, falling=falling, hint=hint) for name in chosen_heads(comparison)]


def _cost_columns() -> list[Column]:
    return [Column(COST_HEADS[name], number=True, falling=name == "images_per_second") for name in COSTS]


def _costs(costs: dict[str, float]) -> list[Cell]:
    return [_number(cost_text(name, costs.get(name)), costs.get(name)) for name in COSTS]


def _verdict(comparison: Comparison, group: Group) -> Cell:
    if group.baseline:
        return Cell("baseline")
    word, found = verdict_on(comparison, group)
    size = f"{found.value:+.4f}" if found else ""
    if found and found.low is not None and found.high is not None:
        size += f", 95 % interval {found.low:+.4f} to {found.high:+.4f}"
    return Cell(word, kind="verdict" if word else "", hint=size)


def _text(value: str) -> Cell:
    """Return a setting; numbers among settings are sorted as numbers."""
    try:
        return Cell(printable(setting_words(value), 120), _key(float(value)))
    except ValueError:
        return Cell(printable(value, 120))


def _number(text: str, value: float | None) -> Cell:
    return Cell(text, _key(value), "number")


def _key(value: float | None) -> str:
    if value is None or value - value != 0:
        return ""
    return f"{value:.9g}"

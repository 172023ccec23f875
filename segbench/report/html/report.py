"""A comparison as one self-contained HTML page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice

from segbench import __version__
from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group, setting
from segbench.compare.tables import FRONT, answer_sentences, interval_legend, score_text, verdict_sentences
from segbench.compare.text import LONGEST
from segbench.compare.verdict import Verdict
from segbench.core.plain import Plain
from segbench.core.text import printable
from segbench.report.html import classes, curves, effects, pareto, pictures, plans, settings, unit_scores, worst
from segbench.report.html.choice import run_label
from segbench.report.html.page import render
from segbench.report.html.tables import Table, groups_table, runs_table
from segbench.report.html.whiskers import WIDTH

SYMBOLS = {
    "better": "▲",
    "worse": "▼",
    "may be as good": "≈",
    "too few seeds": "?",
    "not comparable": "✕",
    "completed": "●",
    "queued": "○",
    "running": "◐",
    "interrupted": "■",
    "pruned": "✂",
    "failed": "✕",
    "broken": "⚠",
    "repeat": "○",
    "best": "★",
    "baseline": "◆",
}
"""Said beside the colour, for those who do not see it."""
AT_FIRST = 100
"""Rows of a table that are shown at first, and without scripts; the others are packed data until they are asked for."""
FIRST_VERDICTS = 5
"""Sentences that are seen at once; the others unfold."""
MOST_VERDICTS = 300
"""Sentences that the page has; the table of groups has the words of all."""


def to_html(comparison: Comparison) -> str:
    """Return the page: tables, verdicts, curves, classes, pictures, settings and the Pareto plot.

    It opens from disk and needs no network. Reads further text files of the best runs, and their sample panels.
    """
    tables = {"groups": groups_table(comparison), "runs": runs_table(comparison)}
    return render(_packed(comparison, tables), _view(comparison, tables))


def _packed(comparison: Comparison, tables: Mapping[str, Table]) -> Plain:
    """Return what the scripts of the page draw from."""
    return {
        "runs": [_run(comparison, number) for number in range(len(comparison.runs))],
        "order": _order(comparison),
        "curves": curves.curve_data(comparison),
        "confusion": classes.confusion_data(comparison),
        "settings": settings.settings_data(comparison),
        "pareto": pareto.pareto_data(comparison),
        "effects": effects.effects_data(comparison),
        "plans": plans.plan_data(comparison),
        "tables": {name: [row.packed() for row in table.rows] for name, table in tables.items()},
        "symbols": SYMBOLS,
        "whisker": WIDTH,
        "at_first": AT_FIRST,
    }


def _view(comparison: Comparison, tables: Mapping[str, Table]) -> Plain:
    """Return what the template of the page shows."""
    return {
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "metric": printable(comparison.metric, 80),
        "chosen_by": printable(comparison.measure.chosen_by, 80),
        "split": printable(comparison.metric.partition("/")[0], 20),
        "counts": _counts(comparison),
        "best": _best(comparison),
        **tables,
        "answers": [printable(text, 1000) for text in answer_sentences(comparison)],
        "verdicts": [
            (verdict.word.value, printable(text, 1000), rests_on(comparison, verdict))
            for verdict, text in islice(
                zip(comparison.verdicts, verdict_sentences(comparison), strict=True), MOST_VERDICTS
            )
        ],
        "more_verdicts": max(len(comparison.verdicts) - MOST_VERDICTS, 0),
        "notes": [printable(note, 1000) for note in comparison.notes],
        "legends": [interval_legend(comparison), FRONT],
        "heat": classes.heat_map(comparison),
        "panels": pictures.sample_panels(comparison),
        "worst": worst.worst_images(comparison),
        "units": unit_scores.unit_scores(comparison) if comparison.groups else [],
        "limits": {
            "curves": curves.MAX_RUNS,
            "panels": pictures.MAX_PANELS,
            "matrices": classes.MAX_MATRICES,
            "worst": worst.MAX_RUNS,
            "images": worst.MAX_IMAGES,
            "verdicts": FIRST_VERDICTS,
            "rows": AT_FIRST,
        },
        "symbols": SYMBOLS,
        "whisker_width": WIDTH,
    }


def rests_on(comparison: Comparison, verdict: Verdict) -> list[tuple[str, str]]:
    """Return what a verdict was made from: the scores of the runs on both sides, and what was resampled."""
    sides = (("of the first", verdict.first), ("of the second", verdict.second))
    facts = [(f"runs {side}", ", ".join(_scores(comparison, group))) for side, group in sides]
    found = verdict.difference
    if found is not None and found.low is not None:
        facts.append(("interval", f"{score_text(found.low)} to {score_text(found.high)}, around {found.value:+.4f}"))
    facts += [("resampled", verdict.images), ("missing", verdict.reason)]
    return [(name, printable(text, 1000)) for name, text in facts if text]


def _scores(comparison: Comparison, group: Group) -> list[str]:
    scored = [run for run in group.runs if comparison.metric in run.metrics]
    return [f"seed {setting(run, 'seed') or '?'}: {score_text(run.metrics[comparison.metric])}" for run in scored]


def _run(comparison: Comparison, number: int) -> Plain:
    run = comparison.runs[number]
    return {"name": printable(run.name, LONGEST), "label": run_label(comparison, run), "state": run.state}


def _order(comparison: Comparison) -> list[int]:
    """Return the numbers of the runs, best of each group first; the rest as they lie."""
    numbers = {run: number for number, run in enumerate(comparison.runs)}
    first = [numbers[group.runs[0]] for group in comparison.groups]
    return list(dict.fromkeys([*first, *range(len(comparison.runs))]))


def _counts(comparison: Comparison) -> list[tuple[str, int]]:
    """Return how many runs, groups and runs in each other state there are."""
    states: dict[str, int] = {}
    for run in comparison.others:
        states[run.state] = states.get(run.state, 0) + 1
    return [("runs", len(comparison.runs)), ("groups", len(comparison.groups)), *sorted(states.items())]


def _told(group: Group) -> str:
    """Return what tells a group from those of its data, or from all others where it is the only one of its data."""
    if len(group.shared) == len(group.settings):
        return group.label
    return group.short_label


def _best(comparison: Comparison) -> list[dict[str, str]]:
    """Return label, score, interval, run and data of the best group of each data set, and whether val is the test."""
    several = len({group.data for group in comparison.groups}) > 1
    return [
        {
            "label": printable(_told(group), LONGEST),
            "flattered": group.flattered,
            "score": score_text(group.summary.mean),
            "low": score_text(group.summary.low),
            "high": score_text(group.summary.high),
            "run": printable(group.runs[0].name, LONGEST),
            "n": str(group.summary.n),
            "data": comparison.data_labels[group.data] if several else "",
        }
        for group in comparison.groups
        if group.best
    ]

"""A comparison as JSON: everything that its tables and sentences are made from."""

from __future__ import annotations

import json
from collections.abc import Callable

from segbench.compare.across import MARGINS, Across
from segbench.compare.answer import Answer
from segbench.compare.comparison import Comparison
from segbench.compare.groups import Group
from segbench.compare.tables import trivial_score
from segbench.compare.verdict import Verdict
from segbench.core.plain import Plain


def to_json(comparison: Comparison) -> str:
    """Return everything as JSON, indented."""
    groups = [_json_group(comparison, group) for group in comparison.groups]
    others = [
        {"run": run.name, "path": str(run.path), "state": run.state, "error": run.error, "settings": run.settings}
        for run in comparison.others
    ]
    place = comparison.groups.index
    whole = {
        "metric": comparison.metric,
        "chosen_by": comparison.measure.chosen_by,
        "columns": comparison.columns,
        "groups": groups,
        "others": others,
        "answers": [_json_answer(answer, place) for answer in comparison.answers],
        "verdicts": [_json_verdict(verdict, place) for verdict in comparison.verdicts],
        "notes": comparison.notes,
        "over": _json_across(comparison.across) if comparison.across else None,
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def _json_across(across: Across) -> Plain:
    contenders = [
        {
            **vars(one),
            "scores": dict(zip(across.data, one.scores, strict=True)),
            "profile": dict(zip(map(str, MARGINS), one.profile, strict=True)),
        }
        for one in across.contenders
    ]
    return {
        "data": across.data,
        "critical_difference": across.critical,
        "settings": contenders,
        "left_out": across.left_out,
        "sentences": across.sentences,
    }


def _json_group(comparison: Comparison, group: Group) -> Plain:
    metric = comparison.metric
    chosen_by = comparison.measure.chosen_by
    runs = [
        {
            "run": run.name,
            "path": str(run.path),
            "seed": run.settings.get("seed"),
            "value": run.metrics.get(metric),
            "chosen_by": run.metrics.get(chosen_by),
            "tags": run.tags,
            "note": run.note,
            "forced": list(run.forced),
        }
        for run in group.runs
    ]
    return {
        "settings": group.settings,
        **vars(group.summary),
        "chosen_by": group.chosen.mean,
        "best": group.best,
        "baseline": group.baseline,
        "val_is_test": bool(group.flattered),
        "images": group.images,
        "most_frequent_class": trivial_score(comparison, group),
        "lost": group.lost,
        "data": comparison.data_labels[group.data],
        "fingerprint": group.data,
        "costs": group.costs,
        "fronts": group.fronts,
        "runs": runs,
        "repeats": [run.name for run in group.repeats],
        "unpaired": [run.name for run in group.unpaired],
    }


def _json_answer(answer: Answer, place: Callable[[Group], int]) -> Plain:
    return {
        "control": place(answer.control),
        "judged": answer.judged,
        "may_be_best": [place(group) for group in answer.may_be_best],
        "expected_of_new_seeds": answer.expected,
        "detectable_difference": answer.detectable,
        "scope": answer.scope.value,
        "intervals_of": answer.basis,
        "sentences": answer.sentences,
    }


def _json_verdict(verdict: Verdict, place: Callable[[Group], int]) -> Plain:
    return {
        "first": place(verdict.first),
        "second": place(verdict.second),
        "word": verdict.word.value,
        **(vars(verdict.difference) if verdict.difference else {}),
        "units": verdict.images,
        "seeds": list(verdict.seeds),
        "reason": verdict.reason,
        "sentence": verdict.sentence,
    }

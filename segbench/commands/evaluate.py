"""`evaluate`: the scores of a run again, from its folder alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segbench.commands.output_paths import file_for
from segbench.core.choices import SCORED, one_of
from segbench.core.errors import ConfigError
from segbench.core.files import write_json
from segbench.core.states import RunState
from segbench.core.tasks import Head
from segbench.core.text import say
from segbench.report.reliability import draw_reliability
from segbench.report.summary import print_summary
from segbench.runs.results import CalibrationRecord, Results

if TYPE_CHECKING:
    from segbench.inference.evaluation import Evaluation


def evaluate_run(
    run: str,
    split: str,
    *,
    changes: Sequence[str],
    plugins: Sequence[str],
    out: Path | None,
    reliability: Path | None,
    console: Console,
) -> None:
    """Score a run's best checkpoint on a split, print the table, and say whether results.json has the same numbers.

    Args:
        run: The run folder.
        split: `val` or `test`.
        changes: Settings as `key=value`.
        plugins: The user's own packages that the run may name.
        out: JSON file for the scores; None for none.
        reliability: PNG for the reliability diagram; None for none.
        console: Where the table goes.
    """
    chosen = one_of(SCORED, split, what="split", why="to evaluate")
    from segbench.inference.evaluation import evaluate  # torch
    from segbench.inference.load import load_trained

    with _place(out), _place(reliability, ".png"):
        trained = load_trained(run, changes, plugins=plugins, scores=True)
        if reliability is not None and Head.MASK not in trained.config.task.heads:
            raise ConfigError("--reliability is about masks, and this run has depth alone; leave it out")
        report = evaluate(trained, chosen)
        results: Results = {
            "metrics": {name: {"best": value} for name, value in report["scores"].items()},
            "images": {split: report["images"]},
            "images_with_class": {split: report["images_with_class"]},
            "baselines": {split: report["baselines"]},
            "scored_at": {split: report["scored_at"]},
        }
        print_summary(console, results, classes=report["classes"], title=f"{report['images']:,} images of {split}")
        calibration = report["calibration"]
        if calibration is not None:
            say(console, _sureness(calibration))
        if out is not None:
            write_json(out, report)
        if reliability is not None and calibration is not None:
            draw_reliability(calibration, reliability, title=f"{trained.run.path.name}, {split}")
    say(
        console,
        _verdict(report, split, changes=changes, is_completed=trained.run.read_status()["state"] == RunState.COMPLETED),
    )


def _place(file: Path | None, suffix: str = "") -> AbstractContextManager[object]:
    if file is None:
        return nullcontext()
    return file_for(file, suffix)


def _sureness(calibration: CalibrationRecord) -> str:
    error = f"{calibration['expected_calibration_error']:.4f}"
    sure = f"{calibration['mean_confidence']:.4f}"
    right = f"{calibration['accuracy']:.4f}"
    return (
        f"expected calibration error {error}: predicted classes have a mean probability of {sure}, and {right} of the"
        " pixels are right"
    )


def _verdict(report: Evaluation, split: str, *, changes: Sequence[str], is_completed: bool) -> str:
    if not report["recorded"]:
        reason = "it was removed" if is_completed else "the run has not finished"
        return f"there is no results.json to compare with: {reason}"
    if not report["same_data"]:
        return "this is not the data of the training (another fingerprint), so the recorded scores do not compare"
    otherwise = [word for word in changes if word.lstrip("+").startswith("evaluate.")]
    if otherwise:
        return f"scored with other settings ({', '.join(otherwise)}), so the recorded scores do not compare"
    distance = {
        name: abs(report["scores"].get(name, math.inf) - value)
        for name, value in report["recorded"].items()
        if value is not None
    }
    differing = [name for name, off in distance.items() if not off <= 1e-6]
    if not differing:
        return f"the same as the run's own {split} scores in results.json"
    name = max(differing, key=lambda key: math.inf if math.isnan(distance[key]) else distance[key])
    return (
        f"{len(differing)} of {len(report['recorded'])} scores differ from results.json, most {name}:"
        f" {report['recorded'][name]:.6f} there, {report['scores'].get(name, math.nan):.6f} now (another device?)"
    )

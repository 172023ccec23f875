"""What came of a sweep: one row a job, the same however often the sweep was interrupted."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from segbench.core.files import write_atomic
from segbench.core.score_names import at_both_sizes
from segbench.sweeps.folder import JobState, SweepFolder
from segbench.sweeps.plan import Job

SCORES = at_both_sizes("val/mean_iou", "test/mean_iou", "test/mean_dice", "val/depth/rmse", "test/depth/rmse")


def write_summary(sweep: SweepFolder, jobs: Sequence[Job]) -> list[JobState]:
    """Write `summary.csv`, and return the state of every job.

    Columns: the job's name and state, what varies, the best epoch (from 1) and number of epochs, the scores of the best
    epoch's weights, the number of parameters, and the error.
    """
    states = [sweep.state(job) for job in jobs]
    varied = list(dict.fromkeys(key for job in jobs for key in job.varied))
    scores = [name for name in SCORES if any(_score(state, name) for state in states)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "state", *varied, "best_epoch", "epochs", *scores, "parameters", "error"])
    for job, state in zip(jobs, states, strict=True):
        results = state.results or {}
        best = results.get("best_epoch")
        writer.writerow(
            [
                job.name,
                state.state,
                *(job.varied.get(key, "") for key in varied),
                "" if best is None else best + 1,
                results.get("epochs", ""),
                *(_score(state, name) for name in scores),
                results.get("parameters", ""),
                " ".join(state.error.split()),
            ]
        )
    write_atomic(sweep.summary, text.getvalue())
    return states


def _score(state: JobState, name: str) -> str:
    metric = (state.results or {}).get("metrics", {}).get(name)
    value = None
    if isinstance(metric, dict):
        value = metric.get("best")
    if not isinstance(value, int | float) or math.isnan(value):
        return ""
    return f"{value:.6f}"

"""Scoring a trained run again: the same code, and so the same numbers, as at the end of its training."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import pytorch_lightning as pl

from segbench.core.choices import Split
from segbench.core.states import RunState
from segbench.core.tasks import Head
from segbench.inference.calibrated import CountConfidence
from segbench.inference.load import TrainedRun
from segbench.inference.module import score_split
from segbench.inference.trainer import make_trainer, prepare_torch
from segbench.metrics.split_scores import SplitScores
from segbench.runs.results import Baseline, CalibrationRecord, Results


class Evaluation(TypedDict):
    """The scores of a run, scored again."""

    scores: dict[str, float]
    """By name, such as `test/mean_iou`."""
    recorded: dict[str, float | None]
    """Those in results.json; empty for a run that has not finished."""
    data_fingerprint: str
    """Digest of the samples."""
    same_data: bool
    """Whether they are those of the run."""
    classes: list[str]
    """Names of the classes."""
    images: int
    """How many were scored."""
    scored_at: str
    """At which size, in words."""
    images_with_class: dict[str, int]
    """How many images show each class."""
    baselines: dict[str, Baseline]
    """What trivial predictions score."""
    calibration: CalibrationRecord | None
    """How sure the network is, and how often it is right; None for depth alone."""


def evaluate(trained: TrainedRun, split: Split) -> Evaluation:
    """Return the scores of `val` or `test` by name (`test/mean_iou`), and what the run recorded of the same."""
    counting = None
    if Head.MASK in trained.config.task.heads:
        counting = CountConfidence(len(trained.parts.data.classes))
    scores, metric = score_again(trained, split, callbacks=[counting] if counting else [])
    data = trained.parts.data
    finished = trained.run.read_status()["state"] == RunState.COMPLETED and trained.run.results.is_file()
    results: Results = trained.run.read_results() if finished else {}
    recorded = {name: value.get("best") for name, value in results.get("metrics", {}).items()}
    fingerprint = data.fingerprint(split)
    return {
        "scores": {f"{split}/{name}": value for name, value in scores.items()},
        "recorded": {name: value for name, value in recorded.items() if name.startswith(f"{split}/")},
        "data_fingerprint": fingerprint,
        "same_data": results.get("data_fingerprint", {}).get(split, fingerprint) == fingerprint,
        "classes": data.classes,
        "images": data.num_samples(split),
        "scored_at": metric.scored_at(),
        "images_with_class": metric.images_with_class(),
        "baselines": metric.baselines(),
        "calibration": counting.calibration.record() if counting else None,
    }


def score_again(
    trained: TrainedRun, split: Split, *, callbacks: list[pl.Callback]
) -> tuple[dict[str, float], SplitScores]:
    """Read the data of a run and score `val` or `test`; return the scores by name and the metrics with the counts.

    Args:
        trained: The run.
        split: `val` or `test`.
        callbacks: What looks at the predictions of each batch as well.
    """
    settings = trained.config.trainer
    # a loss of a batch, such as Dice, depends on what is in the batch: the same as the processes of the training had
    trained.parts.data.batch_size = max(1, trained.parts.data.batch_size // settings.devices)
    settings = replace(settings, devices=1, sync_batchnorm=False)
    prepare_torch(settings)
    trained.parts.read_data()
    trainer = make_trainer(settings, trained.run.path, callbacks=callbacks)
    return score_split(trainer, trained.module, data=trained.parts.data, split=split)

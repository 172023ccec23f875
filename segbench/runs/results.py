"""What results.json holds, and whether an object read from a file is that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, TypeGuard

from segbench.core.plain import Plain

Baseline = dict[str, str | float]
"""A trivial prediction: the `class` that it paints, or the `depth` that it tells, and its scores by name."""


class ConfidenceBin(TypedDict):
    """The labelled pixels whose predicted class has a probability within a range."""

    pixels: int
    """How many."""
    confidence: float
    """Their mean probability; 0 where there are none."""
    accuracy: float
    """The share of them that is right; 0 where there are none."""


class CalibrationRecord(TypedDict):
    """How sure a network is of a split, and how often it is right."""

    expected_calibration_error: float
    """Distance between confidence and accuracy, weighted by the pixels of each bin."""
    mean_confidence: float
    """Mean probability of the predicted class."""
    accuracy: float
    """Share of the labelled pixels that are right."""
    bins: list[ConfidenceBin]
    """By probability, in ranges of equal width from 0 to 1."""


class Score(TypedDict, total=False):
    """One score of a run."""

    best: float | None
    """That of the best epoch's weights; None where there is none."""
    last: float | None
    """That of the last epoch."""
    best_epoch: int | None
    """The best epoch, from 0."""


class SkippedSteps(TypedDict):
    """The steps that were left out, as their loss was not finite."""

    count: int
    """How many."""
    steps: list[int]
    """The first of their numbers."""


class Results(TypedDict, total=False):
    """The content of results.json; masks of another program have no more than their scores."""

    metrics: dict[str, Score]
    """The scores by name, such as `test/mean_iou`."""
    monitor: str
    """The score that chose the best epoch."""
    best_epoch: int
    """Its number from 0."""
    epochs: int
    """Epochs that were trained."""
    steps: int
    """Optimizer steps that were made."""
    validations_since_best: int
    """How often was validated after the best epoch."""
    images_trained: int
    """Images that were trained on, each as often as it was shown."""
    parameters: int
    """Weights of the network."""
    trained_parameters: int
    """Those that are trained."""
    flops_per_image: int
    """Floating-point operations of a forward pass."""
    images_per_second: float
    """Speed of the training; NaN where it was too short to be known."""
    peak_memory_bytes: int | None
    """The most memory that was taken; None where it cannot be asked."""
    seconds: float
    """Time that the training took."""
    cpu_seconds: float
    """Time that processors worked for it; NaN where a part of it was not counted."""
    classes: list[str]
    """Names of the classes."""
    normalisation: dict[str, list[float]]
    """`mean` and `std` by channel."""
    values: Plain | None
    """What the values of the files are; None for generated pictures."""
    confusion: dict[str, list[list[int]]]
    """Pixels by true class (row) and predicted class (column), by split."""
    images: dict[str, int]
    """Number of images by split."""
    scored_at: dict[str, str]
    """At which size was scored, in words, by split."""
    images_with_class: dict[str, dict[str, int]]
    """How many images show a class, by split and class."""
    baselines: dict[str, dict[str, Baseline]]
    """What trivial predictions score, by split and name."""
    data_fingerprint: dict[str, str]
    """Digest of the samples by split."""
    test_is_val: bool
    """Whether the test is the val split."""
    resumes: list[Plain]
    """The records of the resumes."""
    weights: object
    """What the network began with, as environment.json says."""
    compilation: object
    """What `trainer.compile=auto` decided, as environment.json says; None where nothing was measured."""
    rollbacks: int
    """How often the run went back to an earlier checkpoint."""
    stopped_early: bool
    """Whether `trainer.patience` ended it."""
    skipped_steps: SkippedSteps
    """The steps that were left out."""


def has_metrics(found: Mapping[str, object]) -> bool:
    """Return whether an object has scores by name."""
    metrics = found.get("metrics")
    return isinstance(metrics, dict) and all(isinstance(score, dict) for score in metrics.values())


def is_results(found: Mapping[str, object]) -> TypeGuard[Results]:
    """Return whether an object has what is asked of every results.json: scores, steps, and the monitor among them."""
    metrics = found.get("metrics")
    if not has_metrics(found) or not isinstance(metrics, dict) or not isinstance(found.get("steps"), int):
        return False
    return "best" in metrics.get(str(found.get("monitor")), {})

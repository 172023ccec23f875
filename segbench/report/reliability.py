"""The reliability diagram of a split: how often a network is right, by how sure it is."""

from __future__ import annotations

from pathlib import Path

from segbench.runs.results import CalibrationRecord


def draw_reliability(calibration: CalibrationRecord, path: Path, *, title: str) -> None:
    """Write the diagram as PNG: accuracy over confidence, and below it the share of the pixels.

    Args:
        calibration: What was counted.
        path: The PNG.
        title: Above the diagram.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = 1 / len(calibration["bins"])
    bins = [(number * width, one) for number, one in enumerate(calibration["bins"]) if one["pixels"]]
    total = sum(one["pixels"] for _, one in bins)
    left = [start for start, _ in bins]
    accuracy = [one["accuracy"] for _, one in bins]
    figure = Figure(figsize=(5, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.bar(left, accuracy, width, align="edge", edgecolor="white")
    upper.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="as sure as right")
    upper.plot([one["confidence"] for _, one in bins], accuracy, "o", color="tab:orange", label="mean of the bin")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of pixels that are right")
    upper.set_title(f"{title}\nexpected calibration error {calibration['expected_calibration_error']:.4f}")
    upper.legend(loc="upper left", fontsize="small")
    lower.bar(
        left, [one["pixels"] / total for _, one in bins], width, align="edge", color="tab:grey", edgecolor="white"
    )
    lower.set(xlabel="probability of the predicted class", ylabel="share of pixels")
    figure.savefig(path, dpi=110)

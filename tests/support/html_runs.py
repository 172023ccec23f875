"""Run folders with everything that the HTML report shows, some of them hostile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.fake_runs import some_counts, write_run

IMAGE_NAME = "<img src=x onerror=alert(1)>"
CLASS_NAME = "</script><script>window.hacked=1</script>"
CLASSES = ("sky", CLASS_NAME)


def add_curves(path: Path, seed: int, epochs: int = 40) -> None:
    """Write metrics.csv: a falling loss, a rising score, a learning rate in the rows of steps."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (epochs, 2))
    lines = ["split,epoch,step,train/loss,lr,val/loss,val/mean_iou"]
    for epoch, (one, two) in enumerate(noise):
        loss, step = np.exp(-epoch / 10) + 0.2, 10 * (epoch + 1)
        lines.append(f"train,{epoch},{step},{loss},{1e-3 * 0.9**epoch:.6g},,")
        lines.append(f"epoch,{epoch},{step},{loss + one / 9:.6g},,{loss + abs(one):.6g},{1 - loss / 1.3 + two:.6g}")
    (path / "metrics.csv").write_text("\n".join(lines) + "\n")


def add_pictures(path: Path, shade: int) -> None:
    """Write a sample panel of one shade of grey, 60 x 20."""
    (path / "samples").mkdir()
    Image.new("RGB", (60, 20), (shade, shade, shade)).save(path / "samples" / "test.png")


def add_confusion(path: Path, counts: object) -> None:
    """Add a confusion matrix of the test to results.json."""
    results = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(results | {"confusion": {"test": counts}}))


def study(folder: Path) -> Path:
    """Write 2 models x 2 losses x 2 seeds, and a running, a failed, a broken and an interrupted run of hostile name."""
    for number, (model, loss, seed) in enumerate(
        (m, lo, s) for m in ("unet", "fcn") for lo in ("dice", "focal") for s in (1, 2)
    ):
        recall = 0.85 - 0.05 * (loss == "focal") - 0.1 * (model == "fcn") + 0.01 * seed
        costs = {
            "parameters": 7e6 if model == "unet" else 1e5,
            "images_per_second": 30 if model == "unet" else 90,
            "seconds": 60.0 + number,
        }
        scores = {"test/iou/sky": recall + 0.1, f"test/iou/{CLASS_NAME}": recall - 0.1}
        counts = some_counts(30, recall, number)
        run = write_run(
            folder / f"{model}-{loss}-{seed}",
            seed=seed,
            model=model,
            loss=loss,
            costs=costs,
            metrics=scores,
            counts=counts,
            classes=CLASSES,
        )
        add_curves(run, number)
        add_pictures(run, 20 * number)
        add_confusion(run, [[900, 100], [50, 450 + number]])
    add_curves(write_run(folder / "now", state="running", loss="tversky", seed=3), 90, epochs=9)
    write_run(
        folder / "gone", state="failed", error="NonFiniteError: the loss is nan\nat step 7", loss="tversky", seed=4
    )
    write_run(folder / "torn").joinpath("results.json").write_text("{")
    write_run(folder / IMAGE_NAME, state="interrupted", loss="jaccard", seed=5)
    return folder

"""Writes run folders without training: the same files with numbers of our choice, a thousand in a second or two."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

CLASSES = ("background", "foreground")
OPTIONS = {
    "model": "unet",
    "loss": "dice",
    "data": "fgbg",
    "optimizer": "adamw",
    "scheduler": "onecycle",
    "augment": "none",
    "trainer": "default",
    "logger": "none",
    "loss/depth": "l1_ssim_edge",
}
CONFIG = """\
data:
  _target_: segbench.data.{data}
  size:
  - 32
  - 32
  train_size: 16
  batch_size: 16
model:
  _target_: segbench.models.{model}
  width: {width}
  heads:
    mask: 1
loss:
  _target_: segbench.losses.{loss}
  smooth: 1.0
optimizer:
  _target_: torch.optim.AdamW
  lr: {lr}
  betas:
  - 0.9
  - 0.999
trainer:
  max_epochs: 10
  gradient_clip: null
logger: {{}}
seed: {seed}
task: mask
inputs: image
name: {name}
about:
  choices:
{choices}
  versions:
    segbench: 0.1.0
  git_commit: 0123456789ab
"""


def write_run(
    path: Path,
    seed: int = 1,
    state: str = "completed",
    lr: str = "0.001",
    score: float | None = 0.5,
    val: float | None = None,
    counts: np.ndarray | None = None,
    fingerprint: str = "aaaa",
    test_is_val: bool = False,
    metrics: Mapping[str, float | None] = {},
    costs: Mapping[str, float] = {},
    classes: Sequence[str] = CLASSES,
    index: Sequence[int] | None = None,
    units: Mapping[str, Sequence[str]] = {},
    val_counts: np.ndarray | None = None,
    images: Mapping[str, int] = {},
    baselines: Mapping[str, object] = {},
    finished: float = 1.0,
    error: str | None = None,
    width: int = 32,
    **options: str,
) -> Path:
    """Write one run folder and return it.

    Args:
        path: The folder.
        score: `test/mean_iou`; taken from `counts` where those are given.
        val: `val/mean_iou`; by default the score.
        counts: int `[N, 3, C]`, true positives, false positives, false negatives: the rows of test_images.csv.
        options: Chosen options by group, such as `loss="focal"`.
    """
    path.mkdir(parents=True)
    chosen = {**OPTIONS, **options}
    choices = "\n".join(f"    {group}: {value}" for group, value in chosen.items())
    text = CONFIG.format(
        **{k: v for k, v in chosen.items() if "/" not in k},
        lr=lr,
        seed=seed,
        width=width,
        name=path.name,
        choices=choices,
    )
    (path / "config.yaml").write_text(text)
    status = {"state": state} | ({"finished": finished} if state == "completed" else {})
    (path / "status.json").write_text(json.dumps(status | ({"error": error} if error else {})))
    if counts is not None:
        write_images(path / "test_images.csv", counts, classes, index, units)
        score = mean_iou(counts.sum(axis=0))
    if val_counts is not None:
        write_images(path / "val_images.csv", val_counts, classes)
        val = mean_iou(val_counts.sum(axis=0))
    if state == "completed":
        val = score if val is None else val
        values = {"test/mean_iou": score, "val/mean_iou": val} if score is not None else {}
        values |= metrics
        known = {
            "parameters": 1000,
            "flops_per_image": 2e6,
            "images_per_second": 50.0,
            "peak_memory_bytes": 10**9,
            "seconds": 60.0,
            **costs,
        }
        results = {
            "metrics": {name: {"best": value, "last": value, "best_epoch": 3} for name, value in values.items()},
            "classes": list(classes),
            "data_fingerprint": {"train": "t", "val": "v", "test": fingerprint},
            "test_is_val": test_is_val,
            **known,
            "images": dict(images),
            "baselines": dict(baselines),
        }
        (path / "results.json").write_text(json.dumps(results))
    return path


def write_images(
    path: Path,
    counts: np.ndarray,
    classes: Sequence[str],
    index: Sequence[int] | None = None,
    units: Mapping[str, Sequence[str]] = {},
) -> None:
    """Write the table of images in the words of a run; `units` names the unit of each image, by factor."""
    heads = [
        "index",
        "image",
        *(f"unit/{name}" for name in units),
        "mean_iou",
        *(f"{kind}/{name}" for name in classes for kind in ("tp", "fp", "fn")),
    ]
    lines = [",".join(heads)]
    for place, (number, row) in enumerate(zip(index or range(len(counts)), counts, strict=True)):
        known = [labels[place] for labels in units.values()]
        lines.append(",".join(map(str, [number, f"{number:04d}.png", *known, 0.5, *row.T.ravel().tolist()])))
    path.write_text("\n".join(lines) + "\n")


def mean_iou(sums: np.ndarray) -> float:
    """Mean over occurring classes of tp / (tp + fp + fn), written as a loop: the oracle."""
    each = [hit / (hit + wrong + missed) for hit, wrong, missed in sums.T.tolist() if hit + wrong + missed]
    return sum(each) / len(each)


def some_counts(images: int, recall: float, seed: int, classes: int = 2) -> np.ndarray:
    """Return int `[N, 3, C]`: images of the same sizes for any `recall` and seed, found to about that share."""
    size = np.random.default_rng(0).integers(100, 400, (images, classes))
    hits = np.random.default_rng([7, seed]).binomial(size, recall)
    return np.stack([hits, size // 10, size - hits], axis=1)


def hostile(path: Path, kind: int) -> str:
    """Make a folder that tries something, one of HOSTILE, and return words of the reason it must be shown with."""
    write_run(path)
    name, content, reason = HOSTILE[kind % len(HOSTILE)]
    target = path / name
    target.unlink()
    if content is None:
        os.mkfifo(target)
    elif isinstance(content, Path):
        target.symlink_to(content)
    elif content != b"":
        target.write_bytes(content)
    return reason


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
HOSTILE: list[tuple[str, bytes | Path | None, str]] = [
    ("status.json", None, "not a regular file"),
    ("config.yaml", None, "not a regular file"),
    ("results.json", Path("/dev/zero"), "is a link"),
    ("config.yaml", BOMB, "not plain YAML"),
    ("config.yaml", b"model: {a: &a [x]}\nloss: &b {k: [*a]}\n", "not plain YAML"),
    ("config.yaml", b"model: !!python/object/apply:os.system ['touch pwned']\n", "not plain YAML"),
    ("config.yaml", b"model: " + b"[" * 30_000, "not plain YAML"),
    ("config.yaml", b"x" * 200_000, "larger than"),
    ("config.yaml", b"\xff\xfe\x00", "not text in UTF-8"),
    ("results.json", b'{"metrics": ', "not JSON"),
    ("results.json", b"[" * 100_000, "not JSON"),
    ("results.json", b"[1, 2]", "must hold a JSON object"),
    ("results.json", b'{"metrics": [1]}', "no metrics"),
    ("results.json", b"", "is missing"),
    ("status.json", b'{"state": "\\u001b[31mdone"}', "no state that a run can have"),
]
"""File of the run, what it is replaced by (None: a pipe without writer), words of the reason."""

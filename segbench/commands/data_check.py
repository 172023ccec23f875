"""`data check`: what a data set consists of, and everything that is wrong with it, listed together."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from typing import Any

from rich.console import Console

from segbench.commands.places import file_for
from segbench.config.instantiate import build
from segbench.core.classes import IGNORE_INDEX
from segbench.core.errors import DataError
from segbench.core.files import write_json
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import SPLITS
from segbench.data.pictures import listed
from segbench.data.statistics import Statistics, measure, repeated
from segbench.report.data_table import print_data_table

MAX_GENERATED = 500
"""Samples of each split of a generated set that are looked at: it may be endless."""


def check_data(config: dict[str, Any], out: Path | None, console: Console) -> int:
    """Print what the data consists of, write it as JSON, and return 0.

    All that can be read is counted even if there are problems, and the JSON is written before they are raised.

    Args:
        config: The composed, checked and resolved configuration as plain data.
        out: The JSON to write; None for none.
        console: Where to print the table.

    Raises:
        DataError: listing every problem, the first 20 by name; the JSON has them all.
    """
    with nullcontext() if out is None else file_for(out):
        data: SegmentationData = build(config["data"], plugins=config.get("plugins", ()), where="data")
        problems, usable = _prepare(data)
        limit = None if hasattr(data, "problems") else MAX_GENERATED
        splits = {split: measure(data, split, limit) for split in SPLITS} if usable else {}
        problems += _found_in_samples(data, splits, problems)
        report = _report(data, splits, problems)
        if splits:
            print_data_table(console, report)
        if out is not None:
            write_json(out, report)
    if out is not None and splits:
        console.print(f"all of it as JSON: {out.absolute()}", highlight=False, soft_wrap=True)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{count} in the data: {listed(problems)}")
    console.print("no problems found", highlight=False)
    return 0


def _prepare(data: SegmentationData) -> tuple[list[str], bool]:
    """Return all problems, and whether there are samples to count."""
    if hasattr(data, "problems"):
        problems = data.problems()
        return problems, any(data.num_samples(split) for split in SPLITS)
    try:
        data.prepare()
    except DataError as error:
        return [str(error)], False
    return [], True


def _found_in_samples(data: SegmentationData, splits: dict[str, Statistics], known: list[str]) -> list[str]:
    problems = []
    for split, statistics in splits.items():
        if not statistics.samples and not any(text.startswith(f"missing: the {split} split") for text in known):
            problems.append(f"missing: the {split} split has no usable pictures")
        for value, pixels in statistics.outside(len(data.classes)).items():
            problems.append(f"label: {split} has {pixels:,} pixels of id {value}, which is no class and not 255")
    # a test that is val by the person's own choice shares all pictures with it
    pairs = [p for p in combinations(splits, 2) if not (getattr(data, "test_is_val", False) and p[1] == "test")]
    for first, one, second, other in repeated(splits, pairs):
        names = data.describe_sample(first, one), data.describe_sample(second, other)
        problems.append(f"duplicate: {names[1]} of {second} shows the same picture as {names[0]} of {first}")
    return problems


def _report(data: SegmentationData, splits: dict[str, Statistics], problems: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = {
        "data": type(data).__name__,
        "classes": data.classes,
        "size": list(data.size),
        "splits": {split: _split(data, split, statistics) for split, statistics in splits.items()},
        "problems": problems,
    }
    if splits:
        mean, std = splits["train"].mean_std()
        weights = splits["train"].class_weights(len(data.classes)).tolist()
        report["train"] = {
            "mean": mean, "std": std, "declared_mean": list(data.mean), "declared_std": list(data.std),
            "median_frequency_weights": dict(zip(data.classes, weights, strict=True)),
        }  # fmt: skip
    return report


def _split(data: SegmentationData, split: str, statistics: Statistics) -> dict[str, Any]:
    shares = statistics.shares(len(data.classes))
    classes = {
        name: {"pixels": int(statistics.pixels[k]), "share": shares[k], "pictures": int(statistics.pictures[k])}
        for k, name in enumerate(data.classes)
    }
    void = {
        "pixels": int(statistics.pixels[IGNORE_INDEX]),
        "share": statistics.void_share(),
        "pictures": int(statistics.pictures[IGNORE_INDEX]),
    }
    return {
        "describe": data.describe(split),
        "samples": data.num_samples(split),
        "looked_at": statistics.samples,
        "classes": classes,
        "void": void,
        "never": [name for name, entry in classes.items() if not entry["pictures"]],
        "outside": statistics.outside(len(data.classes)),
        "repeated": statistics.samples - len(statistics.digests),
    }

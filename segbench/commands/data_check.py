"""`data check`: what a data set consists of, and everything that is wrong with it, listed together."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import combinations
from pathlib import Path

from rich.console import Console

from segbench.commands.output_paths import file_for
from segbench.config.instantiate import build
from segbench.config.schema import RunConfig
from segbench.core.choices import SPLITS, Split
from segbench.core.errors import DataError
from segbench.core.files import write_json
from segbench.core.tasks import IGNORE_INDEX
from segbench.core.text import say
from segbench.data.files.dataset import FileData
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.problems import Problems, number_of, one_line
from segbench.data.statistics import Statistics, measure, repeated
from segbench.report.data_table import DataReport, Occurrence, SplitReport, print_data_table

MAX_GENERATED = 500
"""Samples of each split of a generated set that are looked at: it may be endless."""


def check_data(config: RunConfig, out: Path | None, *, console: Console) -> int:
    """Print what the data consists of, write it as JSON where that is asked for, and return 0.

    All that can be read is counted even if there are problems, and the JSON is written before they are raised.

    Args:
        config: The checked configuration.
        out: The JSON to write; None for none.
        console: Where to print the table.

    Raises:
        DataError: telling of every kind of problem once; the JSON has each by name.
    """
    with nullcontext() if out is None else file_for(out):
        data: SegmentationData = build(config.data, plugins=config.plugins, where="data")
        problems, usable = _prepare(data)
        limit = None
        if not isinstance(data, FileData):
            limit = MAX_GENERATED
        splits = {}
        if usable:
            splits = {split: measure(data, split, limit=limit) for split in SPLITS}
        _add_found_in_samples(data, splits, problems=problems)
        report = _report(data, splits, problems=problems)
        if splits:
            print_data_table(console, report)
        for note in data.notes:
            say(console, f"note: {note}")
        if out is not None:
            write_json(out, report)
    if out is not None and splits:
        say(console, f"all of it as JSON: {out.absolute()}")
    if problems:
        advice = ""
        if out is None and len(problems) > 1:
            advice = "; out=FILE.json lists each by name"
        raise DataError(f"{number_of(problems)} in the data: {one_line(problems)}{advice}")
    notes = len(data.notes)
    last = "no problems found"
    if notes:  # which may weigh more than a problem: "no problems" would be read as "all is well"
        last = "nothing has to be mended, but see the note" + "s" * (notes > 1)
    console.print(last, highlight=False)
    return 0


def _prepare(data: SegmentationData) -> tuple[Problems, bool]:
    """Return all problems, and whether there are samples to count."""
    if isinstance(data, FileData):
        problems = data.problems()
        return problems, any(data.num_samples(split) for split in SPLITS)
    problems = Problems()
    try:
        data.prepare()
    except DataError as error:
        problems.add("", str(error))
    return problems, not problems


def _add_found_in_samples(data: SegmentationData, splits: dict[Split, Statistics], *, problems: Problems) -> None:
    explained = any(problem.kind == "missing" and not problem.name for problem in problems)
    for split, statistics in splits.items():
        if not statistics.samples and not explained:
            problems.add("missing", f"the {split} split has no usable pictures")
        for value, pixels in statistics.outside(len(data.classes)).items():
            problems.add("label", f"{split} has {pixels:,} pixels of id {value}, which is no class and not 255")
    # a test that is val by the user's own choice shares all pictures with it
    pairs = [pair for pair in combinations(splits, 2) if not (data.test_is_val and pair[1] == Split.TEST)]
    for first, one, second, other in repeated(splits, pairs):
        what = f"it shows the same picture as {{}} of {first}"
        name = data.describe_sample(second, other)
        detail = data.describe_sample(first, one)
        problems.add("duplicate", what, name=name, among=f"pictures of {second}", detail=detail)


def _report(data: SegmentationData, splits: dict[Split, Statistics], *, problems: Problems) -> DataReport:
    report: DataReport = {
        "data": type(data).__name__,
        "classes": data.classes,
        "size": list(data.size),
        "splits": {split: _split(data, split, statistics=statistics) for split, statistics in splits.items()},
        "problems": [str(problem) for problem in problems],
        "notes": list(data.notes),
    }
    if splits:
        mean, std = splits[Split.TRAIN].mean_std()
        weights = splits[Split.TRAIN].class_weights(len(data.classes)).tolist()
        report["train"] = {
            "mean": mean,
            "std": std,
            "declared_mean": None if data.mean is None else list(data.mean),
            "declared_std": None if data.std is None else list(data.std),
            "bands": data.channels.bands,
            "values": data.values_record(),
            "notes": list(data.notes),
            "median_frequency_weights": dict(zip(data.classes, weights, strict=True)),
        }
    return report


def _split(data: SegmentationData, split: Split, *, statistics: Statistics) -> SplitReport:
    shares = statistics.shares(len(data.classes))
    classes: dict[str, Occurrence] = {
        name: {"pixels": int(statistics.pixels[k]), "share": shares[k], "pictures": int(statistics.pictures[k])}
        for k, name in enumerate(data.classes)
    }
    void: Occurrence = {
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

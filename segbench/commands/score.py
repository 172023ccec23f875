"""`score`: masks that any program predicted, scored into a run folder that `compare` treats like any other."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console

from segbench.commands.data_export import LOADING, without_loading
from segbench.commands.output_paths import folder_for
from segbench.config.compose import chosen_options, compose_config, run_config
from segbench.config.continued import recorded_choices
from segbench.config.instantiate import build
from segbench.config.quoting import rendered
from segbench.config.saved import read_saved_config, with_changes
from segbench.config.schema import Part, RunConfig
from segbench.config.words import spelled_out
from segbench.core.choices import SCORED, one_of
from segbench.core.errors import ConfigError
from segbench.core.plain import Plain
from segbench.core.states import RunState
from segbench.core.terminal import outliving_the_terminal
from segbench.core.text import say
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.predictions import Paired, PredictionReader, pair_predictions
from segbench.inference.scoring import Scored, score_masks
from segbench.report.panels import draw_panel
from segbench.report.summary import print_summary
from segbench.runs.environment import git_commit, versions
from segbench.runs.folder import RunFolder, open_run
from segbench.runs.results import Results, Score
from segbench.training.results import write_per_image

SETTINGS = ("data", "seed", "name", "tags", "note", "plugins", "experiment", "hydra.searchpath")
"""What can be set: the data, and words on the predictions."""


@outliving_the_terminal()
def score_predictions(
    words: Sequence[str],
    predictions: Path,
    *,
    splits: Sequence[str] = ("test",),
    out: Path | None = None,
    masks: str = "auto",
    suffix: str | None = None,
    like: Path | None = None,
    console: Console | None = None,
) -> RunFolder:
    """Score a folder of predictions, write the run folder, print the table, and return the folder.

    Args:
        words: Settings as `key=value`: those of the data, `name` (what `compare` calls it, as `model`; the folder's
            name by default), `seed`, `tags` and `note`.
        predictions: The folder.
        splits: `val`, `test` or both; the folder has a prediction of every picture in them.
        out: The folder to write, new or empty; by default `outputs/<name>/<stamp>`.
        masks: Kind of the masks; see `PredictionReader`.
        suffix: What names of predictions end in after the picture's; by default nothing, or `_mask`.
        like: A run whose data it is, with all its settings; `words` then only say where that lies now.
        console: Where the table goes.

    Raises:
        ConfigError: for settings, or a place that cannot be written.
        DataError: listing everything about the predictions that does not fit the data.
    """
    console = console or Console()
    chosen = [one_of(SCORED, split, what="split", why="to score") for split in splits]
    _check_words(words)
    if not any(word.startswith("name=") for word in words):
        words = [*words, f"name={rendered(predictions.resolve().name)}"]
    composed = compose_config(spelled_out(words))
    config = run_config(composed)
    choice = chosen_options(composed).get("data", "")
    if like is not None:
        saved = _saved(like, [word for word in words if word.startswith("data")])
        config = replace(config, data=Part.of(saved["data"], "data"))
        choice = recorded_choices(saved).get("data", "")
    run = _new_folder(out or Path(composed.hydra.run.dir))
    data = _data(config)
    paired = pair_predictions(predictions, data, splits=chosen, suffix=suffix)
    scored = score_masks(data, paired, reader=PredictionReader(data, masks), splits=chosen)
    results = _results(data, scored)
    with folder_for(run.path):
        _write(run, _recorded(config, choice, predictions=predictions), data=data, scored=scored)
        run.write_results(results)
        run.write_status(RunState.COMPLETED, finished=time.time())
    count = sum(results["images"].values())
    print_summary(console, results, classes=data.classes, title=f"{count:,} predictions of {' and '.join(splits)}")
    for line in [*_remarks(data, scored, paired=paired), f"run folder {run.path}"]:
        say(console, line)
    return run


def _new_folder(place: Path) -> RunFolder:
    run = RunFolder(place.absolute())
    if run.path.is_dir() and any(run.path.iterdir()):
        raise ConfigError(f"{run.path} is not empty; give a new folder as out=DIR")
    return run


def _check_words(words: Sequence[str]) -> None:
    for word in words:
        key = word.lstrip("+").partition("=")[0]
        if key.split(".")[0] not in SETTINGS and key not in SETTINGS:
            raise ConfigError(
                f"'{word}' says nothing about masks that were predicted elsewhere; settings here are those of data, and"
                " seed, name, tags, note"
            )


def _data(config: RunConfig) -> SegmentationData:
    data: SegmentationData = build(without_loading(config.data), plugins=config.plugins, where="data")
    data.prepare()
    return data


def _saved(like: Path, words: Sequence[str]) -> Plain:
    for word in words:
        if word.startswith("data="):
            raise ConfigError(f"'{word}': with --like the data is that of the run; leave one of the two out")
    return with_changes(read_saved_config(open_run(like).config), words)


def _recorded(config: RunConfig, data_choice: str, *, predictions: Path) -> Plain:
    """Return what config.yaml holds: the settings that these scores have, and no others."""
    data = {name: value for name, value in config.data.plain().items() if name not in LOADING}
    about = {
        "choices": {"model": config.name, "data": data_choice},
        "versions": versions(),
        "git_commit": git_commit(),
    }
    labels = {"seed": config.seed, "name": config.name, "tags": list(config.tags), "note": config.note}
    return {"data": data, **labels, "task": "mask", "predictions": str(predictions.absolute()), "about": about}


def _results(data: SegmentationData, scored: Scored) -> Results:
    metrics: dict[str, Score] = {
        f"{split}/{name}": {"best": value, "last": value, "best_epoch": None}
        for split, scores in scored.scores.items()
        for name, value in scores.compute().items()
    }
    return {
        "metrics": metrics,
        "monitor": f"{list(scored.scores)[-1]}/mean_iou",
        "steps": 0,
        "classes": data.classes,
        "confusion": {split: one.masks.counts.tolist() for split, one in scored.scores.items() if one.masks},
        "images": {split: data.num_samples(split) for split in scored.scores},
        "scored_at": {split: scores.scored_at() for split, scores in scored.scores.items()},
        "images_with_class": {split: scores.images_with_class() for split, scores in scored.scores.items()},
        "baselines": {split: scores.baselines() for split, scores in scored.scores.items()},
        "data_fingerprint": {split: data.fingerprint(split) for split in scored.scores},
        "test_is_val": data.test_is_val,
    }


def _write(run: RunFolder, recorded: Plain, *, data: SegmentationData, scored: Scored) -> None:
    run.write_text(run.config, OmegaConf.to_yaml(OmegaConf.create(recorded)))
    run.add_command(sys.orig_argv)
    for split, scores in scored.scores.items():
        write_per_image(run.per_image(split), scores, data=data, split=split)
    draw_panel(scored.rows, data.classes, path=run.samples / "test.png")
    scored.worst.write(run.worst)


def _remarks(data: SegmentationData, scored: Scored, *, paired: Paired) -> list[str]:
    height, width = data.size
    remarks = []
    if paired.by_number:
        remarks.append("the predictions are named by the numbers that segbench data export gives the pictures")
    if scored.upsampled:
        remarks.append(
            f"{scored.upsampled:,} predictions for pictures at data.size=[{height},{width}] were brought to their own"
            " size, at which they are scored (nearest pixel)"
        )
    if paired.others:
        remarks.append(f"{paired.others:,} files of pictures that are not scored were not looked at")
    return remarks

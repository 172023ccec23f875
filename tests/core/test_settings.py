"""Which settings make an experiment what it is."""

from pathlib import Path

import pytest
import yaml

from segbench.compare.groups import identify
from segbench.compare.runs import find_runs
from segbench.compare.settings import differing
from segbench.config.compose import compose_config, run_config
from segbench.config.paths import conf_dir
from segbench.config.reference import settings
from segbench.config.resume_rules import differing_settings
from segbench.config.schema import RunConfig, hints_of
from segbench.core.settings import is_experimental
from tests.support.fake_runs import write_run

OUTCOME = {
    "max_epochs",
    "max_steps",
    "precision",
    "accumulate",
    "gradient_clip",
    "val_every",
    "ema",
    "ema_warmup",
    "freeze",
    "unfreeze_at",
    "sync_batchnorm",
    "patience",
    "non_finite",
}
NO_OUTCOME = {
    "accelerator",
    "devices",
    "strategy",
    "deterministic",
    "channels_last",
    "compile",
    "log_every",
    "checkpoint_every",
    "checkpoint_minutes",
    "panels_every",
    "plots",
    "profile",
    "threads",
}


RUN_OUTCOME = {
    *("seed", "task", "depth_weight", "inputs", "resolution"),
    *("evaluate.score_at", "evaluate.tile", "evaluate.overlap", "evaluate.tta"),
}
RUN_NO_OUTCOME = {
    "weights.dirs",
    "weights.download",
    "evaluate.boundary",
    "resume.force",
    "tags",
    "note",
    "plugins",
    "name",
}

DATA_OUTCOME = {
    *("_target_", "classes", "entries", "size", "bands", "range", "mean", "std", "batch_size", "seed", "augment"),
    *("train_size", "val_size", "test_size", "val_share", "test_share", "missing_test", "split", "splits", "lists"),
    *("fit", "view", "scale", "crop_class_share", "crop_balanced", "group", "folds", "fold", "official"),
    *("masks", "labels", "ignore", "threshold", "mask_threshold", "mask_suffixes", "without_mask", "boxes", "crowd"),
    *("mode", "categories", "min_area", "overlap", "keep_empty", "block", "window", "lanes", "fresh"),
    *("background", "background_margin", "blend", "colour", "colours", "flip", "gain", "objects", "offsets"),
    *("image", "mask", "tool", "placement", "position", "depth.horizon", "depth.far", "depth.object_height"),
}
DATA_NO_OUTCOME = {
    *("root", "name", "images", "mask_files", "annotations", "panoptic", "class_dict", "depth.from_folder"),
    *("val_images", "val_annotations", "test_images", "test_annotations"),
    *("foregrounds", "backgrounds", "mnist", "cifar"),
    *("num_workers", "pin_memory", "download", "cache", "cache_gb", "storage", "display"),
}
PARTS = ("model", "loss", "optimizer", "scheduler", "augment", "logger", "callbacks", "metrics")
FREE = ("labels", "lists", "splits", "storage")
"""Mappings whose keys are the user's."""


def keys_of_data():
    """Return the settings of all data sets, those within a setting by dotted name."""
    found = set()
    for file in (conf_dir() / "data").glob("*.yaml"):
        for name, value in yaml.safe_load(file.read_text()).items():
            if isinstance(value, dict) and name not in FREE:
                found |= {f"{name}.{inner}" for inner in value}
            elif name != "defaults":
                found.add(name)
    return found


def test_every_setting_of_every_run_is_decided_on():
    trainer = {f"trainer.{name}": name in OUTCOME for name in OUTCOME | NO_OUTCOME}
    others = {name: name in RUN_OUTCOME for name in RUN_OUTCOME | RUN_NO_OUTCOME}
    assert {one.key: is_experimental(one.key) for one in settings()} == trainer | others
    assert {*hints_of(RunConfig)} - {key.partition(".")[0] for key in trainer | others} == {"data", *PARTS}


def test_every_setting_of_data_is_decided_on():
    decided = {name: is_experimental(f"data.{name}") for name in keys_of_data()}
    assert decided == {name: name in DATA_OUTCOME for name in DATA_OUTCOME | DATA_NO_OUTCOME}


@pytest.mark.parametrize("key", sorted(f"data.{name}" for name in DATA_NO_OUTCOME) + sorted(RUN_NO_OUTCOME))
def test_what_decides_nothing_may_be_changed_by_a_resume(key):
    config = run_config(compose_config([]))
    before = config.plain()
    node = before
    for name in key.split(".")[:-1]:
        node = node[name]
    node[key.rpartition(".")[2]] = "something else"
    assert differing_settings(before, config) == []


@pytest.mark.parametrize(
    ("key", "decides"),
    [
        ("trainer", False),
        ("logger", False),
        ("logger.tensorboard.save_dir", False),
        ("data.root", False),
        ("data.name", False),
        ("data.mask", True),
        ("data.num_workers", False),
        ("name", False),
        ("about.git_commit", False),
        ("plugins", False),
        ("data.size", True),
        ("data.display", False),
        ("data.storage.endpoint_url", False),
        ("data.depth.from_folder", False),
        ("data.depth.far", True),
        ("data.images_per_scene", True),
        ("namely", True),
        ("callbacks.norms.every", True),
        ("metrics.kappa.num_classes", False),
        ("optimizer.lr", True),
        ("model", True),
        ("data", True),
        ("augment", True),
        ("seed", True),
        ("task", True),
    ],
)
def test_what_a_setting_decides(key, decides):
    assert is_experimental(key) is decides


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_runs_that_differ_in_where_and_how_they_ran_are_one_group(tmp_path):
    for seed in range(4):
        write_run(tmp_path / f"r{seed}", seed=seed, trainer="gpu" if seed % 2 else "default")
        config = tmp_path / f"r{seed}" / "config.yaml"
        rewrite(config, "  gradient_clip: null\n", f"  gradient_clip: null\n  devices: {seed + 1}\n  threads: {seed}\n")
        rewrite(config, "logger: {}\n", f"logger:\n  tensorboard:\n    save_dir: /d{seed}\n")
        rewrite(config, "  train_size: 16\n", f"  train_size: 16\n  root: /data{seed}\n  num_workers: {seed}\n")
    runs = find_runs([tmp_path])
    assert len({identify(run) for run in runs}) == 1
    assert differing([run.settings for run in runs]) == []


def test_what_the_trainer_option_brings_along_is_shown_and_divides(tmp_path):
    for number, (option, epochs) in enumerate([("default", "10"), ("gpu", "30")]):
        write_run(tmp_path / f"r{number}", trainer=option)
        rewrite(tmp_path / f"r{number}" / "config.yaml", "max_epochs: 10", f"max_epochs: {epochs}")
    runs = find_runs([tmp_path])
    assert len({identify(run) for run in runs}) == 2
    assert differing([run.settings for run in runs]) == ["trainer.max_epochs"]


def without_later_settings(run, weight_decay):
    """Make it a run of before there were the settings that came later."""
    rewrite(run / "config.yaml", "  lr: 0.001\n", f"  lr: 0.001\n  weight_decay: {weight_decay}\n")


def with_later_settings(run, weight_decay, decay_norms):
    rewrite(
        run / "config.yaml",
        "  lr: 0.001\n",
        f"  lr: 0.001\n  weight_decay: {weight_decay}\n  encoder_lr_factor: 1.0\n  layer_decay: 1.0\n"
        f"  decay_norms: {decay_norms}\n",
    )
    later = "  freeze: null\n  unfreeze_at: null\n  sync_batchnorm: false\n"
    rewrite(run / "config.yaml", "  gradient_clip: null\n", f"  gradient_clip: null\n{later}")
    rewrite(run / "config.yaml", "  heads:\n", "  init_from: null\n  heads:\n")
    rewrite(run / "config.yaml", "logger: {}\n", "logger: {}\nweights:\n  dirs: []\n  download: false\n")


@pytest.mark.parametrize(
    ("weight_decay", "decay_norms", "apart"),
    [
        ("0.01", "true", []),
        ("0.01", "false", ["optimizer.decay_norms"]),  # all weights decayed before there was this setting
        ("0.0", "false", []),
    ],
)
def test_a_run_of_before_a_setting_is_one_of_its_former_meaning(tmp_path, weight_decay, decay_norms, apart):
    without_later_settings(write_run(tmp_path / "before", seed=1), weight_decay)
    with_later_settings(write_run(tmp_path / "now", seed=2), weight_decay, decay_norms)
    runs = find_runs([tmp_path])
    assert differing([run.settings for run in runs]) == apart
    assert len({identify(run) for run in runs}) == 1 + len(apart)

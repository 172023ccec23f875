"""Which settings make an experiment what it is."""

from pathlib import Path

import pytest
import yaml

from segbench.compare.groups import identify
from segbench.compare.runs import find_runs
from segbench.compare.settings import differing
from segbench.config.paths import conf_dir
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
    "threads",
}


def test_every_setting_of_the_trainer_is_decided_on():
    settings = yaml.safe_load((conf_dir() / "trainer" / "default.yaml").read_text())
    assert {*settings} == OUTCOME | NO_OUTCOME
    assert {name for name in settings if is_experimental(f"trainer.{name}")} == OUTCOME


@pytest.mark.parametrize(
    ("key", "decides"),
    [
        ("trainer", False),
        ("logger", False),
        ("logger.tensorboard.save_dir", False),
        ("data.root", False),
        ("data.num_workers", False),
        ("name", False),
        ("about.git_commit", False),
        ("plugins", False),
        ("data.size", True),
        ("data.images_per_scene", True),
        ("namely", True),
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

"""A resume builds what config.yaml describes, with what is typed now applied on it."""

from pathlib import Path

import pytest
import yaml

from segbench import cli
from segbench.config.paths import conf_dir
from segbench.runs.metrics_log import read_metrics

MORE = "trainer.max_epochs=2"
CAM = """
_target_: segbench.data.loading.augment.Augment
transforms:
- _target_: albumentations.HorizontalFlip
  p: 0.5
"""
NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, image):
        return self.layer(image)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Options of one's own in a folder, and the words that find them."""
    for group, text in (("augment", CAM), ("model", "_target_: mylab_net.Net\n")):
        (tmp_path / "options" / group).mkdir(parents=True)
        (tmp_path / "options" / group / "cam.yaml").write_text(text)
    (tmp_path / "mylab_net.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    return [f"hydra.searchpath=[file://{tmp_path / 'options'}]"]


def saved(run="run"):
    return yaml.safe_load((Path(run) / "config.yaml").read_text())


def test_options_of_ones_own_need_no_search_path(command, tiny, own):
    assert command(*tiny, *own, "augment=cam", "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    before = saved()
    outcome = command("resume=run", MORE)
    assert outcome.code == 0, outcome.err
    assert saved()["augment"] == before["augment"] == yaml.safe_load(CAM)
    assert saved()["about"]["choices"]["augment"] == "cam"


def test_classes_of_ones_own_need_plugins_in_the_same_word_everywhere(command, tiny, own, pictures):
    tiny = [word for word in tiny if not word.startswith("model.")]
    words = [*own, "model=cam", "plugins=[mylab_net]", "scheduler=none", "trainer.max_epochs=1", "hydra.run.dir=run"]
    assert command(*tiny, *words).code == 0
    picture = str(sorted(pictures["backgrounds"].iterdir())[0])
    verbs = {
        "resume": (["resume=run", MORE], {}),
        "evaluate": (["evaluate", "run"], {"entry": cli.main}),
        "verify": (["verify", "run"], {"entry": cli.main}),
        "predict": (["predict", "run", picture, "--out", "out"], {"entry": cli.main}),
    }
    for verb, (arguments, entry) in verbs.items():
        refused = command(*arguments, **entry)
        assert refused.code == 2, verb
        assert "give plugins=[mylab_net] on the command line" in refused.err
        outcome = command(*arguments, "plugins=[mylab_net]", **entry)
        assert outcome.code == 0, (verb, outcome.err)


def test_options_and_settings_are_applied_on_what_is_recorded(command, tiny):
    assert command(*tiny, "trainer.max_epochs=1", "optimizer.lr=0.02", "hydra.run.dir=run").code == 0
    words = [
        "resume=run",
        MORE,
        "resume.force=true",
        "scheduler=cosine",
        "scheduler.final=0.5",
        "augment=flip",
        "loss=bce",
        "tags=[paper]",
    ]
    assert command(*words).code == 0
    config = saved()
    assert (config["scheduler"]["final"], config["optimizer"]["lr"], config["tags"]) == (0.5, 0.02, ["paper"])
    assert config["data"]["augment"] == config["augment"] != {}
    assert config["about"]["choices"]["loss"] == "bce"
    assert config["loss"]["_target_"] == yaml.safe_load((conf_dir() / "loss/bce.yaml").read_text())["_target_"]
    assert "depth" in config["loss"]
    rates = [row["lr"] for row in read_metrics(Path("run/metrics.csv")) if row["split"] == "train"]
    assert rates[-1] >= 0.5 * 0.02


def test_a_default_of_nothing_can_be_given_back(command, tiny):
    assert command(*tiny, "trainer.max_epochs=2", "trainer.max_steps=3", "hydra.run.dir=run").code == 0
    assert command("resume=run", "trainer.max_steps=null", "trainer.max_epochs=3").code == 0
    assert saved()["trainer"]["max_steps"] is None


def test_what_would_be_continued_can_be_looked_at(command, tiny):
    assert command(*tiny, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    outcome = command("resume=run", "optimizer.lr=0.5", "--cfg", "job")
    assert outcome.code == 0
    assert yaml.safe_load(outcome.out)["optimizer"]["lr"] == 0.5


@pytest.mark.parametrize("words", [["resume=nowhere"], ["resume=."]])
def test_a_missing_run_exits_4(command, words):
    outcome = command(*words)
    assert outcome.code == 4
    assert "run" in outcome.err

"""Callbacks and metrics of a package outside segbench: in metrics.csv, in the checkpoint, in compare; and refusals."""

import csv
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from segbench import cli
from segbench.config.schema import Part
from segbench.core.errors import ConfigError
from segbench.training.module import SegmentationModule
from segbench.training.own_callbacks import check_plain, make_callbacks

PACKAGE = '''
import pytorch_lightning as pl
import torch
from torch import nn


class Steps(pl.Callback):
    """Counts steps over all sessions, and logs them every second epoch."""

    def __init__(self, begin: int = 0):
        self.count = begin

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.count += 1

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch % 2 == 0:
            pl_module.log("own/steps", float(self.count))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


class Odd(pl.Callback):
    def state_dict(self):
        return {"where": torch.device("cpu")}


class Net(nn.Module):
    pass
'''


@pytest.fixture
def mylab(tmp_path, monkeypatch):
    (tmp_path / "mylab_watch.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "mylab_watch"
    sys.modules.pop("mylab_watch", None)


def part(name, **arguments):
    return Part(target=f"mylab_watch.{name}", arguments=arguments)


def test_its_values_and_its_state_survive_a_stop(command, tiny, mylab, monkeypatch):
    hits = "+metrics.hits={_target_:torchmetrics.classification.MulticlassAccuracy,num_classes:2,average:micro}"
    words = [f"plugins=[{mylab}]", "+callbacks.steps={_target_:mylab_watch.Steps,begin:100}", hits]
    with monkeypatch.context() as patch:
        stop_in_epoch(1, patch)
        assert command(*tiny, *words, "trainer.max_epochs=3", "hydra.run.dir=run").code == 143
    refused = command("resume", "run", entry=cli.main)
    assert refused.code == 2
    assert "plugins=[mylab_watch]" in refused.err
    outcome = command("resume", "run", f"plugins=[{mylab}]", entry=cli.main)
    assert outcome.code == 0, outcome.err
    lines = Path("run/metrics.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["split"] == "epoch"]
    assert [row["own/steps"] for row in rows] == ["102", "", "106"]  # two steps an epoch
    scores = json.loads(Path("run/results.json").read_text())["metrics"]
    assert scores["test/hits"]["best"] == pytest.approx(scores["test/accuracy"]["best"], abs=1e-6)
    assert float(rows[-1]["val/hits"]) == pytest.approx(scores["val/accuracy"]["last"], abs=1e-6)
    state = torch.load("run/checkpoints/best.ckpt", weights_only=True)
    assert state["callbacks"]["Steps"]["count"] > 100
    again = command("evaluate", "run", entry=cli.main)
    assert "the same as the run's own test scores" in again.out, again.err
    told = json.loads(command("compare", "run", "--metric", "test/hits", "--format", "json", entry=cli.main).out)
    assert told["metric"] == "test/hits"
    assert told["groups"][0]["runs"][0]["value"] == pytest.approx(scores["test/hits"]["best"])


def stop_in_epoch(epoch, patch):
    original = SegmentationModule.on_validation_start

    def start(self):
        if self.current_epoch == epoch:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    patch.setattr(SegmentationModule, "on_validation_start", start)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": part("Net")}, r"callbacks\.a \(Net\) is no callback"),
        ({"a": part("Steps", start=3)}, r"callbacks\.a \(Steps\) takes no 'start'"),
        ({"a": part("Steps", begin="x")}, r"callbacks\.a\.begin must be a whole number"),
        ({"a": part("Steps"), "b": part("Steps")}, r"callbacks\.b keeps its state where another callback does"),
        ({"a": part("Odd")}, r"the callback Odd has a device in its state_dict"),
        ({"a": Part(target="pytorch_lightning.callbacks.ModelCheckpoint", arguments={})}, r"is not in a package"),
    ],
)
def test_what_is_no_callback_of_ones_own_is_refused(mylab, parts, message):
    with pytest.raises(ConfigError, match=message):
        make_callbacks(parts, plugins=[mylab])


def test_a_state_is_looked_at_to_its_depth():
    check_plain({"a": {"b": [1, 2.0, None, "x", (True, torch.zeros(2))]}})
    with pytest.raises(ConfigError, match="the callback a has a slice in its state_dict"):
        check_plain({"a": {"b": [{"c": slice(3)}]}})


def test_a_name_that_every_run_has_is_not_logged(tmp_path):
    from segbench.metrics.monitor import Monitor
    from segbench.runs.metrics_log import MetricsLog
    from segbench.training.callbacks.recorder import Recorder

    table = MetricsLog(tmp_path / "metrics.csv", ["val/loss"])
    recorder = Recorder(table, Monitor("mean_iou", "IoU", True), log_every=1)

    trainer = SimpleNamespace(callback_metrics={"val/loss": torch.tensor(1.0)})
    with pytest.raises(ConfigError, match="a callback logs val/loss, which is a column that every run has"):
        recorder._logged(trainer)


def test_a_table_gets_columns_that_come_later(tmp_path):
    from segbench.runs.metrics_log import MetricsLog, read_metrics

    table = MetricsLog(tmp_path / "metrics.csv", ["val/loss"])
    table.add("epoch", 0, step=1, values={"val/loss": 2.0})
    table.extend(["own/a"])
    table.add("epoch", 1, step=2, values={"val/loss": 1.0, "own/a": 7.0})
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row.get("own/a") for row in rows] == [None, 7.0]
    assert [row["val/loss"] for row in rows] == [2.0, 1.0]

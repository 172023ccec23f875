"""Trackers of a run that trains: beside it, after a resume, and when one of them fails."""

import json
from pathlib import Path

import pytest
import yaml

from segbench.core.errors import DataError
from segbench.tracking import live
from segbench.tracking.csv_files import CsvFiles
from segbench.training.module import SegmentationModule
from tests.support.tracked import curves_of_csv, curves_of_table

LONG = ["trainer.max_epochs=3", "trainer.log_every=1"]


def fails_once_at(monkeypatch, step):
    """Have a training fail at a step, after which it can be resumed."""
    original = SegmentationModule.training_step
    failed = []

    def training_step(self, *arguments, **named):
        if self.trainer.global_step == step and not failed:
            failed.append(step)
            raise DataError("the disk has vanished")
        return original(self, *arguments, **named)

    monkeypatch.setattr(SegmentationModule, "training_step", training_step)


def test_a_tracker_changes_nothing_of_a_training(command, tiny):
    assert command(*tiny, *LONG, "hydra.run.dir=without").code == 0
    assert command(*tiny, *LONG, "trainer.plots=true", "logger=[csv,none]", "hydra.run.dir=with").code == 0
    assert Path("with/digests.csv").read_text() == Path("without/digests.csv").read_text()
    assert Path("with/metrics.csv").read_text() == Path("without/metrics.csv").read_text()
    assert curves_of_csv(Path("with")) == curves_of_table(Path("with"))
    score = json.loads(Path("with/results.json").read_text())["metrics"]["test/mean_iou"]["best"]
    assert json.loads(Path("with/csv/summary.json").read_text())["test/mean_iou"] == score
    assert {file.parts[-2] for file in Path("with/csv/images").rglob("*.png")} >= {"val", "test", "confusion", "loss"}
    settings = json.loads(Path("with/csv/config.json").read_text())
    assert settings["trainer"] == yaml.safe_load(Path("with/config.yaml").read_text())["trainer"]


def test_a_resume_goes_on_without_a_break_or_a_double(command, tiny, monkeypatch):
    """The session fails three steps after its last checkpoint, and all three were sent."""
    fails_once_at(monkeypatch, 9)
    words = [*tiny, *LONG, "data.train_size=24", "trainer.checkpoint_every=0", "logger=csv"]
    assert command(*words, "hydra.run.dir=run").code == 3
    kept = {file.stem for file in Path("run/checkpoints").glob("step-*")}
    assert kept == {"step-00000001", "step-00000006"}
    sent = curves_of_csv(Path("run"))["train/loss"]
    assert [step for step, _ in sent] == list(range(1, 10))
    assert command("resume=run").code == 0
    assert curves_of_csv(Path("run")) == curves_of_table(Path("run"))
    steps = [step for step, _ in curves_of_csv(Path("run"))["train/loss"]]
    assert steps == list(range(1, 19))
    assert command("resume=run", "trainer.max_epochs=4").code == 0
    assert curves_of_csv(Path("run")) == curves_of_table(Path("run"))
    assert json.loads(Path("run/csv/config.json").read_text())["trainer"]["max_epochs"] == 4


def test_rows_are_sent_while_the_training_runs(command, tiny, monkeypatch):
    monkeypatch.setattr(live, "EVERY", 0.01)
    seen = []
    original = SegmentationModule.training_step

    def training_step(self, *arguments, **named):
        table = Path("run/csv/scalars.csv")
        seen.append(table.read_text().count("train/loss,") if table.is_file() else 0)
        return original(self, *arguments, **named)

    monkeypatch.setattr(SegmentationModule, "training_step", training_step)
    assert command(*tiny, "trainer.max_epochs=8", "trainer.log_every=1", "logger=csv", "hydra.run.dir=run").code == 0
    assert max(seen) > 0
    assert curves_of_csv(Path("run")) == curves_of_table(Path("run"))


def test_a_tracker_that_fails_is_left_out(command, tiny, monkeypatch):
    """One warning; another tracker and the training go on, and a later run of the sender sends what is missing."""
    original = CsvFiles.scalars

    def scalars(self, step, values):
        if step > 2:
            raise ConnectionError("the server is gone\nand more")
        original(self, step, values)

    pytest.importorskip("tensorboard")
    with monkeypatch.context() as context:
        context.setattr(CsvFiles, "scalars", scalars)
        outcome = command(*tiny, *LONG, "logger=[csv,tensorboard]", "hydra.run.dir=run")
    assert outcome.code == 0
    assert outcome.out.count("logger.csv is left out from now on: the server is gone; segbench track") == 1
    assert "logger.tensorboard" not in outcome.out
    assert json.loads(Path("run/status.json").read_text())["state"] == "completed"


def test_a_tracker_that_hangs_does_not_hold_up_the_end(command, tiny, monkeypatch):
    over = []
    monkeypatch.setattr(live, "PATIENCE", 0.1)
    monkeypatch.setattr(CsvFiles, "flush", lambda self: over.append(live.threading.Event().wait(2)))
    outcome = command(*tiny, "logger=csv", "hydra.run.dir=run")
    assert outcome.code == 0
    assert "logger: csv takes too long and is left behind; segbench track" in outcome.out


def test_a_tracker_that_cannot_begin(command, tiny, monkeypatch):
    def refuse(self, about, identity, *, last):
        raise OSError("the server does not answer.\nsee elsewhere")

    assert command(*tiny, "hydra.run.dir=old", "trainer.max_epochs=1").code == 0
    before = sorted(Path("old").rglob("*"))
    monkeypatch.setattr(CsvFiles, "open", refuse)
    for words in ([*tiny, "hydra.run.dir=new"], ["resume=old", "trainer.max_epochs=2"]):
        outcome = command(*words, "logger=csv")
        assert outcome.code == 2
        assert "logger.csv (CsvFiles) cannot be started: the server does not answer; give it other" in outcome.err
    assert sorted(Path("old").rglob("*")) == before
    assert json.loads(Path("old/status.json").read_text())["state"] == "completed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["logger=[csv,nothing]"], "there is no logger called 'nothing'"),
        (["logger=csv", "logger.csv.project=x"], "there is no setting 'project' in logger.csv"),
        (["logger=csv", "+logger.csv.project=x"], "logger.csv (CsvFiles) takes no 'project'"),
        (
            ["logger=csv", "+logger.more._target_=segbench.tracking.csv_files.CsvFiles"],
            "logger.more sends to the same place as logger.csv: leave one out",
        ),
        (["+logger.x._target_=segbench.tracking.sender.Sender"], "is not a class that an experiment is made of"),
        (["model=[unet,fcn]"], "names several options; give one"),
    ],
)
def test_what_is_refused_before_a_run(command, tiny, words, said):
    outcome = command(*tiny, *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert list(Path().iterdir()) == []

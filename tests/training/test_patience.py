"""Early stopping: after how many validations, and that a resume neither forgets nor repeats it."""

import json
from pathlib import Path

import pytest

from segbench.training.callbacks.recorder import Recorder


@pytest.fixture
def scores(monkeypatch):
    """Let the validations' mean IoU be what a test says, by epoch."""
    original = Recorder.on_validation_end

    def install(values):
        def end(self, trainer, pl_module):
            original(self, trainer, pl_module)
            if self._val:
                self._val["val/mean_iou"] = values[trainer.current_epoch]

        monkeypatch.setattr(Recorder, "on_validation_end", end)

    return install


def results():
    return json.loads(Path("run/results.json").read_text())


def test_it_stops_after_so_many_validations(command, tiny, scores):
    scores([0.1, 0.4, 0.3, 0.4, 0.2, 0.9, 0.9, 0.9])
    assert command(*tiny, "trainer.max_epochs=8", "trainer.patience=3", "hydra.run.dir=run").code == 0
    assert (results()["epochs"], results()["best_epoch"], results()["stopped_early"]) == (5, 1, True)


def test_validations_count_not_epochs(command, tiny, scores):
    scores([0.9] * 8)
    words = ["trainer.max_epochs=8", "trainer.val_every=2", "trainer.patience=2", "hydra.run.dir=run"]
    assert command(*tiny, *words).code == 0
    assert results()["epochs"] == 6  # validated after epochs 2, 4 and 6


def test_a_finished_one_stays_finished_until_it_may_wait_longer(command, tiny, scores):
    scores([0.5, 0.4, 0.3, 0.6, 0.5, 0.4])
    words = ["trainer.max_epochs=6", "trainer.patience=2", "hydra.run.dir=run"]
    assert command(*tiny, *words).code == 0
    assert results()["epochs"] == 3
    assert "this run is finished" in command("resume=run").out
    assert command("resume=run", "trainer.patience=3").code == 0
    assert (results()["epochs"], results()["best_epoch"]) == (6, 3)


def test_killed_between_the_last_checkpoint_and_the_results(command, tiny, scores):
    scores([0.5, 0.4, 0.3, 0.6, 0.5, 0.4])
    words = ["trainer.max_epochs=6", "trainer.patience=2", "hydra.run.dir=run"]
    assert command(*tiny, *words).code == 0
    before = results()
    Path("run/results.json").unlink()
    Path("run/status.json").write_text('{"state": "running"}')
    assert command("resume=run").code == 0
    assert results()["epochs"] == 3
    assert results()["metrics"] == before["metrics"]

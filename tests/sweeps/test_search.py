"""Searching with Optuna: what is tried, what is ended early, and that a stopped search chooses as one that was not."""

import csv
from pathlib import Path

import pytest

from segbench.core.errors import Interrupted
from segbench.training.callbacks.recorder import Recorder

pytest.importorskip("optuna")
WORDS = ["sweep=tpe", "sweep.search.trials=6", "sweep.search.startup=2", "trainer.panels_every=0"]


def summary(folder):
    with Path(folder, "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scored(monkeypatch):
    """Let the val mean IoU be a function of the learning rate: best at 1e-3; and count the epochs."""
    original, epochs = Recorder.on_validation_end, []

    def end(self, trainer, pl_module):
        from math import log10

        original(self, trainer, pl_module)
        if self._val:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self._val["val/mean_iou"] = 1 / (1 + abs(log10(rate) + 3))
            epochs.append(rate)

    monkeypatch.setattr(Recorder, "on_validation_end", end)
    return epochs


def test_trials_and_what_is_searched(command, tiny, scored):
    words = [*WORDS, "scheduler=none", "trainer.max_epochs=1", "loss=dice", "seed=1,2"]
    outcome = command("-m", *tiny, *words, "hydra.sweep.dir=sweep")
    assert outcome.code == 0, outcome.err
    rows = summary("sweep")
    assert len(rows) == 6
    assert {row["loss"] for row in rows if "loss" in row} == set()  # one loss was given, so it is not searched
    assert {row["seed"] for row in rows} <= {"1", "2"}
    assert all(1e-4 <= float(row["optimizer.lr"]) <= 1e-2 for row in rows)
    assert len({row["optimizer.lr"] for row in rows}) == 6
    assert {row["state"] for row in rows} == {"completed"}  # none is ended early by its last epoch


def test_poor_runs_are_ended_early(command, tiny, scored):
    """Constant scores by rate: after the first trials, a rate that is worse than the median ends after one epoch."""
    words = [*WORDS, "scheduler=none", "trainer.max_epochs=4", "loss=dice", "sweep.search.trials=10"]
    assert command("-m", *tiny, *words, "hydra.sweep.dir=sweep").code == 0
    rows = summary("sweep")
    states = [row["state"] for row in rows]
    assert states[:2] == ["completed"] * 2
    assert set(states) == {"completed", "pruned"}
    ended = next(row for row in rows if row["state"] == "pruned")
    assert ended["error"].startswith("ended after epoch 1")
    assert len(scored) < 40


def test_a_stopped_search_goes_on_as_if_it_had_not_been(command, tiny, monkeypatch):
    words = ["-m", *tiny, *WORDS, "trainer.max_epochs=2"]
    assert command(*words, "hydra.sweep.dir=whole").code == 0
    original, seen = Recorder.on_train_epoch_end, []

    def end(self, trainer, pl_module):
        original(self, trainer, pl_module)
        seen.append(1)
        if len(seen) in (3, 6):  # in the middle of the second trial, and of a later one
            raise Interrupted("stopped", 143)

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "on_train_epoch_end", end)
        assert command(*words, "hydra.sweep.dir=parts").code == 143
        assert command("resume=parts").code == 143
    assert command("resume=parts").code == 0
    assert Path("parts/summary.csv").read_bytes() == Path("whole/summary.csv").read_bytes()


def test_a_stop_after_an_epochs_checkpoint_loses_no_report(command, tiny, monkeypatch, scored):
    """A signal in a validation is heard after the checkpoint, before the search has heard of the epoch."""
    from segbench.training.callbacks.checkpointer import Checkpointer

    words = ["-m", *tiny, *WORDS, "scheduler=none", "loss=dice", "trainer.max_epochs=3", "sweep.search.trials=5"]
    assert command(*words, "hydra.sweep.dir=whole").code == 0
    assert "pruned" in Path("whole/summary.csv").read_text()
    original, seen = Checkpointer.on_train_epoch_end, []

    def end(self, trainer, pl_module):
        original(self, trainer, pl_module)
        seen.append(1)
        if len(seen) in (2, 5, 7):
            raise Interrupted("stopped", 143)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpointer, "on_train_epoch_end", end)
        code = command(*words, "hydra.sweep.dir=parts").code
        while code == 143:
            code = command("resume=parts").code
    assert len(seen) > 7
    assert Path("parts/summary.csv").read_bytes() == Path("whole/summary.csv").read_bytes()


def test_the_study_of_another_sweep(command, tiny):
    """It decides no setting that the sweep does not search."""
    import optuna

    words = ["-m", *tiny, *WORDS, "trainer.max_epochs=1", "loss=dice", "sweep.search.trials=1", "hydra.sweep.dir=sweep"]
    assert command(*words).code == 0
    Path("sweep/study.log").unlink()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("sweep/study.log"))
    trial = optuna.create_study(study_name="sweep", storage=storage, direction="maximize").ask()
    trial.suggest_categorical("plugins", ["[os]"])
    outcome = command("resume=sweep", "sweep.search.trials=2")
    assert outcome.code == 2
    assert "is not the study of this sweep" in outcome.err


def test_a_logarithm_of_nothing(command):
    outcome = command("-m", "sweep=tpe", "optimizer.weight_decay=tag(log,interval(0.0,1e-2))")
    assert outcome.code == 2
    assert "must begin above 0" in outcome.err


def test_more_trials_later(command, tiny):
    words = ["-m", *tiny, *WORDS, "trainer.max_epochs=1", "sweep.search.trials=2", "hydra.sweep.dir=sweep"]
    assert command(*words).code == 0
    assert command("resume=sweep", "sweep.search.trials=3").code == 0
    assert len(summary("sweep")) == 3


def test_a_search_side_by_side(command, tiny):
    """Two processes and one study: what was reported there, and which runs were ended early."""
    pytest.importorskip("joblib")
    words = [*WORDS, "sweep=random", "sweep.search.pruner=asha", "loss=dice", "trainer.max_epochs=3"]
    parallel = ["launcher=joblib", "launcher.jobs=2", "hydra.sweep.dir=sweep"]
    outcome = command("-m", *tiny, *words, *parallel, "sweep.search.trials=5")
    assert outcome.code == 0, outcome.err
    assert "2 trials at a time: what a trial gets depends on which of them end first" in outcome.out
    rows = summary("sweep")
    assert len(rows) == 5
    assert {row["state"] for row in rows} <= {"completed", "pruned"}  # tiny networks may all score the same
    assert {row["error"] for row in rows if row["state"] == "pruned"} <= {
        f"ended after epoch {epochs}: others had a better val score by then" for epochs in (1, 3)
    }
    assert len(Path("sweep/study.log").read_text().splitlines()) > 5 * 3

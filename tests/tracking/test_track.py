"""`segbench track`: runs are sent when they have ended."""

import json
import sys
from pathlib import Path

import pytest

from segbench.core.states import RunState
from segbench.runs.lock import locked
from segbench.tracking.csv_files import CsvFiles
from tests.support.tracked import curves_of_csv
from tests.tracking.conftest import curves


@pytest.fixture
def ended(growing):
    """A run that has ended, in the folder `runs`."""
    growing.train(0, 2)
    growing.finish(2)
    growing.folder.write_status(RunState.COMPLETED, finished=1.0)
    return growing.folder


@pytest.fixture
def track(segbench):
    return lambda *words: segbench("track", *words)


def test_runs_below_a_folder_are_sent_once(ended, track):
    for _ in range(2):
        outcome = track(ended.path.parent, "--to", "csv")
        assert outcome.code == 0, outcome.err
        assert outcome.out.strip() == f"sent {ended.path} to csv"
        assert curves_of_csv(ended.path) == curves(2)
    assert json.loads((ended.path / "csv" / "summary.json").read_text())["test/mean_iou"] == 0.75


def test_settings_of_the_tracker(ended, track, trackio_folder):
    outcome = track(ended.path, "--to", "trackio", "logger.trackio.project=mine")
    assert outcome.code == 0
    assert outcome.out.strip() == f"sent {ended.path} to trackio mine"
    assert (trackio_folder / "mine.db").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "tensorbord"], "there is no tracker called 'tensorbord'; did you mean 'tensorboard'?"),
        (["--to", "none"], "there is no tracker called 'none'"),
        (["--to", "csv", "logger.csv.project=x"], "there is no setting 'project' in logger.csv"),
        (["nowhere", "--to", "csv"], "there is no folder nowhere"),
    ],
)
def test_what_is_refused(ended, track, words, said):
    outcome = track(ended.path, *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert not ended.trackers.exists()


def test_a_missing_package(ended, track, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = track(ended.path, "--to", "wandb")
    assert outcome.code == 2
    assert "logger.wandb needs a package that is not here: wandb (pip install 'segbench[wandb]')" in outcome.err


def test_a_server_that_fails_is_one_sentence(ended, track, monkeypatch):
    def fail(self, step, values):
        raise ConnectionError("the server is gone")

    with monkeypatch.context() as context:
        context.setattr(CsvFiles, "scalars", fail)
        outcome = track(ended.path, "--to", "csv")
    assert outcome.code == 2
    assert f"{ended.path} cannot be sent to csv: the server is gone" in outcome.err
    assert track(ended.path, "--to", "csv").code == 0
    assert curves_of_csv(ended.path) == curves(2)


def test_a_run_that_trains_is_left_to_it(ended, track):
    with locked(ended.path):
        outcome = track(ended.path, "--to", "csv")
    assert outcome.code == 2
    assert f"1 of 1 runs were not sent; the first: {ended.path} is in use by process" in outcome.err


def test_a_folder_that_leads_elsewhere(ended, track, tmp_path):
    (tmp_path / "outside").mkdir()
    Path(ended.path / "csv").symlink_to(tmp_path / "outside")
    outcome = track(ended.path, "--to", "csv")
    assert outcome.code == 2
    assert "is a symbolic link" in outcome.err
    assert list((tmp_path / "outside").iterdir()) == []

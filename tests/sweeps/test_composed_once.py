"""Each job of a sweep is composed once, by its check or by the process that runs it."""

import pickle
from pathlib import Path

import pytest

from segbench.commands.sweep import run_sweep
from segbench.config import compose
from segbench.sweeps import work
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import plan_jobs

WORDS = ["model=unet,fcn", "optimizer.lr=1e-3,1e-4,1e-5", "seed=1,2"]


@pytest.fixture
def composed(monkeypatch):
    """Return the words of each composition by Hydra, and of each that only puts values into one."""
    by_hydra = []
    with_values = []
    compose_all, put = compose._compose, compose._with_values

    def noting(overrides):
        by_hydra.append(list(overrides))
        return compose_all(overrides)

    def putting(reference, overrides):
        with_values.append([override.input_line for override in overrides])
        return put(reference, overrides)

    compose._reference.cache_clear()
    monkeypatch.setattr(compose, "_compose", noting)
    monkeypatch.setattr(compose, "_with_values", putting)
    return by_hydra, with_values


@pytest.fixture
def trained(monkeypatch):
    """Return the folder's name and configuration of each training, none of which is done."""
    seen = {}

    def note(folder, begin, console, **further):
        seen[folder.name] = begin.config.plain()

    monkeypatch.setattr(work, "train_in", note)
    return seen


def test_no_job_is_composed_twice(composed, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_sweep([*WORDS, "hydra.sweep.dir=sweep"])
    assert len(trained) == 12
    by_hydra, with_values = composed
    jobs = [tuple(words) for words in with_values if any(word.startswith("hydra.run.dir=") for word in words)]
    assert len(jobs) == len(set(jobs)) == 12
    assert len(with_values) <= 12 + 1  # and the sweep's own settings
    assert len(by_hydra) <= 1 + 2  # the options alone, of the sweep and of each model
    assert trained["000_unet-lr=0.001-seed=1"]["optimizer"]["lr"] == 1e-3
    assert trained["011_fcn-lr=1e-05-seed=2"]["seed"] == 2


def test_what_is_checked_goes_with_the_job(composed, tmp_path):
    """The first job and one for each further value are composed before anything runs; they can be sent elsewhere."""
    sweep = SweepFolder(tmp_path / "sweep")
    jobs = work.compose_examples(sweep, plan_jobs(WORDS), typed=[])
    ready = [job for job in jobs if job.begin is not None]
    assert [job.varied for job in ready] == [
        {"model": "unet", "optimizer.lr": "0.001", "seed": "1"},
        {"model": "unet", "optimizer.lr": "0.001", "seed": "2"},
        {"model": "unet", "optimizer.lr": "0.0001", "seed": "1"},
        {"model": "unet", "optimizer.lr": "1e-05", "seed": "1"},
        {"model": "fcn", "optimizer.lr": "0.001", "seed": "1"},
    ]
    sent = pickle.loads(pickle.dumps(ready[-1]))
    assert sent.begin.config == ready[-1].begin.config
    assert Path(sent.begin.hydra.hydra.run.dir) == sweep.run(sent).path

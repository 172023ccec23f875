"""What a search chooses, ends early and remembers, without trainings: the scores are those of a formula."""

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.config.compose import compose_config, plain_config
from segbench.config.schema import read_section
from segbench.config.sweep_settings import SweepSettings, read_launcher
from segbench.core.errors import ConfigError, Pruned
from segbench.core.states import RunState
from segbench.sweeps import search as search_module
from segbench.sweeps.folder import JobState, SweepFolder
from segbench.sweeps.pool import keep_busy
from segbench.sweeps.search import Search
from segbench.sweeps.study import open_study
from segbench.sweeps.workers import Workers

optuna = pytest.importorskip("optuna")
EPOCHS = 9


def settings(*words):
    return read_section(SweepSettings, plain_config(compose_config(list(words)))["sweep"], key="sweep").search


class Trainings:
    """Trains trials by a formula, best at a rate of 1e-3; a run may be killed after a number of epochs in all."""

    def __init__(self, folder, monkeypatch):
        self.sweep = SweepFolder(Path(folder).absolute())
        self.sweep.path.mkdir()
        self.states = {}
        self.epochs = {}
        self.left = math.inf
        monkeypatch.setattr(
            SweepFolder, "state", lambda sweep, job: self.states.get(job.name, JobState(RunState.QUEUED))
        )

    def __call__(self, *words, known=None, given=("loss=dice",), at_once=1, kill=math.inf):
        self.left = kill
        known = [] if known is None else known
        search = Search(self.sweep, list(given), settings=settings(*words), at_once=at_once)
        for job in search.jobs(known, lambda jobs: None):
            search.tell(job, self.train(job))
        self.note = search.note
        return known

    def train(self, job):
        quality = 1 / (1 + abs(math.log10(float(job.varied["optimizer.lr"])) + 3))
        state = RunState.COMPLETED
        for epoch in range(self.epochs.get(job.name, 0), EPOCHS):
            try:
                job.watch(epoch, quality * (epoch + 1) / EPOCHS)
            except Pruned:
                state = RunState.PRUNED
            self.left -= 1
            if self.left <= 0:
                raise KeyboardInterrupt  # between what the study has heard and what the run's folder says
            self.epochs[job.name] = epoch + 1
            if state is RunState.PRUNED:
                break
        self.states[job.name] = JobState(state, score=quality)
        return state

    def outcome(self, jobs):
        return [(job.name, self.states[job.name].state, self.epochs[job.name]) for job in jobs]


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda name="sweep": Trainings(name, monkeypatch)


@pytest.mark.parametrize("pruner", ["none", "median", "asha", "hyperband"])
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_that_is_killed_at_any_moment_goes_on_as_if_it_had_not_been(trainings, sampler, pruner):
    words = [f"sweep={sampler}", f"sweep.search.pruner={pruner}", "sweep.search.trials=5", "sweep.search.startup=2"]
    whole = trainings("whole")
    expected = whole.outcome(whole(*words))
    done = sum(whole.epochs.values())
    parts = trainings("parts")
    known = []
    for kill in (1, 2, 5, 3, 7):
        with suppress(KeyboardInterrupt):  # one that ends early may have ended by then
            parts(*words, known=known, kill=kill)
    parts(*words, known=known)
    assert parts.outcome(known) == expected
    assert all((state is RunState.PRUNED) == (epochs < EPOCHS) for _, state, epochs in expected)
    if pruner == "none":
        assert done == 5 * EPOCHS


def test_rungs_of_halving_are_epochs(trainings):
    """Epochs 1, 3 and 9, where one of three goes on."""
    words = ["sweep=random", "sweep.search.pruner=asha", "sweep.search.trials=12"]
    found = trainings()
    outcome = found.outcome(found(*words))
    assert {epochs for _, state, epochs in outcome if state is RunState.PRUNED} <= {1, 3}
    assert sum(epochs for *_, epochs in outcome) < 12 * EPOCHS / 2
    later = trainings("later")
    longer = later.outcome(later(*words, "sweep.search.min_epochs=2", "sweep.search.reduction=2"))
    assert {epochs for _, state, epochs in longer if state is RunState.PRUNED} <= {2, 4, 8}


def test_a_grid_tries_every_combination_once(trainings):
    found = trainings()
    jobs = found("sweep=grid", "sweep.search.pruner=none", given=["loss=dice,bce", "optimizer.lr=1e-2,1e-3,1e-4"])
    tried = [(job.varied["loss"], float(job.varied["optimizer.lr"])) for job in jobs]
    assert sorted(tried) == [(loss, rate) for loss in ("bce", "dice") for rate in (1e-4, 1e-3, 1e-2)]
    with pytest.raises(ConfigError, match="is an interval, of which a grid has no values"):
        Search(found.sweep, ["optimizer.lr=interval(1e-4,1e-2)"], settings=settings("sweep=grid"))
    many = [f"+x{number}=1,2,3,4,5,6,7,8,9,10" for number in range(5)]
    with pytest.raises(ConfigError, match=r"has 1,500,000 combinations"):
        Search(found.sweep, many, settings=settings("sweep=grid"))


def test_only_a_grid_ends_by_itself():
    with pytest.raises(ConfigError, match=r"sampler=tpe has no last trial; give sweep\.search\.trials=20"):
        settings("sweep=grid", "sweep.search.sampler=tpe")


def test_no_trial_is_begun_after_the_hours(trainings, monkeypatch):
    """An hour each: the third begins before two hours are over; those that were begun earlier are finished."""
    clock = [0.0]
    found = trainings()
    train = found.train

    def an_hour(job):
        clock[0] += 3600
        return train(job)

    monkeypatch.setattr(found, "train", an_hour)
    monkeypatch.setattr(search_module.time, "monotonic", lambda: clock[0])
    words = ["sweep=random", "sweep.search.max_hours=1.5", "sweep.search.trials=5", "sweep.search.pruner=none"]
    known = found(*words)
    assert found.note == "no new trial was begun after sweep.search.max_hours=1.5: 2 of 5 trials"
    with pytest.raises(KeyboardInterrupt):
        found(*words, known=known, kill=1)
    found(*words, "sweep.search.max_hours=0.5", known=known)
    assert len(known) == 3
    assert found.states[known[2].name].state is RunState.COMPLETED


@pytest.mark.parametrize(("failing", "begun"), [({0, 1, 2, 3}, 3), ({1, 2, 3}, 5)])
def test_what_all_trials_have_in_common_is_tried_three_times(trainings, monkeypatch, failing, begun):
    """A continued search tries as often again, as what was wrong may lie outside of it; one success is enough."""
    found = trainings()
    train = found.train

    def trained(job):
        if int(job.name[:3]) not in failing:
            return train(job)
        found.states[job.name] = JobState(RunState.FAILED, "loss=bce works on two classes")
        return RunState.FAILED

    monkeypatch.setattr(found, "train", trained)
    words = ["sweep=random", "sweep.search.trials=5", "sweep.search.pruner=none"]
    known = found(*words)
    assert len(known) == begun
    assert ("as all 3 so far failed for the same reason: 3 of 5 trials" in found.note) == (begun == 3)
    assert len(found(*words, known=known)) == 5


def test_several_at_a_time_are_different_and_what_runs_is_taken_into_account(trainings):
    found = trainings()
    known = []
    search = Search(found.sweep, ["loss=dice"], settings=settings("sweep=tpe"), at_once=4)
    jobs = search.jobs(known, lambda jobs: None)
    running = [next(jobs) for _ in range(4)]
    assert len({job.varied["optimizer.lr"] for job in running}) == 4
    for job in jobs:
        running.append(job)
        first = running.pop(1)  # none ends in the order in which they began
        search.tell(first, found.train(first))
    for job in running:
        search.tell(job, found.train(job))
    assert len(known) == 20
    assert all(trial.state.is_finished() for trial in search._records())


def test_processes_report_to_one_study_and_are_ended_early_by_it(trainings):
    pytest.importorskip("joblib")
    found = trainings()

    def run(folder, job, *, typed):
        quality = 1 / (1 + abs(math.log10(float(job.varied["optimizer.lr"])) + 3))
        try:
            for epoch in range(EPOCHS):
                job.watch(epoch, quality * (epoch + 1) / EPOCHS)
        except Pruned:
            return RunState.PRUNED
        return RunState.COMPLETED

    words = ["sweep=random", "sweep.search.pruner=asha", "sweep.search.trials=12"]
    search = Search(found.sweep, ["loss=dice"], settings=settings(*words), at_once=2)
    launcher = read_launcher({"kind": "joblib", "jobs": 2, "gpus": None})
    workers = Workers(launcher, str(found.sweep.path), typed=[], run=run)
    for job, state in keep_busy(workers, search.jobs([], lambda jobs: None), at_once=2):
        found.states[job.name] = JobState(state, score=0.5)
        search.tell(job, state)
    reports = [(record.state.name, len(record.intermediate_values)) for record in search._records()]
    assert len(reports) == 12
    assert set(reports) <= {("PRUNED", 1), ("PRUNED", 3), ("COMPLETE", 9), ("PRUNED", 9)}
    assert ("PRUNED", 1) in reports


def test_what_runs_elsewhere_is_not_told_as_a_failure(trainings):
    found = trainings()
    search = Search(found.sweep, ["loss=dice"], settings=settings("sweep=tpe"))
    job = next(search.jobs([], lambda jobs: None))
    search.tell(job, RunState.RUNNING)
    assert not search._records()[0].state.is_finished()
    search.tell(job, RunState.FAILED)
    assert search._records()[0].state.name == "FAIL"


def test_a_line_that_was_cut_off_is_forgotten(trainings):
    words = ["sweep=random", "sweep.search.trials=2", "sweep.search.pruner=none"]
    found = trainings()
    known = found(*words)
    with found.sweep.study.open("a") as file:
        file.write('{"op_code":4,"worker_')
    found(*words, "sweep.search.trials=4", known=known)
    assert len(known) == 4


@pytest.mark.parametrize("content", ["no json\n", "[]\n", '{"op_code": 77}\n', '{"op_code":0}\n', "7\n"])
def test_what_is_no_study(tmp_path, content):
    path = tmp_path / "study.log"
    path.write_text(content)
    with pytest.raises(ConfigError, match="is not the study of this sweep"):
        open_study(path, settings("sweep=tpe"))


def test_jobs_that_the_study_does_not_know(trainings):
    words = ["sweep=random", "sweep.search.trials=2", "sweep.search.pruner=none"]
    found = trainings()
    known = found(*words)
    found.sweep.study.unlink()
    with pytest.raises(ConfigError, match="it lacks trials that have been run"):
        found(*words, known=[replace(job) for job in known])

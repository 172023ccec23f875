"""Sweeps through the command line: folders, failures, the summary, the overview."""

import csv
import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from segbench.cli import main
from segbench.core.states import RunState
from segbench.sweeps.folder import JobState, SweepFolder
from segbench.sweeps.overview import Overview, table
from segbench.sweeps.plan import Job

SHORT = ["trainer.max_epochs=1", "trainer.panels_every=0", "hydra.sweep.dir=sweep"]


def summary(folder="sweep"):
    with Path(folder, "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_folders_summary_and_comparison(command, tiny):
    outcome = command("-m", *tiny, *SHORT, "loss=dice,bce", "optimizer.lr=1e-3,3e-4")
    assert outcome.code == 0, outcome.err
    names = ["000_dice-lr=0.001", "001_dice-lr=0.0003", "002_bce-lr=0.001", "003_bce-lr=0.0003"]
    assert sorted(path.parent.name for path in Path("sweep").glob("*/results.json")) == names
    rows = summary()
    assert [row["job"] for row in rows] == names
    assert {row["state"] for row in rows} == {"completed"}
    assert [(row["loss"], row["optimizer.lr"]) for row in rows][3] == ("bce", "0.0003")
    for row in rows:
        results = json.loads(Path("sweep", row["job"], "results.json").read_text())
        assert float(row["test/mean_iou"]) == pytest.approx(results["metrics"]["test/mean_iou"]["best"], abs=1e-6)
    assert "loss=" in Path("sweep/compare.md").read_text()
    shared = json.loads(Path("sweep/environment.json").read_text())
    assert shared["packages"]["torch"] == shared["versions"]["torch"]
    assert isinstance(shared["sources"], list)
    for name in names:
        environment = json.loads(Path("sweep", name, "environment.json").read_text())
        assert environment["provenance"] == "../environment.json"
        assert "packages" not in environment
    assert outcome.out.count("completed") == 4
    assert "launcher" not in Path("sweep", names[0], "config.yaml").read_text()
    assert "sweep" not in Path("sweep", names[0], ".hydra/overrides.yaml").read_text()


def test_a_job_is_the_run_of_its_words(command, tiny):
    """The same bits as the single command: nothing leaks from one job into the next."""
    assert command("-m", *tiny, *SHORT, "loss=bce,dice", "seed=1,2").code == 0
    assert command(*tiny, *SHORT[:2], "loss=dice", "seed=2", "hydra.run.dir=alone").code == 0
    assert Path("sweep/003_dice-seed=2/digests.csv").read_text() == Path("alone/digests.csv").read_text()


def test_a_failing_job_stops_no_other(command, tiny, pictures):
    """One is refused before it starts, one breaks while it trains."""
    words = ["optimizer.lr=1e-3,1e30", "data.train_size=8,2", "trainer.max_epochs=4", "hydra.sweep.dir=sweep"]
    outcome = command("-m", *tiny, *words, "scheduler=none")
    assert outcome.code == 3  # of the first that failed
    rows = {row["job"]: row for row in summary()}
    states = {name: row["state"] for name, row in rows.items()}
    assert states == {
        "000_lr=0.001-train_size=8": "completed",
        "001_lr=0.001-train_size=2": "failed",
        "002_lr=1e+30-train_size=8": "failed",
        "003_lr=1e+30-train_size=2": "failed",
    }
    assert "fewer than one batch" in rows["001_lr=0.001-train_size=2"]["error"]
    assert not Path("sweep/001_lr=0.001-train_size=2").exists()
    assert "finite" in rows["002_lr=1e+30-train_size=8"]["error"] or "nan" in rows["002_lr=1e+30-train_size=8"]["error"]
    assert Path("sweep/002_lr=1e+30-train_size=8/run.log").read_text().rstrip().splitlines()[-1].startswith("failed: ")
    assert "3 of 4 jobs failed; the first, 001_lr=0.001-train_size=2" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_bug_in_one_job_stops_no_other(command, tiny, monkeypatch):
    from segbench.training import run as fit

    original = fit.collect_results

    def collect(recorder, scores, *, module, **others):
        if "Dice" in type(module.loss).__name__:
            raise ZeroDivisionError("a bug")
        return original(recorder, scores, module=module, **others)

    monkeypatch.setattr(fit, "collect_results", collect)
    outcome = command("-m", *tiny, *SHORT, "loss=dice,focal")
    assert outcome.code == 1
    assert [row["state"] for row in summary()] == ["failed", "completed"]
    assert summary()[0]["error"] == "ZeroDivisionError: a bug"
    assert "Traceback" in Path("sweep/failures/000_dice.txt").read_text()


def test_presets_and_what_replaces_them(command, tiny):
    outcome = command("-m", *tiny, *SHORT, "sweep=seeds", "seed=3,4")
    assert outcome.code == 0, outcome.err
    assert [row["seed"] for row in summary()] == ["3", "4"]


@pytest.mark.parametrize("preset", [path.stem for path in Path(__file__).parents[2].glob("conf/sweep/*.yaml")])
def test_every_preset_can_be_planned(preset):
    from segbench.config.compose import compose_config, plain_config
    from segbench.sweeps.plan import plan_jobs

    settings = plain_config(compose_config([f"sweep={preset}"]))["sweep"]
    assert set(settings) == {"limit", "params", "search"}
    assert settings["limit"] == 1000
    words = [f"{key}={value}" for key, value in settings["params"].items()]
    for job in plan_jobs(words):
        compose_config(list(job.words))
    assert len(plan_jobs(words)) == {"losses": 45, "models": 18, "seeds": 5}.get(preset, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep=losses"], "add -m"),
        (["launcher=joblib"], "add -m"),
        (["-m", "sweep=los"], "did you mean 'losses'"),
        (["-m", "loss=dice,dise"], "did you mean 'dice'"),
        (["-m", "launcher=slurm"], "launcher"),
        (["-m", "optimizer.lr=interval(1e-4,1e-2)"], "interval"),
        (["-m", "launcher.jobs=2"], "jobs"),
        (["-m", "sweep=tpe", "launcher=ray"], "launcher.jobs"),
        (["-m", "sweep=grid", "optimizer.lr=interval(1e-4,1e-2)"], "a grid has no values"),
        (["-m", "sweep=tpe", "sweep.search.pruner=halving"], "sweep.search.pruner"),
    ],
)
def test_mistakes_show_before_anything_is_written(command, words, message):
    outcome = command(*words)
    assert outcome.code == 2
    assert message in outcome.err
    assert list(Path().iterdir()) == []


def test_the_second_job_starts_at_once(command, tiny):
    """Its data has been read already: the same object serves it, which a count of the readings shows."""
    from segbench.data.scenes.fgbg import FgBg

    read, original = [], FgBg.prepare

    def prepare(self):
        read.append(time.monotonic())
        original(self)

    FgBg.prepare = prepare
    try:
        assert command("-m", *tiny, *SHORT, "loss=dice,bce,focal", "data.seed=77").code == 0  # of no test before
    finally:
        FgBg.prepare = original
    assert len(read) == 1


def test_status_and_overview(command, tiny):
    assert command("-m", *tiny, *SHORT, "loss=dice,bce").code == 0
    outcome = command("sweep", "status", "sweep", entry=main)
    assert outcome.code == 0
    assert "2 completed, best 0." in outcome.out
    assert "000_dice" in outcome.out
    assert command("sweep", "status", ".", entry=main).code == 2
    sweep = SweepFolder(Path("sweep"))
    _, jobs = sweep.read()
    jobs.append(Job("002_[red]x", (), {}))
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    with Overview(sweep, console) as overview:
        overview.jobs = jobs
        time.sleep(1.5)
    shown = console.file.getvalue()
    assert "2 completed, 1 queued, best 0." in shown
    assert "; 1 s" in shown
    assert "002_[red]x" in shown


def test_the_best_job_comes_first_of_those_that_are_completed_and_the_time_left_is_told():
    jobs = [Job(f"{number:03}", (), {}) for number in range(4)]
    states = [
        JobState(RunState.COMPLETED, score=0.4),
        JobState(RunState.COMPLETED, score=0.6),
        JobState(RunState.COMPLETED),
        JobState(RunState.RUNNING, score=0.1),
    ]
    view = table(jobs, states, clock="2 min")
    assert list(view.columns[0].cells) == [Text(name) for name in ("003", "001", "000", "002")]
    assert str(view.title) == "1 running, 3 completed, best 0.6000; 2 min"


def test_a_long_name_leaves_room_for_state_and_score():
    jobs = [Job(f"000_{'long-name-' * 12}", (), {})]
    states = [JobState(RunState.FAILED, epoch=7, score=0.4321, error="why " * 40)]
    console = Console(file=io.StringIO(), width=80)
    console.print(table(jobs, states))
    head, row = console.file.getvalue().splitlines()[1:]
    assert head.split() == ["job", "state", "epoch", "best", "val"]
    assert " failed  7      0.4321 " in row
    assert row.startswith(" 000_long-name-") and row.count("…") == 2


class FakeSweep:
    """Jobs that are completed as soon as they are looked at, but for the last."""

    def state(self, job):
        return JobState(RunState.QUEUED if job.name == "002" else RunState.COMPLETED)


def test_the_time_left_is_that_of_as_many_jobs_as_are_left(monkeypatch):
    overview = Overview(FakeSweep(), Console(file=io.StringIO()))
    overview.jobs = [Job(f"{number:03}", (), {}) for number in range(3)]
    began = overview._began
    monkeypatch.setattr("segbench.sweeps.overview.time.monotonic", lambda: began + 240)
    assert str(overview.render().title) == "2 completed, 1 queued; 4 min 0 s"
    for job in overview.jobs[:2]:
        overview.finished(job, RunState.COMPLETED)
    assert str(overview.render().title) == "2 completed, 1 queued; 4 min 0 s, about 2 min 0 s left"


def test_a_search_counts_the_trials_that_are_still_to_be_chosen(monkeypatch):
    out = io.StringIO()
    overview = Overview(FakeSweep(), Console(file=out))
    overview.planned = 5
    overview.jobs = [Job(f"{number:03}", (), {}) for number in range(2)]
    began = overview._began
    monkeypatch.setattr("segbench.sweeps.overview.time.monotonic", lambda: began + 240)
    for job in overview.jobs:
        overview.finished(job, RunState.COMPLETED)
    assert [line.split("  ")[0] for line in out.getvalue().splitlines()] == ["job 1/5", "job 2/5"]
    assert str(overview.render().title) == "2 completed; 4 min 0 s, about 6 min 0 s left"

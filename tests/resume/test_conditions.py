"""A resume in other conditions: refused where it is another experiment, told where only the last bits move."""

import json
import time
from pathlib import Path

import pytest
import torch

from segbench.runs.checkpoints import step_checkpoints
from segbench.runs.metrics_log import read_metrics
from tests.support.tiny_sources import write_pictures

STOP = "trainer.max_epochs=1"


@pytest.fixture
def half(made, tiny):
    """A run of one of two epochs, and its path."""
    return made("run", *tiny, STOP)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def last_resume(run):
    return json.loads((run / "environment.json").read_text())["resumes"][-1]


@pytest.mark.parametrize(
    "word",
    [
        "loss.smooth=2.0",
        "data.batch_size=2",
        "seed=1",
        "trainer.accumulate=2",
        "trainer.ema=0.9",
        "trainer.gradient_clip=1.0",
        "trainer.precision=bf16-mixed",
        "optimizer.lr=0.1",
    ],
)
def test_another_experiment_is_refused(command, half, word):
    before = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    outcome = command("resume=run", "trainer.max_epochs=2", word)
    assert outcome.code == 2
    assert f"{word.split('=')[0]} (" in outcome.err
    assert "resume.force=true" in outcome.err
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == before


def test_force_goes_on_and_is_recorded(command, half):
    outcome = command("resume=run", "trainer.max_epochs=2", "loss.smooth=2.0", "resume.force=true")
    assert outcome.code == 0
    assert "this is another experiment now: loss.smooth (1.0 -> 2.0)" in outcome.out
    assert last_resume(half)["forced"] == ["loss.smooth (1.0 -> 2.0)"]
    assert last_resume(half)["step"] == 2
    assert json.loads((half / "results.json").read_text())["resumes"] == [last_resume(half)]


def test_files_that_were_removed_are_named(command, half):
    for name in ("metrics.csv", "environment.json"):
        (half / name).unlink()
    outcome = command("resume=run", "trainer.max_epochs=2", "evaluate.boundary=never")
    assert outcome.code == 0, outcome.err
    assert "metrics.csv is gone: rows and curves begin at this resume" in outcome.out
    assert "environment.json is gone: whether data and conditions" in outcome.out
    assert {row["epoch"] for row in read_metrics(half / "metrics.csv")} == {1}


def test_other_data_is_refused_or_forced(command, half, pictures, tmp_path):
    for folder in pictures.values():
        (folder / sorted(path.name for path in folder.iterdir())[0]).unlink()
    outcome = command("resume=run", "trainer.max_epochs=2")
    assert outcome.code == 3
    assert "is not what the run was started with" in outcome.err
    forced = command("resume=run", "trainer.max_epochs=2", "resume.force=true")
    assert forced.code == 0, forced.err
    assert last_resume(half)["forced"] == ["data"]


def test_what_moves_only_the_last_bits_is_told(command, half):
    def older(environment):
        environment["versions"]["torch"] = "2.10.0"
        environment["processor"] = "another"

    edit(half / "environment.json", older)
    outcome = command("resume=run", "trainer.max_epochs=2")
    assert outcome.code == 0
    assert "no longer bit-exact because of processor another -> " in outcome.out
    assert f"torch 2.10.0 -> {torch.__version__.split('+')[0]}" in outcome.out
    assert any(reason.startswith("torch 2.10.0") for reason in last_resume(half)["inexact"])


def test_the_same_conditions_say_nothing(command, half):
    outcome = command("resume=run", "trainer.max_epochs=2", "data.num_workers=1")
    assert outcome.code == 0
    assert "bit-exact" not in outcome.out
    assert (last_resume(half)["inexact"], last_resume(half)["forced"]) == ([], [])


def test_the_threads_of_the_run_are_taken_over(command, tiny):
    words = [word for word in tiny if not word.startswith("trainer.threads")]
    assert command(*words, STOP, "hydra.run.dir=run").code == 0
    edit(Path("run/environment.json"), lambda environment: environment.update(threads=3))
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    assert json.loads(Path("run/environment.json").read_text())["threads"] == 3
    assert last_resume(Path("run"))["inexact"] == []


def test_chosen_threads_are_told(command, half):
    outcome = command("resume=run", "trainer.max_epochs=2", "trainer.threads=2")
    assert "no longer bit-exact because of threads 1 -> 2" in outcome.out


def test_a_moved_folder_is_continued_where_it_is(command, half, tiny):
    half.rename("elsewhere")
    assert command("resume=elsewhere", "trainer.max_epochs=2").code == 0
    assert not half.exists()
    assert json.loads(Path("elsewhere/results.json").read_text())["steps"] == 4


def test_a_finished_run_is_left_as_it_is(command, half):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in half.rglob("*") if path.is_file()}
    outcome = command("resume=run")
    assert outcome.code == 0
    assert "this run is finished" in outcome.out
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in half.rglob("*") if path.is_file()} == before


def test_an_end_that_lies_behind(command, half):
    """Fewer steps than it has: refused, and config.yaml keeps what it said."""
    assert command("resume=run", "trainer.max_epochs=3").code == 0
    (half / "results.json").unlink()
    (half / "status.json").write_text('{"state": "interrupted"}')
    before = (half / "config.yaml").read_bytes()
    outcome = command("resume=run", "trainer.max_steps=3")
    assert outcome.code == 2
    assert "stands at step 6, beyond the 3 steps" in outcome.err
    assert (half / "config.yaml").read_bytes() == before


def test_seconds_and_speed_are_of_all_sessions(command, half):
    first = json.loads((half / "results.json").read_text())
    checkpoint = torch.load(step_checkpoints(half / "checkpoints")[-1], weights_only=True)
    (kept,) = (state for state in checkpoint["callbacks"].values() if "seconds" in state)
    before, worked_before = kept["seconds"], kept["cpu_seconds"]
    began, worked = time.perf_counter(), time.process_time()
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    both = json.loads((half / "results.json").read_text())
    assert 0 < before < both["seconds"] < before + time.perf_counter() - began
    assert 0 < worked_before < both["cpu_seconds"] < worked_before + time.process_time() - worked
    assert both["images_trained"] == 2 * first["images_trained"]
    assert both["images_per_second"] > 0


def test_relative_data_is_found_again(command, tiny):
    """The paths of a command line hold where it was typed; the message names what is missing elsewhere."""
    write_pictures(Path("data"))
    words = ["data.foregrounds=data/fg", "data.backgrounds=data/bg", *tiny[2:]]
    assert command(*words, STOP, "hydra.run.dir=run").code == 0
    Path("data").rename("moved")
    outcome = command("resume=run", "trainer.max_epochs=2")
    assert outcome.code == 3
    assert "data/fg" in outcome.err
    moved = command("resume=run", "trainer.max_epochs=2", "data.foregrounds=moved/fg", "data.backgrounds=moved/bg")
    assert moved.code == 0, moved.err

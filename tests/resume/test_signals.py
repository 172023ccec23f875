"""What a scheduler sends, and what becomes of it; SIGTERM and SIGINT are in test_killed.py."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from segbench.commands.requeue import requeue_job
from segbench.training.module import SegmentationModule
from tests.support import warm

ROOT = Path(__file__).parents[2]
QUEUE = '#!/bin/sh\necho "$@" >> {log}\n{then}\n'


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A stand-in for SLURM's scontrol, and the file where it writes what it was asked for."""

    def install(then="exit 0", **variables):
        folder, log = tmp_path / "bin", tmp_path / "asked"
        folder.mkdir(exist_ok=True)
        (folder / "scontrol").write_text(QUEUE.format(log=log, then=then))
        (folder / "scontrol").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return log

    return install


def stopped(folder, number, *words):
    """Start a run, send it a signal once it trains, and return its exit status and what it said."""
    said = Path(folder) / "said"
    with said.open("wb") as stream:
        process = warm.start([str(ROOT / "train.py"), *words], cwd=folder, env=os.environ, stdout=stream, stderr=stream)
    deadline = time.monotonic() + 120
    table = Path(folder) / "run/metrics.csv"
    while not (table.is_file() and "\ntrain,0,3," in table.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait(120), said.read_text()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_notice_of_a_scheduler(tiny, queue, tmp_path, command, number):
    """The job is put back into the queue after the checkpoint; its script then continues the run."""
    log = queue(SLURM_JOB_ID="77")
    words = [*tiny, "data.train_size=4000", "trainer.max_steps=2000", "hydra.run.dir=run"]
    code, error = stopped(tmp_path, number, *words)
    assert code == 143, error
    assert log.read_text() == "requeue 77\n"
    assert "job 77 was put back into the queue" in error
    run = tmp_path / "run"
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    first, last = sorted((run / "checkpoints").glob("step-*.ckpt"))
    assert first.name == "step-00000001.ckpt"
    step = int(last.stem[5:])
    os.chdir(tmp_path)
    again = command(*words[:-2], f"trainer.max_steps={step + 1}", "hydra.run.dir=run")
    assert again.code == 0, again.err
    assert "resuming" in again.out
    assert json.loads((run / "results.json").read_text())["steps"] == step + 1


def test_sigterm_does_not_requeue(tiny, queue, tmp_path):
    """SLURM sends it at scancel, and requeues preempted jobs by itself."""
    log = queue(SLURM_JOB_ID="77")
    code, _ = stopped(tmp_path, signal.SIGTERM, *tiny, "data.train_size=4000", "hydra.run.dir=run")
    assert code == 143
    assert not log.exists()


def test_an_array_job_is_named_by_its_task(queue):
    log = queue(SLURM_JOB_ID="80", SLURM_ARRAY_JOB_ID="77", SLURM_ARRAY_TASK_ID="3")
    assert requeue_job() == "job 77_3 was put back into the queue"
    assert log.read_text() == "requeue 77_3\n"


def test_a_queue_that_refuses(queue, monkeypatch):
    queue(then="echo not allowed >&2; exit 1", SLURM_JOB_ID="77")
    assert requeue_job() == "job 77 could not be put back into the queue: scontrol said not allowed"
    monkeypatch.setenv("PATH", "/nowhere")
    assert "could not be put back" in requeue_job()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert requeue_job() is None


def test_a_signal_while_the_best_epoch_is_tested(command, tiny, monkeypatch):
    original, sent = SegmentationModule.test_step, []

    def step(self, batch, batch_idx):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "test_step", step)
    outcome = command(*tiny, "hydra.run.dir=run")
    assert outcome.code == 143
    assert "the training is complete" in outcome.err
    assert not Path("run/results.json").exists()
    assert command("resume=run").code == 0
    assert json.loads(Path("run/results.json").read_text())["steps"] == 4


def test_a_signal_in_a_validation_waits_for_its_checkpoint(command, tiny, monkeypatch):
    original, sent = SegmentationModule.validation_step, []

    def step(self, batch, batch_idx):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "validation_step", step)
    outcome = command(*tiny, "hydra.run.dir=run")
    assert outcome.code == 143
    assert "stopped at step 2 with a checkpoint" in outcome.err
    assert Path("run/checkpoints/best.ckpt").is_file()


def test_minutes_without_a_checkpoint(command, tiny, monkeypatch):
    """The clock of the checkpointer is moved on by ten minutes a step: one is written after every other step."""
    from segbench.training.callbacks import checkpointer

    now = [0.0]

    class Clock:
        @staticmethod
        def monotonic():
            now[0] += 600
            return now[0]

    monkeypatch.setattr(checkpointer, "time", Clock)
    words = ["data.train_size=40", "trainer.max_epochs=1", "hydra.run.dir=run"]
    assert command(*tiny, *words, "trainer.checkpoint_minutes=15").code == 0
    steps = [int(row.split(",")[0]) for row in Path("run/digests.csv").read_text().splitlines()[1:]]
    assert steps[-1] == 10
    assert len(steps) > 3
    assert command(*tiny, *words[:-1], "trainer.checkpoint_minutes=0", "hydra.run.dir=none").code == 0
    steps = [row.split(",")[0] for row in Path("none/digests.csv").read_text().splitlines()[1:]]
    assert steps == ["1", "10"]  # the first step, so that nothing is lost early, and the end of the epoch

"""What comes from outside while a command runs: signals, a full disk, a reader that goes away, a missing package."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segbench import cli
from segbench.commands import guard, sweep
from segbench.commands.launch import train_main
from segbench.core import files
from segbench.core.errors import Interrupted
from segbench.core.states import RunState
from segbench.data.loading.datamodule import SegmentationData
from segbench.sweeps.work import run_job
from segbench.training.module import SegmentationModule

ROOT = Path(__file__).parents[2]
STOPS = [("SIGINT", 130, 0), ("SIGTERM", 143, 0), ("SIGHUP", 143, 0), ("SIGUSR1", 143, 1), ("SIGUSR2", 143, 1)]


def one_line(outcome):
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    return lines[0]


@pytest.fixture
def requeued(monkeypatch):
    """How often the queue was asked to run the job again."""
    asked = []
    monkeypatch.setattr(guard, "requeue_job", lambda: asked.append(1))
    return asked


def sends(monkeypatch, name, owner=SegmentationData, method="setup"):
    """Have a signal come while data is read, or whatever else a method does."""
    original = getattr(owner, method)

    def doing(self, *arguments, **named):
        os.kill(os.getpid(), getattr(signal, name))
        return original(self, *arguments, **named)

    monkeypatch.setattr(owner, method, doing)


@pytest.mark.parametrize(("name", "code", "asked"), STOPS)
def test_a_signal_while_data_is_read(command, tiny, monkeypatch, requeued, name, code, asked):
    sends(monkeypatch, name)
    outcome = command(*tiny, "hydra.run.dir=new/run")
    assert outcome.code == code
    assert one_line(outcome) == "segbench: stopped before the first step; nothing was lost"
    assert len(requeued) == asked
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("name", "code", "asked"), STOPS)
@pytest.mark.parametrize("verb", ["train", "evaluate", "data preview"])
def test_a_signal_stops_every_verb(command, tiny, made, monkeypatch, requeued, verb, name, code, asked):
    run = made("run", *tiny)
    words = {"train": [*tiny, "hydra.run.dir=new"], "evaluate": [str(run)], "data preview": tiny}
    sends(monkeypatch, name)
    outcome = command(*verb.split(), *words[verb], entry=cli.main)
    assert outcome.code == code
    said = "before the first step; nothing was lost" if verb == "train" else "; what was written before is kept"
    assert one_line(outcome).replace(" ", "") == f"segbench: stopped {said}".replace(" ", "")
    assert len(requeued) == asked


@pytest.mark.parametrize(("name", "code", "asked"), STOPS)
def test_a_signal_while_a_job_of_a_sweep_reads_data(command, tiny, monkeypatch, requeued, name, code, asked):
    sends(monkeypatch, name)
    outcome = command("-m", *tiny, "seed=0,1", "hydra.sweep.dir=sweep")
    assert outcome.code == code
    assert "continue it with resume=" in one_line(outcome)
    assert len(requeued) == asked
    assert [path.name for path in Path("sweep").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(("name", "code", "asked"), STOPS)
def test_a_job_that_is_stopped_elsewhere_stops_the_sweep_alike(command, tiny, monkeypatch, requeued, name, code, asked):
    """Its process returns a state, not the error; the signal does not come to that of the sweep."""
    sends(monkeypatch, name)

    def launched(folder, jobs, **options):
        for job in jobs:
            try:
                yield job, run_job(str(folder.path), job)
            except (Interrupted, KeyboardInterrupt):
                yield job, RunState.INTERRUPTED

    monkeypatch.setattr(sweep, "launch_jobs", launched)
    words = ["-m", *tiny, "seed=0,1", "hydra.sweep.dir=sweep"]
    outcome = command(*words)
    assert outcome.code == code
    assert "continue it with resume=" in one_line(outcome)
    assert len(requeued) == asked
    assert json.loads(Path("sweep/stopped.json").read_text()) == {"exit_code": code, "requeue": bool(asked)}
    monkeypatch.setattr(sweep, "launch_jobs", lambda *parts, **options: (job for job in ()))
    command(*words)
    assert not Path("sweep/stopped.json").exists()


def test_a_terminal_that_is_closed_stops_with_a_checkpoint(command, tiny, monkeypatch):
    sends(monkeypatch, "SIGHUP", SegmentationModule, "training_step")
    monkeypatch.setattr(os, "_exit", lambda code: None)  # each step sends it again
    outcome = command(*tiny, "hydra.run.dir=run")
    assert outcome.code == 143
    assert "stopped at step 1 with a checkpoint" in outcome.err
    assert json.loads(Path("run/status.json").read_text())["state"] == "interrupted"


def test_nohup(command, tiny, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sends(monkeypatch, "SIGHUP", SegmentationModule, "training_step")
    try:
        assert command(*tiny, "hydra.run.dir=run").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_reader_that_goes_away_does_not_end_a_training(command, tiny, monkeypatch, resumed):
    if resumed:
        assert command(*tiny, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    reader, writer = os.pipe()
    os.close(reader)

    def train():
        with os.fdopen(writer, "w", buffering=1) as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            train_main()

    words = ["resume=run", "trainer.max_epochs=2"] if resumed else [*tiny, "hydra.run.dir=run"]
    assert command(*words, entry=train).code == 0
    assert json.loads(Path("run/status.json").read_text())["state"] == "completed"
    assert json.loads(Path("run/results.json").read_text())["epochs"] == 2
    assert "best epoch" in Path("run/run.log").read_text()


def test_a_full_disk(command, tiny, monkeypatch):
    """From the second checkpoint on, nothing can be flushed to the disk any more."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not tell which file is flushed")
    flush, flushed = os.fsync, []

    def fsync(descriptor):
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        flushed.append("step-" in name and name.endswith(".tmp"))
        if sum(flushed) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    outcome = command(*tiny, "hydra.run.dir=run", "trainer.max_epochs=3")
    monkeypatch.setattr(files.os, "fsync", flush)
    assert outcome.code == 4
    assert "No space left on device; older ones are untouched" in one_line(outcome)
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"
    assert [path.name for path in Path("run/checkpoints").glob("step-*")] == ["step-00000001.ckpt"]
    assert command("resume=run").code == 0
    assert json.loads(Path("run/results.json").read_text())["steps"] == 6


def test_a_disk_that_is_really_full(command, tiny):
    """A file system of 2.5 MB in memory, which takes two checkpoints and not a third."""
    Path("small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", "small"]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        outcome = command(*tiny, "model.width=12", "trainer.max_epochs=6", "hydra.run.dir=small/run")
        assert outcome.code == 4
        assert "No space left on device" in one_line(outcome)
        assert json.loads(Path("small/run/status.json").read_text())["state"] == "failed"
        pointer = json.loads(Path("small/run/checkpoints/latest.json").read_text())
        kept = Path("small/run/checkpoints") / pointer["file"]
        assert kept.stat().st_size == pointer["bytes"]
        assert list(kept.parent.glob(".*.tmp")) == []
    finally:
        subprocess.run(["umount", "small"], check=True)


@pytest.mark.parametrize(
    ("package", "words", "said"),
    [
        ("ray", ["-m", "launcher=ray", "seed=0,1"], "pip install 'segbench[ray]'"),
        ("submitit", ["-m", "launcher=submitit", "seed=0,1"], "pip install 'segbench[submitit]'"),
        ("joblib", ["-m", "launcher=joblib", "seed=0,1"], "pip install 'segbench[joblib]'"),
        ("optuna", ["-m", "sweep=tpe"], "pip install 'segbench[optuna]'"),
        ("tensorboard", ["logger=tensorboard"], "tensorboard (pip install 'segbench[tensorboard]')"),
        (
            "lightning",
            ["+logger.x._target_=pytorch_lightning.loggers.TensorBoardLogger"],
            "logger.x needs a package that is not here",
        ),
    ],
)
def test_a_missing_package_leaves_no_folder(command, tiny, monkeypatch, package, words, said):
    if package == "lightning":
        monkeypatch.setattr("pytorch_lightning.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
        monkeypatch.setattr("lightning_fabric.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
        monkeypatch.setattr("lightning_fabric.loggers.tensorboard._TENSORBOARDX_AVAILABLE", False)
    else:
        monkeypatch.setitem(sys.modules, package, None)
    outcome = command(*words, *tiny)
    assert outcome.code == 2
    assert said in one_line(outcome)
    assert list(Path().iterdir()) == []


def test_an_export_without_pyarrow_leaves_no_folder(command, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    data = [word for word in tiny if word.startswith("data.")]
    outcome = command("data", "export", *data, "out=new", entry=cli.main)
    assert outcome.code == 2
    assert "pyarrow" in one_line(outcome)
    assert list(Path().iterdir()) == []


def test_a_logger_of_lightning_whose_store_refuses(command, tiny, monkeypatch):
    from pytorch_lightning.loggers import TensorBoardLogger

    def refuse(self):
        raise OSError("the file store is no longer maintained.\nsee elsewhere")

    monkeypatch.setattr(TensorBoardLogger, "experiment", property(refuse))
    outcome = command(*tiny, "+logger.mine._target_=pytorch_lightning.loggers.TensorBoardLogger", "hydra.run.dir=run")
    assert outcome.code == 2
    assert "logger.mine (TensorBoardLogger) cannot be started: the file store is no longer" in one_line(outcome)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "seed=range(0,0)"], "'seed=range(0,0)' sweeps over no value at all"),
        (["-m", "seed=range(0,1000000)"], "at least 100,000 jobs, more than sweep.limit=1000"),
        (["-m", "seed=range(0,40)", "trainer.max_steps=range(1,31)"], "1,200 jobs, more than sweep.limit=1000"),
        (["-m", "seed=0,1,2", "sweep.limit=2"], "3 jobs, more than sweep.limit=2"),
        (["-m", "seed=0,1", "--cfg", "job"], "leave out -m"),
    ],
)
def test_sweeps_that_are_not_started(command, words, said):
    outcome = command(*words)
    assert outcome.code == 2
    assert said in one_line(outcome)
    assert list(Path().iterdir()) == []


def test_a_locale_that_knows_only_ascii(process, tmp_path):
    """The name of the folder is read, and written, as UTF-8 all the same."""
    outcome = process(
        "compare",
        "läufe",
        entry=str(ROOT / "segbench/__main__.py"),
        cold=True,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONPATH=str(ROOT),
    )
    assert outcome.code == 2
    assert "there is no folder läufe" in one_line(outcome)

"""Two processes on the CPU: the same samples and counts as one, an exact resume, and nobody left behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segbench.runs.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
WORDS = ["data.train_size=40", "data.val_size=7", "data.test_size=9", "trainer.checkpoint_every=3"]
PAIR = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=2", "trainer.log_every=1"]


@pytest.fixture
def pair(tiny):
    """Words of a small run of two processes."""
    others = [word for word in tiny if word != "trainer=debug"]
    return [*others, "data.batch_size=4", *PAIR, *WORDS]


def table(run, split):
    with (Path(run) / f"{split}_images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def truth(rows):
    """Return the labelled pixels of each class by image: true positives and misses."""
    return [
        (row["index"], *(int(row[f"tp/{name}"]) + int(row[f"fn/{name}"]) for name in ("background", "foreground")))
        for row in rows
    ]


def test_counts_and_samples_are_those_of_one_process(command, tiny, pair):
    """7 and 9 images over 2 processes in batches of 4 come out uneven: none is counted twice or left out."""
    assert command(*pair, "hydra.run.dir=two").code == 0
    assert command(*tiny, *WORDS, "trainer.log_every=1", "hydra.run.dir=one").code == 0
    for split, images in (("val", 7), ("test", 9)):
        rows = table("two", split)
        assert [int(row["index"]) for row in rows] == list(range(images))
        assert truth(rows) == truth(table("one", split))
        assert sum(sum(counts) for _, *counts in truth(rows)) == images * 32 * 32
    two, one = (json.loads(Path(f"{run}/results.json").read_text()) for run in ("two", "one"))
    assert all(two[name] == one[name] for name in ("images", "images_with_class", "baselines"))
    assert [row["image"] for row in table("two", "test")] == [row["image"] for row in table("one", "test")]
    losses = [
        [row["train/loss"] for row in read_metrics(Path(f"{run}/metrics.csv")) if row["split"] == "train"]
        for run in ("two", "one")
    ]
    # each process normalises its half of a batch, so only the first steps are close; the batches are the same
    assert losses[0][0] == pytest.approx(losses[1][0], abs=0.02)
    environment = json.loads(Path("two/environment.json").read_text())
    assert environment["world_size"] == 2
    assert not list(Path("two").glob("process-*.log"))
    assert "LOCAL_RANK" not in os.environ
    assert not torch.distributed.is_initialized()


def test_the_processes_read_the_batches_of_one():
    from segbench.data.loading.loader import PlanSampler, shuffled

    def read(size, world, drop_last):
        return [
            list(
                PlanSampler(
                    size, 4 // world, order=shuffled(size, "order", 1), drop_last=drop_last, rank=rank, world_size=world
                )
            )
            for rank in range(world)
        ]

    for size in (8, 9, 10, 11, 13):
        for drop_last in (True, False):
            (one,), two = read(size, 1, drop_last), read(size, 2, drop_last)
            for number, batch in enumerate(one):
                shares = [part[number] for part in two if number < len(part)]
                assert sorted(pair for share in shares for pair in share) == sorted(batch)
            assert all(share for part in two for share in part)
            lengths = [
                len(
                    PlanSampler(size, 2, order=shuffled(size, "order", 1), drop_last=drop_last, rank=rank, world_size=2)
                )
                for rank in range(2)
            ]
            assert lengths == [len(part) for part in two]


def start(words):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_step(run, step, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.csv").is_file() and any(row["step"] >= step for row in read_metrics(run / "metrics.csv")):
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


def children(process):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def alive(number):
    status = Path(f"/proc/{number}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


def test_killed_and_continued(command, pair, tmp_path):
    """SIGKILL of the first process: the other ends by itself, and a resume ends with the same bits."""
    words = [*pair, "data.train_size=400", "trainer.max_epochs=1", "trainer.ema=0.9"]
    assert command(*words, "hydra.run.dir=whole").code == 0
    process = start([*words, "hydra.run.dir=parts"])
    wait_for_step(Path("parts"), 7, process)
    others = children(process)
    assert others
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(alive(number) for number in others) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(number) for number in others)
    outcome = command("resume=parts")
    assert outcome.code == 0, outcome.err
    whole, parts = (
        torch.load(f"{run}/checkpoints/step-00000100.ckpt", weights_only=True) for run in ("whole", "parts")
    )
    assert all(torch.equal(whole["state_dict"][name], parts["state_dict"][name]) for name in whole["state_dict"])
    moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, parts)]
    assert all(torch.equal(moments[0][key]["exp_avg"], moments[1][key]["exp_avg"]) for key in moments[0])
    assert read_metrics(Path("whole/metrics.csv")) == read_metrics(Path("parts/metrics.csv"))
    assert Path("whole/test_images.csv").read_bytes() == Path("parts/test_images.csv").read_bytes()


def test_a_signal_stops_all_with_a_checkpoint(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = start([*pair, "data.train_size=4000", "hydra.run.dir=run"])
    wait_for_step(Path("run"), 5, process)
    others = children(process)
    os.killpg(process.pid, signal.SIGTERM)  # as a scheduler does: all of them hear it
    _, error = process.communicate(timeout=120)
    assert process.returncode == 143, error
    assert "with a checkpoint" in error
    assert json.loads(Path("run/status.json").read_text())["state"] == "interrupted"
    assert not any(alive(number) for number in others)


BROKEN = """
import sys
if sys.argv[0] == "-m":
    import segbench.training.{module} as module
    from segbench.core.errors import DataError
    def broken(self, *arguments): raise DataError("its disk is gone")
    module.{owner}.{name} = broken
"""
"""Breaks only the further processes, which are started with -m."""


def test_the_mistake_of_another_process_is_told(command, pair, tmp_path, monkeypatch):
    """What it said, and its exit status, are those of the run."""
    broken = BROKEN.format(module="parts", owner="Experiment", name="read_data")
    (tmp_path / "sitecustomize.py").write_text(broken)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    outcome = command(*pair, "hydra.run.dir=run")
    assert outcome.code == 3
    assert "process 1 of 2 ended with status 3: its disk is gone" in outcome.err
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"
    assert not torch.distributed.is_initialized()


def test_nobody_waits_for_a_process_that_has_failed(process, pair, tmp_path):
    """It fails where the first one already waits for it, which nothing but the end of the process can interrupt."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(module="loop", owner="Session", name="fit"))
    outcome = process(*pair, "hydra.run.dir=run", check=3, PYTHONPATH=str(tmp_path))
    assert "process 1 of 2 ended with status 3: its disk is gone" in outcome.err
    assert json.loads((Path(process.folder) / "run/status.json").read_text())["state"] == "failed"


def test_one_process_scores_a_run_of_two_alike(command, pair):
    """The Dice loss of a batch depends on what is in it: val/loss is compared as well, to 1e-6."""
    from segbench import cli

    assert command(*pair, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    for split in ("val", "test"):
        outcome = command("evaluate", "run", "--split", split, entry=cli.main)
        assert f"the same as the run's own {split} scores in results.json" in " ".join(outcome.out.split())


def test_what_cannot_work_is_refused(command, pair, monkeypatch):
    outcome = command(*pair, "data.batch_size=5")
    assert outcome.code == 2
    assert "cannot be shared by 2 devices" in outcome.err
    assert command(*pair, "trainer.non_finite=rollback").code == 2
    few = command(*pair, "data.test_size=1")
    assert few.code == 3
    assert "fewer than the 2 processes" in few.err
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = command(*pair)
    assert outcome.code == 2
    assert "trainer.devices=N" in outcome.err


def test_a_sweep_of_data_parallel_jobs(command, pair):
    assert command("-m", *pair, "data.train_size=8", "loss=dice,bce", "hydra.sweep.dir=sweep").code == 0
    states = [json.loads(path.read_text())["state"] for path in Path("sweep").glob("*/status.json")]
    assert states == ["completed", "completed"]

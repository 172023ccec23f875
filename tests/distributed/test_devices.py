"""Two processes on the CPU: the same samples and counts as one, an exact resume, and nobody left behind."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.runs.metrics_log import read_metrics
from segbench.training.shares import check_shares
from tests.distributed.conftest import PAIR, SHORT
from tests.support import warm
from tests.support.acts import Act, acting, end_all
from tests.support.killing import differences


def until(done, running=None, seconds=150):
    """Wait until something is so, while a started process runs."""
    ends = time.monotonic() + seconds
    while not done():
        assert running is None or running.process.poll() is None, running.ends()
        assert time.monotonic() < ends, running.said() if running else "it has not come"
        time.sleep(0.05)


def beats(running):
    """Return the numbers of the processes that a command has started, by their own account."""
    files = sorted(Path(running.temporary).glob("segbench-*/process-*"))
    return [int(text) for file in files if (text := file.read_text())]


def alive(number):
    status = Path(f"/proc/{number}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


def frozen(numbers):
    return any("State:\tT" in Path(f"/proc/{number}/status").read_text() for number in numbers)


def table(run, split):
    with (Path(run) / f"{split}_images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def truth(rows):
    """Return the labelled pixels of each class by image: true positives and misses."""
    return [
        (row["index"], *(int(row[f"tp/{name}"]) + int(row[f"fn/{name}"]) for name in ("background", "foreground")))
        for row in rows
    ]


def test_counts_and_samples_are_those_of_one_process(command, few, made):
    """7 and 9 images over 2 processes in batches of 4 come out uneven: none is counted twice or left out."""
    made("two", *few, *PAIR)
    assert command(*few, "hydra.run.dir=one").code == 0
    for split, images in (("val", 7), ("test", 9)):
        rows = table("two", split)
        assert [int(row["index"]) for row in rows] == list(range(images))
        assert truth(rows) == truth(table("one", split))
        assert sum(sum(counts) for _, *counts in truth(rows)) == images * 32 * 32
    two, one = (json.loads(Path(f"{run}/results.json").read_text()) for run in ("two", "one"))
    assert all(two[name] == one[name] for name in ("images", "images_with_class", "baselines"))
    assert [row["image"] for row in table("two", "test")] == [row["image"] for row in table("one", "test")]
    scores = {int(row["index"]): float(row["mean_iou"]) for row in table("two", "test") if row["mean_iou"]}
    worst = sorted(scores, key=lambda index: (scores[index], index))[:8]
    assert {path.name for path in Path("two/samples/worst").iterdir()} == {f"{index:06d}.png" for index in worst}
    for panel in ("epoch-0001.png", "test.png"):
        sheets = [np.array(Image.open(f"{run}/samples/{panel}")) for run in ("two", "one")]
        assert np.array_equal(*(sheet[:, :100] for sheet in sheets))  # the first six images, in their order
    losses = [
        [row["train/loss"] for row in read_metrics(Path(f"{run}/metrics.csv")) if row["split"] == "train"]
        for run in ("two", "one")
    ]
    # each process normalises its half of a batch, so only the first steps are close; the batches are the same
    assert losses[0][0] == pytest.approx(losses[1][0], abs=0.02)
    environment = json.loads(Path("two/environment.json").read_text())
    assert environment["world_size"] == 2
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


def test_a_killed_launcher_takes_all_with_it(start, few, command, made):
    """SIGKILL of the process that was started: the others end by themselves, and a resume ends with the same bits."""
    whole = made("whole", *few, *PAIR).absolute()
    running = start(*few, *PAIR, "trainer.checkpoint_every=3", "hydra.run.dir=run", acts=[Act(0, "step", 8, "SIGSTOP")])
    run = start.folder / "run"
    until(lambda: (run / "checkpoints/step-00000006.ckpt").is_file() and beats(running), running)
    others = beats(running)
    assert len(others) == 2
    until(lambda: frozen(others[:1]))
    running.process.kill()
    os.kill(others[0], signal.SIGCONT)
    until(lambda: not any(alive(number) for number in others))
    outcome = command(f"resume={run}")
    assert outcome.code == 0, outcome.err
    assert list(differences(whole, run)) == []


@pytest.mark.parametrize(
    ("rank", "name", "point"), [(1, "SIGTERM", "step"), (0, "SIGTERM", "validation"), (0, "SIGUSR1", "test")]
)
def test_a_signal_to_any_process_stops_all(start, few, rank, name, point):
    """With one checkpoint at the same step in both; in the final test, where all of them are written."""
    many = {"step": ["data.train_size=4000"], "test": ["data.test_size=400", "data.train_size=8"]}.get(point, [])
    count = 1 if point == "validation" else 5
    outcome = start(*few, *PAIR, *many, "hydra.run.dir=run", acts=[Act(rank, point, count, name)]).ends()
    assert outcome.code == 143, outcome.err
    said = "the training is complete" if point == "test" else "with a checkpoint"
    assert said in outcome.err
    run = start.folder / "run"
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "interrupted"
    if point != "test":
        assert len(checkpoints(run)) == 2  # the first step's and that of the signal
        assert f"stopped at step {checkpoints(run)[-1]} with" in status["error"]
    if point == "validation":
        assert checkpoints(run)[-1] == 10  # the epoch's, after the validation
    assert not (run / "results.json").exists()


def checkpoints(run):
    return sorted(int(path.stem[5:]) for path in (run / "checkpoints").glob("step-*.ckpt"))


def test_a_long_validation_is_left_at_a_signal(start, few, command, made):
    """It goes on from the checkpoint before the last step, which is made once a validation has taken long."""
    many = [*few, *PAIR, "data.val_size=80", "trainer.max_epochs=2"]
    whole = made("whole", *many).absolute()
    short = ["segbench.training.callbacks.checkpointer:LONG=0", "segbench.training.distributed.watch:POLL=0.01"]
    acts = [Act(rank, "step", 1, what) for rank in (0, 1) for what in short]
    outcome = start(*many, "hydra.run.dir=run", acts=[*acts, Act(1, "validation", 21, "SIGUSR1")]).ends()
    assert outcome.code == 143, outcome.err
    assert outcome.err.count("so without a new checkpoint; step-00000019.ckpt is the last one") == 1
    run = start.folder / "run"
    assert checkpoints(run)[-1] == 19
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    outcome = command(f"resume={run}")
    assert outcome.code == 0, outcome.err
    assert list(differences(whole, run)) == []


@pytest.mark.parametrize(("rank", "point"), [(1, "validation"), (0, "validation"), (1, "test")])
def test_a_frozen_process_holds_nobody(start, few, rank, point):
    """The run ends within seconds of a signal, without a new checkpoint; what is frozen is killed with it."""
    running = start(*few, *PAIR, *SHORT, "hydra.run.dir=run", acts=[Act(rank, point, 2, "SIGSTOP")])
    run = start.folder / "run"
    until(lambda: frozen(beats(running)), running)
    until(lambda: len(beats(running)) == 2, running)
    others = beats(running)
    running.process.send_signal(signal.SIGTERM)
    outcome = running.ends()
    assert outcome.code == 143, outcome.err
    if point != "test":  # which the first process need not wait for
        assert f"process {rank} of 2 gives no sign of life" in outcome.err
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    until(lambda: not any(alive(number) for number in others))


def test_a_second_signal_ends_at_once(start, few):
    running = start(*few, *PAIR, "hydra.run.dir=run", acts=[Act(1, "step", 5, "SIGSTOP")])
    until(lambda: frozen(beats(running)[1:]), running)
    others = beats(running)
    running.process.send_signal(signal.SIGINT)
    until(lambda: [*Path(running.temporary).glob("segbench-*/stop")], running)
    running.process.send_signal(signal.SIGINT)
    outcome = running.ends()
    assert outcome.code == 130
    assert "no sign of life" not in outcome.err
    until(lambda: not any(alive(number) for number in others))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_told(start, few, rank):
    outcome = start(*few, *PAIR, "hydra.run.dir=run", acts=[Act(rank, "step", 3, "SIGKILL")]).ends()
    assert outcome.code == 1
    assert f"segbench: process {rank} of 2 was killed, perhaps by the system for want of memory" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("point", ["segbench.training.parts:Experiment.read_data", "step"])
def test_the_mistake_of_another_process_is_told(start, few, point):
    """What it said, and its exit status, are those of the run, also where the first one already waits for it."""
    outcome = start(*few, *PAIR, "hydra.run.dir=run", acts=[Act(1, point, 1, "error")]).ends()
    assert outcome.code == 3, outcome.err
    assert outcome.err.count("process 1 of 2 ended with status 3: its disk is gone") == 1
    assert json.loads((start.folder / "run/status.json").read_text())["state"] == "failed"


def test_one_process_scores_a_run_of_two_alike(command, few, made):
    """The Dice loss of a batch depends on what is in it: val/loss is compared as well, to 1e-6."""
    from segbench import cli

    made("run", *few, *PAIR)
    for split in ("val", "test"):
        outcome = command("evaluate", "run", "--split", split, entry=cli.main)
        assert f"the same as the run's own {split} scores in results.json" in " ".join(outcome.out.split())


class Data:
    """What `check_shares` asks a data set."""

    def __init__(self, batch_size, samples):
        self.batch_size, self.samples = batch_size, samples

    def num_samples(self, split):
        return self.samples


def test_what_cannot_be_shared_is_refused(command, few):
    check_shares(2, Data(4, 3))
    with pytest.raises(ConfigError, match="cannot be shared by 2 devices"):
        check_shares(2, Data(5, 40))
    with pytest.raises(DataError, match="fewer than the 2 processes"):
        check_shares(2, Data(4, 1))
    with pytest.raises(DataError, match="too few for 2 processes that take 4 each"):
        check_shares(2, Data(8, 4))
    assert command(*few, *PAIR, "trainer.non_finite=rollback").code == 2
    outcome = command(*few, *PAIR, "data.batch_size=5", "hydra.run.dir=run")
    assert outcome.code == 2
    assert "cannot be shared by 2 devices" in outcome.err
    assert not Path("run").exists()


def test_a_sweep_of_data_parallel_jobs(command, few):
    words = [*few, *PAIR, *SHORT, "loss=dice,bce", "hydra.sweep.dir=sweep"]
    assert command("-m", *words).code == 0
    states = [json.loads(path.read_text())["state"] for path in Path("sweep").glob("*/status.json")]
    assert states == ["completed", "completed"]


def test_what_a_failed_test_leaves_behind_is_killed(tmp_path):
    """Also a process that stands still, which no other signal would end."""
    file = tmp_path / "frozen.py"
    file.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n")
    with (tmp_path / "out").open("wb") as out:
        process = warm.start([str(file)], cwd=tmp_path, env=acting(tmp_path, []), stdout=out, stderr=out)
    until(lambda: frozen([process.pid]))
    end_all(tmp_path)
    assert process.wait(60) == -signal.SIGKILL

"""Real processes, really killed: what is left is continued, and ends as if nothing had happened, to the last bit."""

import json
import random
import signal
import tempfile
import time
from pathlib import Path

import pytest
import torch

from segbench.runs.metrics_log import read_metrics
from tests.support import killing
from tests.support.attacks import Case

TINY = ["trainer=debug", "trainer.threads=1", "data.size=[32,32]", "data.train_size=40", "data.val_size=10", "loss=bce"]
PLAIN = [
    *TINY,
    "model.width=4",
    "model.depth=2",
    "optimizer.lr=0.01",
    "trainer.max_epochs=3",
    "trainer.checkpoint_every=4",
]
"""Three epochs of 10 steps, checkpoints after 4, 8, 10, 12, 16, 20, 24, 28, 30; a validation has three batches."""
SEEDS = (0, 1, 2)
MEMORY = Path("/dev/shm")
OTHER_DISK = MEMORY.is_dir() and MEMORY.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev


def kill(run, point, count, *words, newest):
    """Kill before the `count`-th call of a point; the newest checkpoint is then that of step `newest`."""
    assert run.killed_at(point, count, *words), f"the process ended before '{point}' came {count} times"
    assert steps(run)[-1] == newest
    assert state(run) == "running"


def steps(run):
    return sorted(int(path.stem[5:]) for path in run.folder.glob("checkpoints/step-*.ckpt"))


def state(run):
    return json.loads((run.folder / "status.json").read_text())["state"]


def table(run):
    return [(row["split"], row["epoch"], row["step"]) for row in read_metrics(run.folder / "metrics.csv")]


def latest(run):
    return json.loads((run.folder / "checkpoints/latest.json").read_text())["step"]


def half_files(run):
    return [path for path in (run.folder / "checkpoints").glob(".step-*.tmp") if path.stat().st_size]


def at_random_steps(run):
    done = 0
    for seed in SEEDS:
        further = random.Random(seed).randint(5, 9)
        due = [step for step in (0, 4, 8, 10, 12, 16, 20, 24, 28) if step < done + further]
        kill(run, "step", further, newest=due[-1])
        done = due[-1]


def thrice_in_one_epoch(run):
    kill(run, "step", 14, newest=12)
    kill(run, "step", 3, newest=12)
    kill(run, "step is done", 6, newest=16)
    assert table(run)[-1] == ("train", 1, 17)  # the row of step 18 was not written yet


def around_a_validation(run):
    for count in (5, 2):  # in the second batch of the second validation, twice
        kill(run, "validation", count, newest=16)
        assert table(run)[-1] == ("train", 1, 20)
    kill(run, "validation is done", 1, newest=16)
    assert table(run)[-1] == ("train", 1, 20)


def while_a_checkpoint_is_written(run):
    best = run.folder / "checkpoints/best.ckpt"
    kill(run, "best is not linked yet", 1, newest=10)
    assert not best.exists()
    kill(run, "checkpoint is half written", 1, newest=10)
    assert best.exists()
    (half,) = half_files(run)
    with pytest.raises(RuntimeError):
        torch.load(half, weights_only=True)
    kill(run, "checkpoint has no name yet", 2, newest=12)
    assert any(torch.load(path, weights_only=True)["global_step"] == 16 for path in half_files(run) if path != half)
    kill(run, "checkpoint is not the latest yet", 2, newest=20)
    assert latest(run) == 16
    assert table(run)[-1] == ("epoch", 1, 20)
    kill(run, "checkpoint is half written", 3, newest=28)
    assert table(run)[-1] == ("epoch", 2, 30)  # the validation is done, but will be done again


def after_the_training(run):
    results = run.folder / "results.json"
    kill(run, "test", 1, newest=30)
    kill(run, "results are not written yet", 1, newest=30)
    assert not results.exists()
    kill(run, "plots are not drawn yet", 1, newest=30)
    assert results.exists()


def with_other_numbers_of_workers(run):
    with run.start("data.num_workers=2", point="step", count=7) as child:
        assert child.arrives()
        if Path("/proc").is_dir():
            assert len(Path(f"/proc/{child.process.pid}/task/{child.process.pid}/children").read_text().split()) == 2
    kill(run, "step", 9, "data.num_workers=0", newest=12)
    run.finish("data.num_workers=1")


def stop(run, number, point, count, code, newest):
    """Send a signal while a process stands still, let it go on, and see it stop with a checkpoint."""
    with run.start(point=point, count=count) as child:
        assert child.arrives()
        child.signal(number)
        wait_for(child, "stopping after this step")
        child.release()
        assert child.ends() == code
        assert "Traceback" not in child.said()
    assert (state(run), steps(run)[-1], latest(run)) == ("interrupted", newest, newest)


def wait_for(child, text):
    assert child.arrives(lambda: text in child.said()), child.said()


def by_signals(run):
    stop(run, signal.SIGTERM, "step", 7, code=143, newest=7)
    stop(run, signal.SIGINT, "step", 6, code=130, newest=13)
    with run.start(point="step", count=2) as child:
        assert child.arrives()
        child.signal(signal.SIGTERM)
        wait_for(child, "stopping after this step")
        child.signal(signal.SIGTERM)
        before = time.monotonic()
        assert child.ends() == 143
        assert time.monotonic() - before < 2
    assert steps(run)[-1] == 13
    stop(run, signal.SIGTERM, "validation", 2, code=143, newest=20)  # after the validation, which is not lost


def within_accumulated_steps(run):
    kill(run, "step", 6, newest=1)  # the fifth batch is half of the second step
    stop(run, signal.SIGTERM, "step", 2, code=143, newest=2)
    kill(run, "step", 5, newest=4)


def with_everything_random(run):
    kill(run, "step", 15, "data.num_workers=1", newest=12)
    kill(run, "validation is done", 1, "data.num_workers=0", newest=16)


def with_the_temporary_folder_elsewhere(run):
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        run.environment = {"TMPDIR": folder}
        kill(run, "checkpoint is half written", 4, newest=8)
        assert half_files(run)
        assert not [path for path in Path(folder).rglob("*") if path.is_file()]
        run.finish()


ACCUMULATE = [*PLAIN, "trainer.accumulate=3", "trainer.checkpoint_every=1"]
"""Three epochs of 4 steps: three batches, three, three, and the one that is left."""
RANDOM = [
    *TINY,
    "model=cnn",
    "model.dropout=0.3",
    "augment=geometric",
    "optimizer=sgd",
    "optimizer.lr=0.05",
    "scheduler=plateau",
    "scheduler.patience=0",
    "trainer.max_epochs=4",
    "trainer.checkpoint_every=4",
    "trainer.log_every=3",
    "trainer.ema=0.9",
]
CASES = [
    Case("at random steps", at_random_steps, PLAIN, peace=PLAIN),
    Case("thrice in one epoch", thrice_in_one_epoch, PLAIN, peace=PLAIN),
    Case("around a validation", around_a_validation, PLAIN, peace=PLAIN),
    Case("while a checkpoint is written", while_a_checkpoint_is_written, PLAIN, peace=PLAIN),
    Case("after the training", after_the_training, PLAIN, peace=PLAIN),
    Case("with other numbers of workers", with_other_numbers_of_workers, PLAIN, peace=PLAIN),
    Case("by signals", by_signals, PLAIN, peace=PLAIN),
    Case("within accumulated steps", within_accumulated_steps, ACCUMULATE, peace=ACCUMULATE),
    pytest.param(
        Case("with the temporary folder elsewhere", with_the_temporary_folder_elsewhere, PLAIN, peace=PLAIN),
        marks=pytest.mark.skipif(not OTHER_DISK, reason=f"{MEMORY} is not a file system of its own here"),
    ),
    Case("with dropout, augmentation and a plateau schedule", with_everything_random, RANDOM, peace=RANDOM),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_and_continued_to_the_same_end(case, attacks):
    assert attacks.differences(case) == []


def test_the_first_checkpoint_comes_after_the_first_step(tmp_path):
    run = killing.Run(tmp_path / "run", PLAIN)
    assert run.killed_at("step", 2)
    assert [path.name for path in run.folder.glob("checkpoints/step-*")] == ["step-00000001.ckpt"]

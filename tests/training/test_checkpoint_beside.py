"""Large checkpoints are written while training goes on: a copy, whose failure is told, and what follows it."""

import errno
import multiprocessing
import threading

import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn

from segbench.core.errors import CheckpointError
from segbench.runs.checkpoints import kept
from segbench.training.checkpoints import beside
from segbench.training.checkpoints.beside import Writer
from segbench.training.checkpoints.storage import save_atomic
from segbench.training.distributed.sharding import Sharding
from segbench.training.loop import Session


class Held:
    """Writes once it is let go, or fails."""

    def __init__(self, error=None):
        self.go = threading.Event()
        self.error = error

    def __call__(self, checkpoint, path):
        assert self.go.wait(60)
        if self.error is not None:
            raise self.error
        save_atomic(checkpoint, path)


@pytest.fixture
def held(monkeypatch):
    def hold(error=None):
        held = Held(error)
        monkeypatch.setattr(beside, "save_atomic", held)
        return held

    monkeypatch.setattr(beside, "LARGE", 0)
    monkeypatch.setattr(beside, "available_memory", lambda: 1 << 40)
    return hold


def content():
    network = nn.ModuleDict({"a": nn.Linear(3, 2, bias=False), "tied": nn.Linear(3, 2, bias=False)})
    network["a"].weight.data = torch.arange(6.0).reshape(2, 3)
    network["tied"].weight = network["a"].weight
    return {"state_dict": network.state_dict(), "best": {"iou": [0.5]}, "steps": (1, torch.ones(2))}


def test_what_is_written_is_what_was_there_when_it_was_saved(tmp_path, held):
    gate, path, done = held(), tmp_path / "step-00000001.ckpt", []
    checkpoint = content()
    with Writer() as writer:
        writer.save(checkpoint, path)
        writer.then(lambda: done.append(path.is_file()))
        checkpoint["state_dict"]["a.weight"].zero_()
        checkpoint["best"]["iou"].append(0.7)
        checkpoint["steps"][1].zero_()
        writer.check()
        assert not path.exists()
        gate.go.set()
    assert done == [True]
    found, wanted = torch.load(path, weights_only=True), content()
    assert torch.equal(found["state_dict"]["a.weight"], wanted["state_dict"]["a.weight"])
    assert found["state_dict"]["a.weight"].data_ptr() == found["state_dict"]["tied.weight"].data_ptr()
    assert found["best"] == wanted["best"]
    assert torch.equal(found["steps"][1], wanted["steps"][1])
    assert list(kept(tmp_path)) == [path.name]


def test_a_failure_is_raised_by_the_next_call_and_nothing_follows_it(tmp_path, held):
    gate, writer, done = held(CheckpointError("no space")), Writer(), []
    writer.save(content(), tmp_path / "step-00000001.ckpt")
    writer.then(lambda: done.append(1))
    gate.go.set()
    with pytest.raises(CheckpointError, match="no space"):
        writer.save(content(), tmp_path / "step-00000002.ckpt")
    writer.wait()  # it is told once
    assert not done
    assert list(tmp_path.iterdir()) == []


def test_the_error_that_ends_a_training_is_not_replaced(tmp_path, held, caplog):
    held(CheckpointError("no space")).go.set()
    with pytest.raises(ZeroDivisionError), Writer() as writer:  # noqa: PT012
        writer.save(content(), tmp_path / "step-00000001.ckpt")
        writer.then(lambda: None)
        raise ZeroDivisionError
    assert "no space" in caplog.text


def test_one_that_nothing_follows_is_written_all_the_same(tmp_path, held):
    held().go.set()
    with Writer() as writer:
        writer.save(content(), tmp_path / "step-00000001.ckpt")
    assert (tmp_path / "step-00000001.ckpt").is_file()


@pytest.mark.parametrize(("large", "free"), [(1 << 30, 1 << 40), (0, 60)])
def test_a_small_one_and_one_without_room_for_a_copy_are_written_at_once(tmp_path, monkeypatch, large, free):
    monkeypatch.setattr(beside, "LARGE", large)
    monkeypatch.setattr(beside, "available_memory", lambda: free)
    writer = Writer()
    writer.save(content(), tmp_path / "step-00000001.ckpt")  # 56 bytes of numbers
    assert (tmp_path / "step-00000001.ckpt").is_file()
    done = []
    writer.then(lambda: done.append(threading.current_thread()))
    assert done == [threading.main_thread()]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_process_is_forked_after_the_writing(tmp_path, held):
    gate, path, writer = held(), tmp_path / "step-00000001.ckpt", Writer()
    writer.save(content(), path)
    writer.then(lambda: None)
    threading.Timer(0.2, gate.go.set).start()
    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
    assert path.is_file()
    process.join()
    writer.wait()


WORDS = ["data=fgbg", "data.size=[32,32]", "data.train_size=32", "data.val_size=2", "data.test_size=2"]
WORDS += ["model.width=4", "model.depth=2", "trainer.max_epochs=2", "trainer.checkpoint_every=1", "trainer.plots=false"]


def test_a_run_is_the_same_either_way(command, tmp_path, monkeypatch):
    assert command(*WORDS, "hydra.run.dir=at_once").code == 0
    monkeypatch.setattr(beside, "LARGE", 0)
    monkeypatch.setattr(beside, "ROOM", 0)
    writers = []
    monkeypatch.setattr(
        beside, "save_atomic", lambda *parts: (writers.append(threading.current_thread().name), save_atomic(*parts))
    )
    assert command(*WORDS, "hydra.run.dir=beside").code == 0
    assert set(writers) == {"checkpoint"}
    here = tmp_path / "here"
    for name in ("digests.csv", "metrics.csv"):
        assert (here / "beside" / name).read_text() == (here / "at_once" / name).read_text()
    names = [sorted(path.name for path in (here / run / "checkpoints").iterdir()) for run in ("beside", "at_once")]
    assert names[0] == names[1]


def test_all_processes_wait_for_the_last_one_before_the_best_is_read(command, monkeypatch):
    """With trainer.strategy=fsdp each reads it, and the first alone writes it."""
    said = []
    barrier, load = SingleDeviceStrategy.barrier, Session._load_best

    def write(checkpoint, path):
        save_atomic(checkpoint, path)
        said.append("written")

    monkeypatch.setattr(beside, "LARGE", 0)
    monkeypatch.setattr(beside, "ROOM", 0)
    monkeypatch.setattr(beside, "save_atomic", write)
    monkeypatch.setattr(SingleDeviceStrategy, "barrier", lambda *parts: (said.append("barrier"), barrier(*parts)))
    monkeypatch.setattr(Session, "_load_best", lambda self: (said.append("read"), load(self)))
    assert command(*WORDS, "hydra.run.dir=run").code == 0
    ends = said[: said.index("read")]
    assert ends.count("written") == 4
    assert "barrier" in ends[len(ends) - ends[::-1].index("written") :]


def test_a_disk_that_is_full_ends_the_run_with_what_was_written_before(command, monkeypatch):
    monkeypatch.setattr(beside, "LARGE", 0)
    monkeypatch.setattr(beside, "ROOM", 0)

    def fill(checkpoint, path):
        if path.name > "step-00000001.ckpt":
            raise CheckpointError(f"the checkpoint {path} cannot be written: {errno.ENOSPC}; older ones are untouched")
        save_atomic(checkpoint, path)

    monkeypatch.setattr(beside, "save_atomic", fill)
    outcome = command(*WORDS, "hydra.run.dir=run")
    assert outcome.code == 4
    assert "step-00000002.ckpt cannot be written" in outcome.err
    assert "older ones are untouched" in outcome.err


def test_the_strategy_of_shared_weights_hands_on_who_writes(tmp_path, monkeypatch):
    said = []
    strategy = Sharding(1)
    monkeypatch.setattr(Sharding, "is_global_zero", True)
    monkeypatch.setattr(
        Sharding, "checkpoint_io", type("Io", (), {"save_checkpoint": lambda *a, **b: said.append((a[1:], b))})()
    )
    strategy.save_checkpoint({"a": 1}, tmp_path / "x", storage_options=print)
    assert said == [(({"a": 1}, tmp_path / "x"), {"storage_options": print})]

"""Loader workers that are killed, hang or raise: one sentence with the samples, and no process is left behind."""

import json
import multiprocessing
import os
import signal
import tempfile
import time

import numpy as np
import pytest

from segbench.core.errors import CheckpointError, ConfigError, DataError
from segbench.data.loading import loader as room
from segbench.data.loading.augment import Augment
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import SplitDataset
from segbench.data.loading.workers import Workers

MAIN = os.getpid()


class Faulty(SegmentationData):
    """Grey pictures of 4 x 4 pixels, whose grey is their number; `fault(index)` may do its worst before one is made."""

    def __init__(self, fault=lambda index: None, size=10, batch_size=2, **further):
        super().__init__(["a", "b"], [4, 4], mean=[0.5] * 3, std=[0.25] * 3, batch_size=batch_size, **further)
        self.fault, self.count = fault, size

    def prepare(self):
        pass

    def num_samples(self, split):
        return self.count

    def fingerprint(self, split):
        return "faulty"

    def locate_sample(self, split, index):
        return f"/data/{split}/{index:02d}.png"

    def sample(self, split, epoch, index):
        shape = self.fault(index) or (4, 4)
        return {"image": np.full((*shape, 3), index, np.uint8), "mask": np.zeros(shape, np.uint8)}


def at(number, act):
    return lambda index: act() if index == number else None


def kill():
    assert os.getpid() != MAIN
    os.kill(os.getpid(), signal.SIGKILL)


def hang_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # as a decoder in C would
    time.sleep(600)


def collect(loader, read):
    for batch in loader:
        read += batch["index"].tolist()


def failing(loader, error=DataError):
    """Return what was read before the error, and its sentence."""
    read = []
    with pytest.raises(error) as caught:
        collect(loader, read)
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return read, text


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_names_its_sample_and_the_batch(workers):
    read, text = failing(Faulty(at(5, kill), num_workers=workers).loader("val"))
    assert read in ([], [0, 1], [0, 1, 2, 3])  # workers are ahead: one may die while an earlier batch is waited for
    assert "was killed by SIGKILL while it made val sample 5 (/data/val/05.png); the batch of val sample" in text
    first, second = (f"val sample {len(read) + k} (/data/val/0{len(read) + k}.png)" for k in (0, 1))
    assert f"; the batch of {first}, {second} was waited for; " in text
    assert "memory may have run out" in text
    assert "data.num_workers=0 shows the error itself" in text


def test_at_most_four_samples_are_named():
    _, text = failing(Faulty(at(0, kill), size=9, batch_size=9, num_workers=1).loader("test"))
    assert "the batch of test sample 0 (/data/test/00.png), " in text
    assert "test sample 3 (/data/test/03.png) and 5 more was waited for" in text
    assert "test sample 4" not in text


def test_a_death_is_noticed_whoever_has_taken_the_signal(monkeypatch):
    """Another library may have set its handler of SIGCHLD after torch did, which sets its own only once."""
    told = []
    loader = Faulty(at(1, kill), num_workers=1).loader("val")
    before = signal.signal(signal.SIGCHLD, lambda number, frame: told.append(number))
    try:
        began = time.monotonic()
        _, text = failing(loader)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "was killed by SIGKILL while it made val sample 1" in text
    assert told
    assert time.monotonic() - began < room.WORKER_TIMEOUT / 2


def test_a_death_that_nobody_tells_of_is_looked_for(monkeypatch):
    monkeypatch.setattr(room, "LOOK_EVERY", 0.5)
    monkeypatch.setattr(room.deaths, "take_over", lambda: signal.signal(signal.SIGCHLD, signal.SIG_DFL))
    before = signal.getsignal(signal.SIGCHLD)
    try:
        _, text = failing(Faulty(at(1, kill), num_workers=1).loader("val"))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "was killed by SIGKILL while it made val sample 1" in text


def test_a_worker_that_exits_says_its_status():
    _, text = failing(Faulty(at(1, lambda: os._exit(9)), num_workers=1).loader("val"))
    assert "ended with exit status 9 while it made val sample 1 (/data/val/01.png)" in text


@pytest.mark.parametrize("hang", [lambda: time.sleep(600), hang_deaf], ids=["sleep", "deaf"])
def test_a_hanging_worker_is_an_error_in_time(hang, monkeypatch):
    monkeypatch.setattr(room, "WORKER_TIMEOUT", 0.7)
    loader = Faulty(at(3, hang), num_workers=1).loader("val")
    start = time.monotonic()
    read, text = failing(loader)
    assert read == [0, 1]
    assert 0.7 <= time.monotonic() - start < 5  # the worker is gone by then as well
    assert text == (
        "no data loader worker gave a batch within 0.7 seconds; the batch of val sample 2 (/data/val/02.png), val"
        " sample 3 (/data/val/03.png) was waited for, of which val sample 3 (/data/val/03.png) is still being made;"
        " data.num_workers=0 shows where it hangs"
    )


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_exception_names_the_very_sample(workers):
    def fault():
        raise KeyError("pixels")

    read, text = failing(Faulty(at(5, fault), num_workers=workers).loader("val"))
    assert read == [0, 1, 2, 3]
    assert text == "val sample 5 (/data/val/05.png) cannot be made: KeyError: 'pixels'"


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_segbench_keep_their_words_and_exit_status(workers):
    def fault():
        raise CheckpointError("it is another one")

    _, text = failing(Faulty(at(2, fault), num_workers=workers).loader("val"), CheckpointError)
    assert text == "it is another one"


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_traceback_can_be_asked_for(workers):
    def fault():
        raise ValueError("first line\nsecond line")

    with pytest.raises(DataError) as caught:
        list(Faulty(at(2, fault), num_workers=workers).loader("val"))
    assert str(caught.value).endswith("ValueError: first line")
    assert 'raise ValueError("first line' in caught.value.__notes__[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_augmentation_names_the_sample(workers):
    class Failing(Augment):
        def __call__(self, arrays, seed, epoch, index, /):
            if index == 6:
                raise ZeroDivisionError("division by zero")
            return arrays

    data = Faulty(augment=Failing([]), num_workers=workers)
    _, text = failing(data.loader("train"))
    assert text == "train sample 6 (/data/train/06.png) cannot be made: ZeroDivisionError: division by zero"
    assert len(list(data.loader("val"))) == 5


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_of_different_sizes_are_no_batch(workers):
    data = Faulty(lambda index: (4, 5) if index == 1 else None, num_workers=workers)
    _, text = failing(data.loader("train"))
    assert "train sample 1 (/data/train/01.png)" in text
    assert "cannot be made one batch: RuntimeError: stack" in text


def test_a_data_set_that_cannot_even_name_its_samples_still_fails_in_one_sentence():
    data = Faulty(at(1, lambda: 1 / 0))
    data.locate_sample = lambda split, index: [][index]
    assert failing(data.loader("val"))[1] == "val sample 1 cannot be made: ZeroDivisionError: division by zero"


def test_an_interrupt_passes_untouched():
    def fault():
        raise KeyboardInterrupt

    failing(Faulty(at(3, fault)).loader("val"), KeyboardInterrupt)


def test_a_worker_that_dies_during_a_step_does_not_disturb_it(tmp_path):
    """torch's own handler would raise in the middle of whatever the training process is doing."""
    flag = tmp_path / "step"

    def fault():
        while not flag.exists():
            time.sleep(0.01)
        kill()

    batches = iter(Faulty(at(6, fault), num_workers=1).loader("val"))
    next(batches)
    flag.touch()
    worker = multiprocessing.active_children()[0]
    while worker.is_alive():
        sum(range(1000))  # a step
    with pytest.raises(DataError, match="killed by SIGKILL while it made val sample 6"):
        list(batches)


def test_workers_that_are_told_to_stop_are_replaced_and_nothing_is_lost(tmp_path):
    """A batch system sends SIGTERM to every process of a job; whether to stop is for training to say."""

    def once():
        flag = tmp_path / "done"
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)

    loader = Faulty(at(5, once), num_workers=2).loader("val")
    assert [index for batch in loader for index in batch["index"].tolist()] == list(range(10))
    assert [index for batch in loader for index in batch["index"].tolist()] == list(range(10))
    loader._stop_workers()


def test_workers_that_are_always_told_to_stop_are_an_error():
    def always():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)

    _, text = failing(Faulty(at(5, always), num_workers=1).loader("val"))
    assert "was killed by SIGTERM while it made val sample 5" in text


def test_the_end_of_a_worker_is_waited_for_after_its_connection_broke(monkeypatch):
    """On a busy machine it comes seconds later: told of is how it ended, not that something could not be read."""
    monkeypatch.setattr("segbench.data.loading.workers.DYING", 0.0)
    process = multiprocessing.Process(target=time.sleep, args=(0.5,))
    process.start()
    workers = Workers()
    workers.workers = [process]
    assert workers.dead() == []
    assert workers.dead(EOFError()) == [0]


def test_a_worker_whose_files_are_closed_is_ending():
    """The system closes them a moment before the process is gone, which on a busy machine can be seen."""

    def end_slowly():
        os.closerange(3, 1000)
        time.sleep(0.5)

    process = multiprocessing.get_context("fork").Process(target=end_slowly)
    process.start()
    workers = Workers()
    workers.workers = [process]
    assert workers.dead() == [0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_end_between_two_epochs(number):
    loader = Faulty(num_workers=2).loader("val")
    list(loader)
    worker = multiprocessing.active_children()[0]
    os.kill(worker.pid, number)
    worker.join()
    if number == signal.SIGTERM:
        assert [index for batch in loader for index in batch["index"].tolist()] == list(range(10))
        loader._stop_workers()
    else:
        start = time.monotonic()
        read, text = failing(loader)
        assert time.monotonic() - start < 20  # far from the timeout
        assert read == []
        assert f"a data loader worker (pid {worker.pid}) was killed by SIGKILL; the batch of val sample 0 (" in text


def test_a_loader_can_be_read_again_after_an_error(tmp_path):
    """As the next job of a sweep does in the same process."""
    flag = tmp_path / "fixed"
    loader = Faulty(at(3, lambda: None if flag.exists() else kill()), num_workers=1).loader("val")
    failing(loader)
    flag.touch()
    assert [index for batch in loader for index in batch["index"].tolist()] == list(range(10))
    loader._stop_workers()


def test_a_temporary_folder_that_is_too_long_for_sockets_is_refused_before_workers_start(tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)  # none has been made yet
    with pytest.raises(ConfigError, match=f"num_workers=2 needs sockets, and {folder} can hold none.*TMPDIR"):
        Faulty(num_workers=2)
    Faulty(num_workers=0)
    monkeypatch.undo()
    Faulty(num_workers=2)


def test_errors_from_within_a_split_name_the_sample_without_a_loader():
    dataset = SplitDataset(Faulty(at(0, lambda: 1 / 0)), "val", augment=None, seed=0)
    with pytest.raises(DataError, match="val sample 0") as caught:
        dataset[0, 0]
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


PLUGIN = """
import os, signal, time
from pathlib import Path
from segbench.data.scenes.fgbg import FgBg


class Faulty(FgBg):
    "fgbg whose fifth training sample does what FAULT says."

    def sample(self, split, epoch, index):
        fault = os.environ["FAULT"]
        if split == "train" and index == 5:
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "raise":
                raise RuntimeError("made of cheese")
            if fault == "hang":
                time.sleep(600)
            if fault == "terminate" and not Path("told").exists():
                Path("told").touch()
                os.kill(os.getppid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(600)
        return super().sample(split, epoch=epoch, index=index)
"""


@pytest.fixture
def faulty(tmp_path, tiny, monkeypatch):
    (tmp_path / "faulty.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return [*tiny, "plugins=[faulty]", "data._target_=faulty.Faulty", "data.num_workers=1", "hydra.run.dir=run"]


def state(folder):
    return json.loads((folder / "run" / "status.json").read_text())["state"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("hang", "no data loader worker gave a batch within 1.5 seconds; the batch of train sample"),
        ("raise", "train sample 5 cannot be made: RuntimeError: made of cheese"),
    ],
)
def test_from_the_command_line(fault, message, tmp_path, command, faulty, monkeypatch):
    monkeypatch.setattr(room, "WORKER_TIMEOUT", 1.5)
    monkeypatch.setenv("FAULT", fault)
    outcome = command(*faulty)
    assert outcome.code == 3
    assert outcome.err.count(message) == 1
    assert "Traceback" not in outcome.err
    assert state(tmp_path / "here") == "failed"


@pytest.mark.slow
def test_a_killed_worker_ends_a_process_at_once(process, faulty):
    outcome = process(*faulty, check=3, FAULT="kill", HYDRA_FULL_ERROR="0")
    assert "was killed by SIGKILL while it made train sample 5; the batch of train sample" in outcome.err
    assert "Traceback" not in outcome.err
    assert len([line for line in outcome.err.splitlines() if "sample" in line]) == 1
    assert state(process.folder) == "failed"


@pytest.mark.slow
def test_sigterm_for_the_workers_as_well_ends_with_a_checkpoint(process, faulty):
    outcome = process(*faulty, check=143, FAULT="terminate", HYDRA_FULL_ERROR="0")
    assert (process.folder / "told").exists()
    assert "with a checkpoint" in outcome.err
    assert "Traceback" not in outcome.err
    assert list((process.folder / "run" / "checkpoints").glob("step-*.ckpt"))
    assert state(process.folder) == "interrupted"

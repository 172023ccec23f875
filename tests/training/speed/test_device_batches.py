"""Batches that come ahead: in order, their errors at their place, and without a trace in what a resume continues."""

import json
from pathlib import Path

import pytest
import torch

from segbench.core.errors import DataError
from segbench.training import loop
from segbench.training.module import SegmentationModule
from segbench.training.speed.device_batches import DeviceBatches, SideStream, tensors_of


class Told:
    """Notes what is begun and finished, and copies nothing."""

    def __init__(self):
        self.acts = []

    def begin(self, batch):
        self.acts.append(("begin", batch["index"]))
        return batch

    def finish(self, begun):
        self.acts.append(("finish", begun["index"]))
        return begun


class Loader:
    """A loader of so many batches, the last of which may be an error."""

    def __init__(self, count, *, breaks=False):
        self.count = count
        self.breaks = breaks
        self.asked = 0

    def __len__(self):
        return self.count

    def __iter__(self):
        self.asked += 1
        for number in range(self.count):
            if self.breaks and number == self.count - 1:
                raise DataError(f"batch {number}")
            yield {"index": number}


def test_each_batch_is_begun_before_the_one_before_it_is_trained():
    told = Told()
    batches = DeviceBatches(Loader(3), told)
    assert len(batches) == 3
    found = []
    for batch in batches:
        told.acts.append(("train", batch["index"]))
        found.append(batch["index"])
    assert found == [0, 1, 2]
    assert told.acts == [
        ("begin", 0),
        ("begin", 1),
        ("finish", 0),
        ("train", 0),
        ("begin", 2),
        ("finish", 1),
        ("train", 1),
        ("finish", 2),
        ("train", 2),
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_batches(count):
    assert [batch["index"] for batch in DeviceBatches(Loader(count), Told())] == list(range(count))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_error_comes_after_the_batches_before_it(count):
    batches = iter(DeviceBatches(Loader(count, breaks=True), Told()))
    assert [next(batches)["index"] for _ in range(count - 1)] == list(range(count - 1))
    with pytest.raises(DataError, match=f"batch {count - 1}"):
        next(batches)


def test_the_loader_is_asked_when_its_first_batch_is():
    loader = Loader(2)
    batches = iter(DeviceBatches(loader, Told()))
    assert loader.asked == 0
    next(batches)
    assert loader.asked == 1


def test_pictures_of_several_sizes_are_sent_too():
    batch = {"image": [torch.zeros(2), torch.zeros(3)], "index": torch.zeros(2)}
    assert [len(tensor) for tensor in tensors_of(batch)] == [2, 3, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_copy_arrives_whole():
    transfer = SideStream()
    pinned = {"image": torch.arange(10**6).pin_memory(), "truth": [torch.ones(3)], "index": torch.arange(3)}
    begun = [transfer.begin({**pinned, "image": pinned["image"] + number}) for number in range(4)]
    for number, one in enumerate(begun):
        found = transfer.finish(one)
        assert found["image"].is_cuda
        assert torch.equal(found["image"].cpu(), pinned["image"] + number)
        assert torch.equal(found["truth"][0].cpu(), torch.ones(3))


def _ends_at(call):
    """Return a training step that is made until a call, counted from 1, which breaks."""
    original = SegmentationModule.training_step
    calls = []

    def step(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == call:
            raise DataError("it breaks here")
        return original(self, batch, batch_idx)

    return step


def test_a_resume_in_an_epoch_is_bit_exact_with_batches_ahead(command, tiny, monkeypatch):
    words = [*tiny, "data.train_size=24", "trainer.checkpoint_every=1"]
    assert command(*words, "hydra.run.dir=plain").code == 0
    told = Told()
    monkeypatch.setattr(loop, "device_kind", lambda settings: "cuda")
    monkeypatch.setattr(loop, "on_gpu", lambda loader: DeviceBatches(loader, told))
    assert command(*words, "hydra.run.dir=whole").code == 0
    assert told.acts
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", _ends_at(10))
        assert command(*words, "hydra.run.dir=cut").code == 3
    assert command("resume=cut").code == 0
    assert json.loads(Path("cut/environment.json").read_text())["resumes"][0]["step"] == 9
    texts = {name: Path(name, "digests.csv").read_text().splitlines()[-1] for name in ("plain", "whole", "cut")}
    assert len(set(texts.values())) == 1
    assert Path("plain/metrics.csv").read_text() == Path("whole/metrics.csv").read_text()

"""The data law: sample (seed, split, epoch, index) is the same bytes for any workers, order or interruption."""

import hashlib

import numpy as np
import pytest
import torch

from segbench.data.loading.augment import Augment
from segbench.data.loading.loader import EpochLoader, PlanSampler, shuffled
from segbench.data.loading.source import SplitDataset
from tests.support.tiny_generated import tiny_fgbg

albumentations = pytest.importorskip("albumentations")


def standard():
    return Augment(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(rotate=(-30, 30), fill_mask=255, p=0.8),
            albumentations.ColorJitter(p=0.8),
        ]
    )


@pytest.fixture
def data(pictures):
    return tiny_fgbg(pictures, train_size=18, val_size=6, test_size=5, augment=standard())


def digests(loader):
    found = {}
    for batch in loader:
        for place, index in enumerate(batch["index"].tolist()):
            bytes_ = b"".join(batch[name][place].numpy().tobytes() for name in ("image", "mask", "depth", "background"))
            found[index] = hashlib.sha256(bytes_).hexdigest()
    return found


def test_workers_do_not_matter(data):
    reference = None
    for workers in (0, 1, 2):
        data.num_workers = workers
        data.position = lambda: (3, 0)
        found = digests(data.train_dataloader())
        assert len(found) == 16  # whole batches of 4 out of 18
        reference = reference or found
        assert found == reference


def test_order_does_not_matter_and_epochs_differ(data):
    dataset = SplitDataset(data, "train", augment=data.augment, seed=0)
    forward = [dataset[1, index]["image"] for index in range(8)]
    backward = [dataset[1, index]["image"] for index in reversed(range(8))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not any(torch.equal(dataset[2, i]["image"], forward[i]) for i in range(8))


def test_augmentations_never_repeat(data):
    """Two epochs and two workers: the same picture through the pipeline comes out differently every time."""
    augment = data.augment
    arrays = {
        "image": data.sample("train", epoch=0, index=0)["image"],
        "mask": data.sample("train", epoch=0, index=0)["mask"],
    }
    seen = {augment(arrays, 0, epoch, index)["image"].tobytes() for epoch in range(4) for index in range(25)}
    assert len(seen) >= 95
    assert augment(arrays, 0, 2, 7)["image"].tobytes() == standard()(arrays, 0, 2, 7)["image"].tobytes()


def test_worker_batches_differ_between_workers_and_epochs(data):
    """albumentations alone would give both workers, and every epoch, the same draws."""
    data.fresh, data.num_workers = False, 2
    epoch = 0
    data.position = lambda: (epoch, 0)
    loader = data.train_dataloader()
    first = digests(loader)
    epoch = 1
    second = digests(loader)
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)


def test_epoch_can_start_in_its_middle(data):
    data.position = lambda: (5, 0)
    whole = [batch["index"].tolist() for batch in data.train_dataloader()]
    data.position = lambda: (5, 2)
    for workers in (0, 2):
        data.num_workers = workers
        assert [batch["index"].tolist() for batch in data.train_dataloader()] == whole[2:]


def test_position_is_asked_for_when_reading_starts(data):
    asked = []
    data.position = lambda: asked.append(1) or (0, 0)
    iterator = iter(data.train_dataloader())
    assert not asked
    next(iterator)
    assert asked == [1]


def test_val_and_test_are_neither_shuffled_nor_augmented_nor_cut(data):
    for split, size in (("val", 6), ("test", 5)):
        loader = data.loader(split)
        indices = [index for batch in loader for index in batch["index"].tolist()]
        assert indices == list(range(size))
        first = next(iter(loader))
        assert np.array_equal(first["image"][0].permute(1, 2, 0).numpy(), data.sample(split, epoch=0, index=0)["image"])


def test_loading_leaves_the_global_generator_alone(data):
    before = torch.get_rng_state()
    for batch in data.train_dataloader():
        assert batch["image"].dtype == torch.uint8
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_every_sample_once(world_size):
    for size, drop_last in ((17, False), (17, True), (2, False)):
        samplers = [
            PlanSampler(
                size, 2, order=shuffled(size, "order", 0), drop_last=drop_last, rank=rank, world_size=world_size
            )
            for rank in range(world_size)
        ]
        found = [index for sampler in samplers for batch in sampler for _, index in batch]
        assert len(found) == len(set(found))
        assert len(found) == (size // (2 * world_size) * 2 * world_size if drop_last else size)


def test_order_is_another_in_every_epoch_and_for_every_seed(data):
    orders = set()
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        sampler = PlanSampler(18, 4, order=shuffled(18, "order", seed), drop_last=True)
        sampler.epoch = epoch
        orders.add(tuple(index for batch in sampler for _, index in batch))
    assert len(orders) == 3


def test_loader_is_as_long_as_its_plan(data):
    assert len(data.train_dataloader()) == 4
    assert isinstance(data.val_dataloader(), EpochLoader)
    assert len(data.val_dataloader()) == 2


def test_background_and_depth_move_with_the_image(data):
    flip = Augment([albumentations.HorizontalFlip(p=1.0)])
    arrays = data.sample("train", epoch=0, index=0)
    flipped = flip(arrays, 0, 0, 0)
    for name in arrays:
        assert np.array_equal(flipped[name], arrays[name][:, ::-1])

"""A data set of the user's own: its first sample is looked at before anything is made of it."""

import numpy as np
import pytest

from segbench.core.errors import ConfigError, DataError
from segbench.core.rng import generator
from segbench.data.loading.datamodule import SegmentationData


class Stripes(SegmentationData):
    def __init__(self, change=lambda sample: sample, count=8, **further):
        common = {"classes": ["background", "stripe"], "size": [16, 16], "batch_size": 4}
        super().__init__(**common | {"mean": [0.5] * 3, "std": [0.25] * 3} | further)
        self.change = change
        self.count = count

    def prepare(self):
        pass

    def num_samples(self, split):
        return self.count

    def sample(self, split, *, epoch, index):
        start = int(generator("stripes", self.seed, split, epoch, index).integers(0, 8))
        mask = np.zeros((16, 16), np.uint8)
        mask[:, start : start + 4] = 1
        return self.change({"image": np.repeat(mask[..., None] * np.uint8(200), 3, axis=2), "mask": mask})

    def fingerprint(self, split):
        return f"stripes {self.seed} {split}"


def test_what_keeps_the_contract_is_served():
    data = Stripes()
    data.setup()
    batch = next(iter(data.loader("train")))
    assert (tuple(batch["image"].shape), tuple(batch["mask"].shape)) == ((4, 3, 16, 16), (4, 16, 16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s | {"image": s["image"] / 255},
            r"image must be uint8 or float32 \[H,W,3\], got float64 \[16, 16, 3\]$",
        ),
        (lambda s: s | {"image": s["image"].transpose(2, 0, 1)}, r"image must be .*, got uint8 \[3, 16, 16\]$"),
        (lambda s: s | {"image": s["image"].tolist()}, r"image must be an array of numpy, .*, got list$"),
        (lambda s: s | {"mask": s["mask"].astype(np.int64)}, r"mask must be uint8 \[H,W\], got int64 \[16, 16\]$"),
        (lambda s: s | {"mask": s["mask"][:8]}, r"one height and width, got image 16 x 16, mask 8 x 16$"),
        (lambda s: s | {"mask": s["mask"] * 7}, r"mask holds 7; ids are 0 to 1, places in data\.classes, or 255$"),
        (lambda s: {"image": s["image"]}, r"^data \(Stripes\): sample 0 of train has no mask; entries says"),
        (lambda s: (s["image"], s["mask"]), r"must be a dict of image, mask, got tuple$"),
    ],
)
def test_what_breaks_it_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        Stripes(change).setup()


@pytest.mark.parametrize("count", [None, "8", 8.0])
def test_a_number_of_samples_is_a_whole_number(count):
    with pytest.raises(ConfigError, match=r"num_samples of train must be a whole number, got "):
        Stripes(count=count).setup()


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="the train split has no samples"):
        Stripes(count=0).setup()


def test_an_augmentation_is_one_of_segbench():
    with pytest.raises(ConfigError, match=r"_target_: segbench\.data\.loading\.augment\.Augment"):
        Stripes(augment=lambda **arrays: arrays)

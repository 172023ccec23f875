"""What a network sees of a picture, and the way back, against Pillow and numbers worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.data.loading.batches import groups_of, samples_of
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.views import EvaluationView, TrainingView, resized
from segbench.data.scenes.textures import make_background

SIZES = [(20, 30), (31, 17), (16, 24), (24, 16)]


def picture(height, width, bands=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)


class Sizes(SegmentationData):
    """Pictures of four sizes, each of one colour."""

    fit = "pad"

    def __init__(self, **settings):
        super().__init__(["a", "b"], (16, 24), mean=[0.5] * 3, std=[0.2] * 3, batch_size=3, **settings)

    def prepare(self):
        self.check_splits()

    def num_samples(self, split):
        return len(SIZES)

    def fingerprint(self, split):
        return "sizes"

    def sample(self, split, epoch, index):
        return {"image": np.full((16, 24, 3), index, np.uint8), "mask": np.zeros((16, 24), np.uint8)}

    def original(self, split, index):
        height, width = SIZES[index]
        return {"image": picture(height, width, seed=index), "mask": picture(height, width, 1, index)[..., 0] % 2}


def test_stretch_resizes_as_pillow_does():
    image = picture(40, 30)
    wanted = np.asarray(Image.fromarray(image).resize((24, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(EvaluationView((16, 24)).image(image), wanted)
    mask = image[..., 0]
    wanted = np.asarray(Image.fromarray(mask).resize((24, 16), Image.Resampling.NEAREST))
    assert np.array_equal(EvaluationView((16, 24)).mask(mask), wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_each_band_is_resized_by_itself(dtype, bands):
    image = picture(40, 30, bands)
    if dtype == np.float32:
        image = image.astype(dtype) / dtype(255)
    found = resized(image, (16, 24), resampling=Image.Resampling.BILINEAR)
    assert found.shape == (16, 24, bands)
    assert found.dtype == dtype
    for band in range(bands):
        wanted = Image.fromarray(np.ascontiguousarray(image[..., band])).resize((24, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(found[..., band], np.asarray(wanted))


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_a_picture_of_the_size_is_left_as_it_is(fit):
    image = picture(16, 24, 4)
    assert EvaluationView((16, 24), fit).image(image) is image
    assert TrainingView((16, 24), fit).image(image) is image
    logits = torch.rand(1, 3, 16, 24)
    assert torch.equal(EvaluationView((16, 24), fit).back(logits, height=16, width=24), logits)


def test_crop_shows_all_of_a_picture_where_it_is_scored_and_its_middle_where_it_is_trained_on():
    image = np.zeros((20, 100, 3), np.uint8)
    image[:, 80:] = 255
    assert EvaluationView((10, 10), "crop").image(image).shape == (10, 50, 3)
    assert (EvaluationView((10, 10), "crop").image(image)[:, 42:] == 255).all()
    assert (TrainingView((10, 10), "crop").image(image) == 0).all()


def test_bars_are_black_ignored_and_left_out_on_the_way_back():
    view = EvaluationView((10, 10), "pad")
    image, mask = np.full((20, 40, 3), 200, np.uint8), np.ones((20, 40), np.uint8)
    rows = [2, 7]  # 40 pixels come to 10, 20 to 5: two rows of bar above, three below
    assert np.flatnonzero(view.image(image)[:, 0, 0]).tolist() == list(range(*rows))
    assert (view.mask(mask)[: rows[0]] == 255).all()
    assert (view.mask(mask)[rows[1] :] == 255).all()
    assert np.isnan(view.depth(np.ones((20, 40), np.float32))[0]).all()
    logits = torch.full((1, 2, 10, 10), -9.0)
    logits[:, :, slice(*rows)] = 4.0
    assert (view.back(logits, height=20, width=40) == 4.0).all()
    assert view.back(logits, height=20, width=40).shape == (1, 2, 20, 40)


def test_a_picture_that_no_network_could_be_shown_is_refused():
    with pytest.raises(DataError, match="1 x 900000 pixels would be seen at 96 x 86400000"):
        EvaluationView((96, 96), "crop").place(1, 900_000)
    assert EvaluationView((96, 96), "pad").place(1, 900_000).inner == (1, 96)


def test_a_fit_that_there_is_none_of_is_refused():
    for kind in (EvaluationView, TrainingView):
        with pytest.raises(ConfigError, match=r"there is no data.fit 'strech'; did you mean 'stretch'"):
            kind((16, 24), "strech")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_of_val_holds_views_and_the_masks_at_their_own_size(workers):
    data = Sizes(num_workers=workers)
    batches = list(data.loader("val"))
    assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2], [3]]
    samples = [sample for batch in batches for sample in samples_of(batch)]
    for index, sample in enumerate(samples):
        original = data.original("val", index)
        seen = torch.from_numpy(data.view.image(original["image"])).permute(2, 0, 1)
        assert torch.equal(sample["image"][0], seen)
        assert torch.equal(sample["mask"][0], torch.from_numpy(data.view.mask(original["mask"])))
        assert torch.equal(sample["truth"][0], torch.from_numpy(original["mask"]))


def test_pictures_of_one_size_of_view_are_taken_together():
    data = Sizes()
    data.fit = "crop"
    (_, one), *others = groups_of(batch := next(iter(data.loader("val"))))
    assert [tuple(image.shape[-2:]) for image in batch["image"]] == [(16, 24), (44, 24), (16, 24)]
    assert one["index"].tolist() == [0, 2]
    assert [(places, group["image"].shape[-2:]) for places, group in others] == [([1], (44, 24))]


def test_a_batch_of_one_size_is_one_tensor_and_has_no_truth_beside_its_mask():
    data = Sizes()
    data.original = lambda split, index: data.sample(split, epoch=0, index=index)
    batch = next(iter(data.loader("test")))
    assert batch["image"].shape == (3, 3, 16, 24)
    assert sorted(batch) == ["image", "index", "mask"]


def test_a_cut_never_leads_out_of_the_picture():
    """Of some sizes the middle is a rounding wider than the picture, which Pillow refuses."""
    for width in range(20, 120):
        for height, size in ((40, (40, 24)), (57, (31, 25)), (90, (48, 64))):
            picture = np.full((height, width, 3), 7, np.uint8)
            assert (TrainingView(size, "crop").image(picture) == 7).all()
            assert (make_background(Image.fromarray(picture), height=size[0], width=size[1]) == 7).all()

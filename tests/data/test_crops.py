"""Random crops at the picture's own size: whose pixels they are, how they are drawn, what lies outside."""

import numpy as np
import pytest
from PIL import Image

from segbench.core.errors import ConfigError
from segbench.data.files.folder import Folder
from segbench.data.loading.crops import RandomCrop
from tests.support.tiny_files import scene

MEAN = (0.2, 0.4, 0.6)


def picture(height=60, width=80, bands=3, dtype=np.uint8):
    """Pixels that name their place: band 0 is the row, band 1 the column; the mask is 0 left and 1 right."""
    image = np.zeros((height, width, bands), dtype)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    if dtype == np.float32:
        image /= 255
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 1
    return {"image": image, "mask": mask, "depth": np.arange(height * width, dtype=np.float32).reshape(height, width)}


def crops(crop, arrays, count=40, seed=0):
    return [crop(arrays, MEAN, seed=seed, epoch=0, index=index) for index in range(count)]


@pytest.mark.parametrize(("bands", "dtype"), [(3, np.uint8), (2, np.uint8), (5, np.float32)])
def test_at_scale_1_a_crop_is_the_pictures_own_pixels(bands, dtype):
    arrays = picture(bands=bands, dtype=dtype)
    starts = set()
    for found in crops(RandomCrop((24, 32)), arrays):
        unit = 255 if dtype == np.float32 else 1
        top, left = (round(float(found["image"][0, 0, band]) * unit) for band in (0, 1))
        for name in arrays:
            assert np.array_equal(found[name], arrays[name][top : top + 24, left : left + 32]), name
            assert found[name].dtype == arrays[name].dtype
        starts.add((top, left))
    assert len(starts) > 30, "crops lie everywhere"


def test_a_crop_is_a_function_of_seed_epoch_and_index():
    arrays, crop = picture(), RandomCrop((24, 32), (0.5, 2.0))
    first = crop(arrays, MEAN, seed=1, epoch=2, index=3)
    again = crop(arrays, MEAN, seed=1, epoch=2, index=3)
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    for key in ({"seed": 2, "epoch": 2, "index": 3}, {"seed": 1, "epoch": 3, "index": 3}):
        assert crop(arrays, MEAN, **key)["image"].tobytes() != first["image"].tobytes()


def test_scales_are_drawn_evenly_in_the_logarithm():
    arrays = picture(600, 800)
    crop = RandomCrop((60, 60), (0.5, 2.0))
    heights = [crop.window(arrays["mask"], np.random.default_rng(n)).height for n in range(800)]
    scales = 60 / np.array(heights)
    assert 0.49 < scales.min() < 0.52
    assert 1.9 < scales.max() < 2.1
    assert 0.44 < (scales < 1).mean() < 0.56, "shrinking is as likely as enlarging"


def test_image_and_mask_are_scaled_alike():
    arrays = picture(200, 200)
    arrays["image"][..., 2] = arrays["mask"] * 255
    for found in crops(RandomCrop((40, 40), (0.5, 2.0)), arrays):
        assert set(np.unique(found["mask"])) <= {0, 1}
        painted = found["image"][..., 2] > 127
        assert (painted == (found["mask"] == 1)).mean() > 0.97


def test_what_lies_outside_of_a_small_picture_is_ignored_and_of_mean_colour():
    arrays = picture(20, 50)
    places = set()
    for found in crops(RandomCrop((32, 32)), arrays):
        assert found["image"].shape == (32, 32, 3)
        inside = ~np.isnan(found["depth"])
        assert inside.sum() == 20 * 32
        assert np.array_equal(found["mask"] == 255, ~inside)
        assert np.all(found["image"][~inside] == [51, 102, 153])
        rows = np.flatnonzero(inside.any(axis=1))
        assert np.array_equal(rows, np.arange(rows[0], rows[0] + 20))
        places.add(rows[0])
    assert len(places) > 6, "a small picture lies anywhere in the crop"


def test_a_crop_of_nearly_one_class_is_drawn_again():
    arrays = picture(100, 400)
    free, mixed = (crops(RandomCrop((40, 40), class_share=share), arrays, 200) for share in (1.0, 0.75))
    shares = [[max(np.mean(found["mask"] == k) for k in (0, 1)) for found in some] for some in (free, mixed)]
    assert np.mean(np.array(shares[0]) > 0.75) > 0.8
    assert np.mean(np.array(shares[1]) > 0.75) < 0.6, "ten draws find one in about every second picture"
    one_class = arrays | {"mask": np.zeros_like(arrays["mask"])}
    assert len(crops(RandomCrop((40, 40), class_share=0.5), one_class, 3)) == 3, "it ends where there is no such crop"


def test_balanced_crops_show_rare_classes():
    arrays = picture(200, 300)
    arrays["mask"][:] = 0
    arrays["mask"][150:154, 250:254] = 7
    arrays["mask"][0] = 255
    shows = {
        balanced: np.mean(
            [(found["mask"] == 7).any() for found in crops(RandomCrop((32, 32), balanced=balanced), arrays, 200)]
        )
        for balanced in (False, True)
    }
    assert shows[False] < 0.1
    assert 0.4 < shows[True] < 0.65, "one of two classes is drawn"
    blank = arrays | {"mask": np.full_like(arrays["mask"], 255)}
    assert len(crops(RandomCrop((32, 32), balanced=True), blank, 3)) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (2.0, 0.5)}, "data.scale"),
        ({"scale": (0.0, 1.0)}, "data.scale"),
        ({"scale": (1.0,)}, "data.scale"),
        ({"class_share": 0.0}, "data.crop_class_share"),
        ({"class_share": 1.5}, "data.crop_class_share"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        RandomCrop((8, 8), **settings)


def folder(root, **settings):
    """A set of pictures of three sizes, the smallest less high than the crop, as `data=folder` makes it."""
    for number in range(12):
        height, width = ((40, 48), (70, 50), (20, 90))[number % 3]
        image, mask = scene(number, height, width, classes=3)
        for name, array in (("images", image), ("masks", mask)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / name / f"p{number:02d}.png")
    data = Folder(
        root=str(root),
        classes=["a", "b", "c"],
        size=[24, 32],
        mean=MEAN,
        std=(0.2, 0.2, 0.2),
        batch_size=2,
        view="crop",
        **settings,
    )
    data.setup()
    return data


def batches(data, seed, workers):
    data.order_seed, data.num_workers, data.position = seed, workers, lambda: (1, 0)
    loader = data.train_dataloader()
    return {
        index: b"".join(batch[name][place].numpy().tobytes() for name in ("image", "mask"))
        for batch in loader
        for place, index in enumerate(batch["index"].tolist())
    }


def test_training_sees_crops_the_same_with_any_number_of_workers(tmp_path):
    data = folder(tmp_path / "data", crop_class_share=0.9, crop_balanced=True)
    alone = batches(data, seed=0, workers=0)
    assert batches(data, seed=0, workers=2) == alone
    assert len(set(alone.values())) == len(alone)
    other = batches(data, seed=1, workers=0)
    assert all(other[index] != alone[index] for index in alone if index in other)


def test_whole_pictures_are_scored_at_their_own_scale(tmp_path):
    data = folder(tmp_path / "data")
    for split in ("val", "test"):
        dataset = data.loader(split).dataset
        for index in range(data.num_samples(split)):
            seen, own = dataset[0, index], data.original(split, index)
            assert np.array_equal(seen["image"].permute(1, 2, 0).numpy(), own["image"])
            assert np.array_equal(seen["mask"].numpy(), own["mask"])
            assert "truth" not in seen


def test_class_weights_and_fingerprints_are_those_of_the_pictures_not_of_crops(tmp_path):
    data = folder(tmp_path / "data")
    first, fingerprint = data.class_weights(), data.fingerprint("train")
    data.order_seed = 5
    assert np.array_equal(data.class_weights(), first)
    whole = Folder(root=data.root, classes=data.classes, size=[64, 64], mean=MEAN, std=(0.2,) * 3, batch_size=2)
    whole.setup()
    assert whole.fingerprint("train") == fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view": "crops"}, "did you mean 'crop'"),
        ({"scale": [0.5, 2.0]}, "add data.view=crop"),
        ({"crop_class_share": 0.5}, "add data.view=crop"),
        ({"crop_balanced": True}, "add data.view=crop"),
        ({"view": "crop", "fit": "pad"}, "leave data.fit out"),
    ],
)
def test_settings_without_a_use_are_refused(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        Folder(root=str(tmp_path), classes=["a", "b"], size=[8, 8], mean=MEAN, std=MEAN, batch_size=2, **settings)

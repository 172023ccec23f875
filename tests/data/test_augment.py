"""Augmentation: what comes in from outside is unknown, samples stay what they are, and everything repeats itself."""

import inspect
import random
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.data.loading.augment import FILLS, Augment
from segbench.data.loading.law import SAMPLES, check_law

SIDE = 32
LARGER = {"height": 48, "width": 48}
SETTINGS = {
    "Affine": {"rotate": [45, 45]},
    "CenterCrop": {**LARGER, "pad_if_needed": True},
    "CoarseDropout": {"fill_mask": 0},
    "ConstrainedCoarseDropout": {"fill_mask": 0, "mask_indices": [1]},
    "Crop": {"x_max": 48, "y_max": 48, "pad_if_needed": True},
    "CropAndPad": {"px": 5, "keep_size": False},
    "ElasticTransform": {"alpha": 400, "sigma": 8},
    "Erasing": {"fill_mask": 0},
    "GridDistortion": {"distort_limit": [0.9, 0.9], "normalized": False},
    "GridDropout": {"fill_mask": 0},
    "OpticalDistortion": {"distort_limit": [0.9, 0.9]},
    "Pad": {"padding": 4},
    "PadIfNeeded": {"min_height": 48, "min_width": 48},
    "Perspective": {"scale": [0.3, 0.3], "fit_output": True},
    "PixelDropout": {"dropout_prob": 0.2, "mask_drop_value": 0},
    "RandomCrop": {**LARGER, "pad_if_needed": True},
    "Rotate": {"limit": [45, 45]},
    "SafeRotate": {"limit": [45, 45]},
    "ShiftScaleRotate": {"rotate_limit": [45, 45], "shift_limit": [0, 0], "scale_limit": [0, 0]},
    "ThinPlateSpline": {"scale_range": [0.5, 0.5]},
    "XYMasking": {
        "num_masks_x": [1, 1],
        "num_masks_y": [1, 1],
        "mask_x_length": [5, 5],
        "mask_y_length": [5, 5],
        "fill_mask": 0,
    },
}
"""Arguments with which a transform fills something in a picture of 32 x 32."""

UNFIT = {"Mosaic"}
"""Needs further pictures with every sample, which no data set gives: refused as soon as it is tried."""


def filling_transforms():
    for name, found in sorted(vars(albumentations).items()):
        if not (inspect.isclass(found) and issubclass(found, albumentations.DualTransform)):
            continue
        fills = {*FILLS} & {*inspect.signature(found).parameters}
        if fills and not issubclass(found, albumentations.Transform3D) and name not in UNFIT:
            yield name


def sample(side=SIDE, label=1):
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(100, 200, (side, side, 3), dtype=np.uint8),
        "background": rng.integers(100, 200, (side, side, 3), dtype=np.uint8),
        "mask": np.full((side, side), label, np.uint8),
        "depth": np.full((side, side), 5, np.float32),
    }


class Source:
    """A data set of equal samples."""

    def __init__(self, arrays=None):
        self.arrays = arrays or sample()

    def sample(self, split, epoch, index):
        return {name: array.copy() for name, array in self.arrays.items()}

    def num_samples(self, split):
        return 4

    def locate_sample(self, split, index):
        return f"{split} {index}"


def test_the_transforms_that_fill_are_all_tried():
    assert {*filling_transforms()} >= {*SETTINGS}


@pytest.mark.parametrize("name", list(filling_transforms()))
def test_what_comes_in_from_outside_is_unknown(name):
    transform = getattr(albumentations, name)(**SETTINGS.get(name, {}), p=1.0)
    augment = Augment([transform])
    outside = 0
    for index in range(5):
        found = augment(sample(), 0, 0, index)
        assert {*np.unique(found["mask"])} <= {1, 255}
        assert {*np.unique(found["depth"][~np.isnan(found["depth"])])} <= {5.0}
        assert np.array_equal(np.isnan(found["depth"]), found["mask"] == 255)
        outside += int((found["mask"] == 255).sum())
    assert outside > 0 or name not in SETTINGS


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: albumentations.OneOf([one], p=1.0),
        lambda one: albumentations.Sequential([albumentations.OneOf([one, one], p=1.0)], p=1.0),
        lambda one: albumentations.SomeOf([one], n=1, p=1.0),
    ],
)
def test_nested_transforms_fill_with_unknown_as_well(wrap):
    found = Augment([wrap(albumentations.Rotate(limit=(45, 45), fill_mask=3, p=1.0))])(sample(), 0, 0, 0)
    assert {*np.unique(found["mask"])} == {1, 255}
    assert found["mask"][0, 0] == 255
    assert found["mask"][16, 16] == 1
    assert np.isnan(found["depth"][0, 0])
    assert found["image"][0, 0].tolist() == [0, 0, 0]


def test_a_transform_without_a_fill_of_its_own_is_noticed():
    class Shift(albumentations.DualTransform):
        """Moves everything to the right and leaves zeros behind."""

        def apply(self, img, **params):
            moved = np.zeros_like(img)
            moved[:, 8:] = img[:, :-8]
            return moved

    found = Augment([Shift(p=1.0)])(sample(), 0, 0, 0)
    assert (found["mask"][:, :8] == 255).all()
    assert (found["mask"][:, 8:] == 1).all()
    assert np.isnan(found["depth"][:, :8]).all()


def test_dropout_of_the_image_alone_keeps_the_labels():
    found = Augment([albumentations.CoarseDropout(p=1.0)])(sample(), 0, 0, 0)
    assert (found["mask"] == 1).all()
    assert (found["depth"] == 5).all()
    assert (found["image"] == 0).any()


def test_reflected_borders_are_known():
    rotate = albumentations.Rotate(limit=(45, 45), border_mode=4, p=1.0)
    assert (Augment([rotate])(sample(), 0, 0, 0)["mask"] == 1).all()


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([albumentations.Normalize(p=1.0)], "augment: Normalize gives image as float32, not as uint8; leave it out"),
        ([albumentations.ToFloat(p=1.0)], "augment: ToFloat gives image as float32"),
        ([albumentations.HorizontalFlip(), albumentations.ToTensorV2()], "augment: ToTensorV2 gives image as Tensor"),
        ([albumentations.OneOf([albumentations.Normalize(p=1.0)], p=1.0)], "the network normalises its input"),
        ([albumentations.RandomScale(0.5, p=1.0)], "gives samples of different sizes"),
        ([albumentations.RandomCrop(64, 64)], "augment: RandomCrop cannot work on sample 0 of train"),
        (
            [albumentations.Resize(20, 20, mask_interpolation=1)],
            "augment: Resize gives masks with ids that were not there",
        ),
    ],
)
def test_a_pipeline_that_leaves_the_samples_kind_is_refused(transforms, message):
    arrays = sample()
    arrays["mask"][::2, ::3] = 7
    with pytest.raises(ConfigError, match=r".*") as refused:
        check_law(Source(arrays), Augment(transforms), seed=0)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_to_float_and_back_is_allowed(caplog):
    check_law(
        Source(), Augment([albumentations.ToFloat(p=1.0), albumentations.FromFloat(dtype="uint8", p=1.0)]), seed=0
    )


def test_a_crop_of_one_size_is_allowed_and_said(caplog):
    with caplog.at_level("WARNING", logger="segbench"):
        check_law(Source(), Augment([albumentations.RandomCrop(16, 20)]), seed=0)
    assert "training samples are 16 x 20, val and test 32 x 32" in caplog.text


def drawing(draw):
    class Speckle(albumentations.ImageOnlyTransform):
        """Adds a number."""

        def apply(self, img, **params):
            return (img + np.uint8(draw(self))).astype(np.uint8)

    return Speckle


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda self: np.random.randint(0, 50), "Speckle draws from the global generator of numpy"),
        (lambda self: random.randrange(50), "Speckle draws from the global generator of Python"),
        (lambda self: int(torch.randint(50, ())), "Speckle draws from the global generator of torch"),
        (lambda self: np.random.default_rng().integers(0, 50), "Speckle is another one when it is made again"),
    ],
)
@pytest.mark.parametrize("chance", [1.0, 0.01])
def test_a_transform_that_draws_elsewhere_is_refused(draw, message, chance):
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    with pytest.raises(ConfigError, match=message) as refused:
        check_law(Source(), Augment([albumentations.HorizontalFlip(p=0.5), drawing(draw)(p=chance)]), seed=0)
    assert "self.random_generator or self.py_random" in str(refused.value)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("name", ["flip", "geometric", "standard"])
def test_the_options_that_are_shipped_are_allowed(name):
    node = OmegaConf.to_container(OmegaConf.load(conf_dir() / "augment" / f"{name}.yaml"))
    augment = build(node, where="augment")
    names = {part for part, _ in augment.parts()}
    assert "HorizontalFlip" in names
    assert not names & {"OneOf", "function"}
    check_law(Source(), augment, seed=0)


def test_the_pipeline_is_run_twice_on_each_sample_and_no_more():
    seen = []

    class Counted(albumentations.Sequential):
        """Notes that it is called."""

        def __call__(self, *args, force_apply=False, **data):
            seen.append(1)
            return super().__call__(*args, **data)

    check_law(Source(), Augment([Counted([albumentations.HorizontalFlip(p=0.5)])]), seed=0)
    assert len(seen) == 2 * min(SAMPLES, Source().num_samples("train"))


def test_a_transform_that_draws_from_its_own_generators_is_allowed():
    for draw in (lambda self: self.py_random.randrange(50), lambda self: self.random_generator.integers(0, 50)):
        check_law(Source(), Augment([drawing(draw)(p=0.5)]), seed=0)


def test_a_transform_that_only_works_after_another_is_tried_there():
    class Late(albumentations.ImageOnlyTransform):
        """Needs the size that comes before it."""

        def apply(self, img, **params):
            assert img.shape[0] == 16
            return (img + np.uint8(np.random.randint(0, 50))).astype(np.uint8)

    with pytest.raises(ConfigError, match="the pipeline draws from the global generator of numpy"):
        check_law(Source(), Augment([albumentations.Resize(16, 16), Late(p=1.0)]), seed=0)


def test_a_composition_of_ones_own_that_draws_elsewhere_is_refused():
    class Sometimes(albumentations.Sequential):
        """Flips a coin of its own."""

        def __call__(self, *args, force_apply=False, **data):
            return super().__call__(*args, **data) if np.random.rand() < 0.5 else data

    with pytest.raises(ConfigError, match="the pipeline draws from the global generator of numpy"):
        check_law(Source(), Augment([Sometimes([albumentations.HorizontalFlip(p=1.0)], p=1.0)]), seed=0)


def test_a_data_set_that_draws_elsewhere_is_refused():
    class Random(Source):
        def sample(self, split, epoch, index):
            arrays = super().sample(split, epoch=epoch, index=index)
            arrays["image"][0, 0] = np.random.randint(0, 255, 3)
            return arrays

    with pytest.raises(ConfigError, match="sample 0 of train draws from the global generator of numpy"):
        check_law(Random(), None, seed=0)


def own_option(tmp_path, transform):
    folder = tmp_path / "conf" / "augment"
    folder.mkdir(parents=True)
    text = f"_target_: segbench.data.loading.augment.Augment\ntransforms:\n  - _target_: albumentations.{transform}\n"
    (folder / "own.yaml").write_text(text)
    return [f"hydra.searchpath=[file://{tmp_path}/conf]", "augment=own"]


def test_a_run_is_refused_before_anything_is_written(command, tiny, tmp_path):
    outcome = command(*tiny, *own_option(tmp_path, "Normalize"), "hydra.run.dir=run")
    assert outcome.code == 2
    assert "the network normalises its input by itself" in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("run").exists()


def test_depth_is_trained_on_depths_alone(command, tiny, monkeypatch):
    from segbench.training.module import SegmentationModule

    depths = []
    original = SegmentationModule.training_step

    def step(self, batch, batch_idx):
        depths.append(batch["depth"].clone())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", step)
    assert command(*tiny, "task=depth", "loss.depth=l1", "augment=geometric", "hydra.run.dir=run").code == 0
    depth = torch.cat(depths)
    assert depth.isnan().any()
    assert depth[~depth.isnan()].min() > 0
    assert depth[~depth.isnan()].max() <= 10


def test_an_option_without_a_class_is_refused(command, tiny, tmp_path):
    words = own_option(tmp_path, "HorizontalFlip")
    file = tmp_path / "conf/augment/own.yaml"
    file.write_text(file.read_text().partition("\n")[2])
    outcome = command(*tiny, *words, "hydra.run.dir=run")
    assert outcome.code == 2
    assert "augment must describe a part, with its class as _target_" in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("run").exists()


# bands


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_the_jitter_of_bands_is_what_its_formula_says(bands, kind):
    from segbench.data.loading.jitter import BandJitter

    full = 255 if kind is np.uint8 else 1
    image = (np.random.default_rng(0).random((6, 5, bands)) * full).astype(kind)
    jitter = BandJitter(brightness=(0.8, 1.2), contrast=(0.5, 1.5), gain=(0.9, 1.1), p=1.0)
    factors = {"brightness": 1.1, "contrast": 0.7, "gains": np.linspace(0.9, 1.1, bands).astype(np.float32)}
    found, mean = jitter.apply(image, **factors), image.mean()
    wanted = ((image - mean) * 0.7 + mean) * 1.1 * np.linspace(0.9, 1.1, bands)
    assert found.dtype == kind
    assert np.abs(found - wanted.clip(0, full)).max() < (0.51 if full == 255 else 1e-5)
    augment, arrays = Augment([jitter]), {"image": image, "mask": np.zeros((6, 5), np.uint8)}
    first, other = augment(dict(arrays), 1, 2, 3), augment(dict(arrays), 1, 2, 4)
    assert (augment(dict(arrays), 1, 2, 3)["image"] == first["image"]).all()
    assert (other["image"] != first["image"]).any()


def test_transforms_of_colours_are_refused_by_name_for_other_bands():
    from segbench.data.loading.jitter import BandJitter

    colours = [albumentations.HorizontalFlip(), albumentations.OneOf([albumentations.ColorJitter()])]
    augment = Augment([*colours, albumentations.ToGray()])
    augment.check_bands(3)
    with pytest.raises(ConfigError, match="ColorJitter, ToGray cannot work on 4 bands, only on red, green and blue"):
        augment.check_bands(4)
    for bands in (1, 2, 4, 9):
        Augment([albumentations.HorizontalFlip(), albumentations.Affine(), BandJitter()]).check_bands(bands)

"""fgbg: plans, golden pixels, splits, depth, the data law, and refusals."""

import itertools
from collections import Counter
from functools import partial

import numpy as np
import pytest
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.data.scenes.depth import DepthModel
from tests.support.tiny_generated import samples_digest, tiny_fgbg


@pytest.fixture
def make(pictures):
    return partial(tiny_fgbg, pictures, size=[48, 64])


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        ({}, "8eac3771adeebcc4"),
        ({"position": "grid", "split": "random", "scale": [0.5, 0.5]}, "7529eb9c9148db21"),
        ({"scale": [0.05, 1.0], "background_margin": 0.0}, "e01c9ddbd07f58a6"),
        ({"size": [33, 47], "flip": False}, "91a89aca6b44ea2e"),
        ({"size": [96, 96], "scale": [0.9, 1.0]}, "c6bf7c851fe88fb1"),
    ],
)
def test_golden_pixels(make, settings, digest):
    assert samples_digest(make(**settings), samples=16) == digest


def test_composition_is_the_alpha_formula(make):
    """Against floating point: out = alpha * foreground + (1 - alpha) * background, within rounding."""
    data = make(scale=[0.5, 0.5])
    scene = data.scene("train", epoch=0, index=1)
    from segbench.data.scenes.render import render

    image, alpha, background = render(scene, data.textures, backgrounds=data.backgrounds, canvas=data.size)
    black, _, _ = render(scene, data.textures, backgrounds=np.zeros_like(data.backgrounds), canvas=data.size)
    share = alpha[..., None] / 255
    expected = black + (1 - share) * background
    assert np.abs(image - expected).max() <= 1
    assert (alpha > 0).any()
    assert np.array_equal(image[alpha == 0], background[alpha == 0])


def test_full_size_copy_is_the_source_itself(tmp_path):
    """A cut-out drawn at its own size must come back pixel for pixel."""
    rgba = np.random.default_rng(0).integers(0, 255, (32, 32, 4)).astype(np.uint8)
    rgba[..., 3] = np.where(np.add.outer(np.arange(32), np.arange(32)) < 5, 0, 255)
    rgba[0, 0] = (1, 2, 3, 0)
    rgba[31, :, 3] = rgba[:, 31, 3] = rgba[0, 31, 3] = rgba[31, 0, 3] = 255
    rgba[0, 5:, 3] = rgba[5:, 0, 3] = 255
    for name in ("fg", "bg"):
        (tmp_path / name).mkdir()
    Image.fromarray(rgba).save(tmp_path / "fg" / "a.png")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "bg" / "b.png")
    folders = {"foregrounds": tmp_path / "fg", "backgrounds": tmp_path / "bg"}
    data = tiny_fgbg(folders, split="random", scale=[1.0, 1.0], flip=False)
    from dataclasses import replace

    from segbench.data.scenes.render import render

    scene = replace(data.scene("train", epoch=0, index=0), x=0, y=0)
    image, alpha, _ = render(scene, data.textures, backgrounds=data.backgrounds, canvas=data.size)
    opaque = rgba[..., 3] == 255
    assert np.array_equal(alpha, rgba[..., 3])
    assert np.array_equal(image[opaque], rgba[..., :3][opaque])


def test_epochs_differ_only_where_they_should(make):
    fresh, fixed = make(), make(fresh=False)
    assert fresh.scene("train", epoch=0, index=0) != fresh.scene("train", epoch=1, index=0)
    assert fixed.scene("train", epoch=0, index=0) == fixed.scene("train", epoch=1, index=0)
    assert fresh.scene("val", epoch=0, index=0) == fresh.scene("val", epoch=9, index=0)


def test_by_source_shares_no_picture(make):
    data = make()
    used = {s: {data.scene(s, epoch=0, index=i).foreground for i in range(200)} for s in ("train", "val", "test")}
    grounds = {s: {data.scene(s, epoch=0, index=i).background for i in range(200)} for s in ("train", "val", "test")}
    for sets in (used, grounds):
        assert not (sets["train"] & sets["val"] or sets["train"] & sets["test"] or sets["val"] & sets["test"])
        assert sum(len(numbers) for numbers in sets.values()) == 6


def test_random_split_uses_all_pictures_everywhere(make):
    data = make(split="random")
    assert {data.scene("test", epoch=0, index=i).foreground for i in range(200)} == set(range(6))


def test_grid_enumerates_every_combination_once(make):
    total = 6 * 6 * 20 * 2
    data = make(position="grid", split="random", train_size=total - 20, val_size=10, test_size=10)
    scenes = [data.scene(s, epoch=0, index=i) for s in ("train", "val", "test") for i in range(data.num_samples(s))]
    assert len(set(scenes)) == total
    assert len({(scene.x, scene.y) for scene in scenes}) == 20
    assert Counter(scene.flip for scene in scenes) == {0: total // 2, 1: total // 2}
    # the older projects' places on their 192-pixel canvas: 0, 28 ... 112 across and 112 ... 28 down
    wide = make(position="grid", split="random", size=[192, 192], scale=[0.5, 0.5])
    places = {(wide.scene("train", epoch=0, index=i).x, wide.scene("train", epoch=0, index=i).y) for i in range(40)}
    assert places <= set(itertools.product((0, 28, 56, 84, 112), (28, 56, 84, 112)))


def test_grid_refuses_more_scenes_than_there_are(make):
    with pytest.raises(DataError, match=r"1,440 different scenes.*asked for"):
        make(position="grid", split="random", train_size=2000)


def test_every_random_foreground_shows_at_least_half_of_each_side(make):
    data = make()
    for index in range(300):
        scene = data.scene("train", epoch=0, index=index)
        across = min(64, scene.x + scene.width) - max(0, scene.x)
        down = min(48, scene.y + scene.height) - max(0, scene.y)
        assert across >= scene.width // 2
        assert down >= scene.height // 2


def test_depth_is_the_stated_geometry():
    model = DepthModel(horizon=0.4, far=10.0, object_height=1.0)
    assert model.ground(1.0) == 1.0
    assert model.ground(0.7) == pytest.approx(2.0)  # half-way from the horizon to the lower edge is twice as far
    assert model.ground(0.4) == model.ground(0.1) == 10.0
    with pytest.raises(ConfigError, match="far"):
        DepthModel(far=0.5)


def test_foreground_is_never_behind_what_it_covers(make):
    data = make(split="random", scale=[0.1, 1.0])
    depths = []
    for index in range(100):
        scene, sample = data.scene("train", epoch=0, index=index), data.sample("train", epoch=0, index=index)
        inside = sample["mask"] == 1
        assert (sample["depth"][inside] <= data.ground_of(scene)[inside]).all()
        assert np.array_equal(sample["depth"][~inside], data.ground_of(scene)[~inside])
        if inside.any():
            depths.append((scene.height, float(sample["depth"][inside].min())))
    heights, nearest = zip(*depths, strict=True)
    assert np.corrcoef(heights, nearest)[0, 1] < -0.3  # larger is nearer


def test_depth_maps_from_elsewhere(make, pictures, tmp_path):
    maps = tmp_path / "depth"
    maps.mkdir()
    for number in range(6):
        np.save(maps / f"b{number}.npy", np.full((10, 10), 5.0 + number, np.float32))
    depth = {"horizon": 0.4, "far": 10.0, "object_height": 1.0, "from_folder": str(maps)}
    data = make(depth=depth)
    scene, sample = data.scene("train", epoch=0, index=0), data.sample("train", epoch=0, index=0)
    assert (sample["depth"][sample["mask"] == 0] == 5.0 + scene.background).all()
    np.save(maps / "b2.npy", np.full((10, 10), 3.0, np.float32))
    assert make(depth=depth).fingerprint("train") != data.fingerprint("train")
    (maps / "b3.npy").unlink()
    with pytest.raises(DataError, match=r"1 of 6 backgrounds: b3"):
        make(depth=depth)
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(maps / "b3.png")
    values = np.concatenate([make(depth=depth, split="random").ground[3].ravel()])
    assert np.isnan(values).any()
    assert np.nanmax(values) == 10.0


def test_four_hundred_thousand_plans_start_like_four_hundred(make):
    few = make(position="grid", split="random", train_size=400)
    assert not any(
        isinstance(value, np.ndarray | list) and len(value) > 100 for value in vars(few.planners["train"]).values()
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"foregrounds": "/nowhere/at/all"}, "there is no folder"),
        ({"scale": [0.5, 1.5]}, "larger than the canvas"),
        ({"scale": [0.0, 0.5]}, "0 < smallest"),
        ({"split": "by_sourc"}, "did you mean 'by_source'"),
        ({"position": "gird"}, "did you mean 'grid'"),
        ({"size": [64]}, "data.size"),
        ({"mask_threshold": 0.0}, "mask_threshold"),
        ({"val_share": 0.6, "test_share": 0.5}, "below 1"),
        ({"train_size": 3}, "fewer than one batch"),
        ({"train_size": 10**12}, r"train split has 1,000,000,000,000 samples.*must be at most 1,000,000,000"),
        ({"test_size": 10**10}, "test_size must be at most 1,000,000,000"),
        ({"val_size": 0}, "val split has no samples"),
        ({"classes": ["only"]}, "classes"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_refusals_say_what_and_where(make, settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        make(**settings)


def test_every_offending_file_is_named(make, pictures):
    folder = pictures["foregrounds"]
    (folder / "text.png").write_text("hello")
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(folder / "opaque.jpg")
    Image.new("RGBA", (8, 8), (0, 0, 0, 255)).save(folder / "solid.png")
    Image.new("RGBA", (8, 8)).save(folder / "clear.png")
    whole = (folder / "f0.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        make()
    text = str(caught.value)
    assert "6 of 12 files" in text
    assert "not a PNG, JPEG, WEBP, TIFF, BMP or GIF picture (2 files in fg: empty.png, text.png)" in text
    for name in (
        "opaque.jpg: no alpha",
        "solid.png: opaque everywhere",
        "clear.png: transparent everywhere",
        "half.png:",
    ):
        assert name in text


def test_fingerprint_follows_what_decides_the_scenes(make, pictures):
    prints = [
        make().fingerprint("test"),
        make(batch_size=2, num_workers=1).fingerprint("test"),
        make(seed=1).fingerprint("test"),
        make(scale=[0.3, 0.75]).fingerprint("test"),
        make(test_size=9).fingerprint("test"),
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4
    photo = Image.open(pictures["backgrounds"] / "b0.png").convert("RGB")
    photo.putpixel((0, 0), (1, 2, 3))
    photo.save(pictures["backgrounds"] / "b0.png")
    assert make().fingerprint("test") != prints[0]

"""synthetic: painter's order, masks, instances and depth by hand, golden pixels, splits, the older rule, refusals."""

import itertools
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.scenes.depth import DepthModel
from segbench.data.scenes.plan import Layer
from segbench.data.scenes.synthetic import FLAT_COLOURS, Synthetic
from segbench.data.scenes.synthetic_backdrops import NOISE
from segbench.data.scenes.synthetic_plan import Backdrop, Painting, layer_depths
from segbench.data.scenes.synthetic_render import paint, render_backdrop
from segbench.data.scenes.textures import make_texture
from tests.support import tiny_generated
from tests.support.tiny_generated import samples_digest, write_species

COMMON = {**tiny_generated.COMMON, "classes": ["background", "cat", "dog", "owl"], "size": [48, 64]}
SPLITS = ("train", "val", "test")
REAL = Path(os.environ.get("SEGBENCH_TEST_DATA", "nowhere")) / "synthetic"


@pytest.fixture
def make(tmp_path, pictures):
    folder = write_species(tmp_path / "species", each=4)

    def make(**settings):
        folders = {"foregrounds": str(folder), "backgrounds": str(pictures["backgrounds"])}
        data = Synthetic(**{**COMMON, **folders, **settings})
        data.prepare()
        return data

    return make


def instances_of(data, split, epoch, index):
    scene = data.scene(split, epoch=epoch, index=index)
    background = render_backdrop(scene.backdrop, data.layout.background, photos=data.photos, canvas=data.size)
    return paint(scene, data.textures, background=background, threshold=data.threshold)[1]


def square(colour, alpha=255, side=8):
    """An opaque square of one colour; its lower half has the given alpha."""
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = colour, 255
    rgba[side // 2 :, :, 3] = alpha
    return make_texture(Image.fromarray(rgba), side)


def test_later_layers_hide_earlier_ones_pixel_by_pixel():
    """Three squares by hand: red at (0,0), half-transparent below; green over it; blue partly outside the canvas."""
    textures = [square((200, 0, 0), alpha=100), square((0, 200, 0)), square((0, 0, 200))]
    layers = (Layer(0, 0, 0, 0, 8, 8), Layer(1, 0, 4, 2, 8, 8), Layer(2, 0, 10, -4, 8, 8))
    background = np.full((16, 16, 3), 50, np.uint8)
    image, instances = paint(Painting(None, layers), textures, background=background, threshold=128)
    expected = np.zeros((16, 16), np.uint8)
    expected[0:4, 0:8] = 1
    expected[2:10, 4:12] = 2
    expected[0:4, 10:16] = 3
    assert np.array_equal(instances, expected)
    assert (image[expected == 1] == (200, 0, 0)).all()
    assert (image[expected == 2] == (0, 200, 0)).all()
    assert (image[expected == 3] == (0, 0, 200)).all()
    faint = image[4:8, 0:4].reshape(-1, 3)  # alpha 100 is below the threshold: seen, but labelled as background
    assert np.abs(faint - np.array([200 * 100 / 255 + 50 * 155 / 255, 50 * 155 / 255, 50 * 155 / 255])).max() <= 1
    _, any_opacity = paint(Painting(None, layers[:1]), textures, background=background, threshold=1)
    assert any_opacity.sum() == 64


def test_a_faint_layer_does_not_take_over_the_label_of_what_is_below():
    textures = [square((200, 0, 0)), square((0, 200, 0), alpha=100)]
    layers = (Layer(0, 0, 0, 0, 8, 8), Layer(1, 0, 0, 0, 8, 8))
    image, instances = paint(Painting(None, layers), textures, background=np.zeros((8, 8, 3), np.uint8), threshold=128)
    assert (instances[:4] == 2).all() and (instances[4:] == 1).all()
    assert (image[4:, :, 0] == (200 * 155 + 127) // 255).all()


def test_depth_by_hand():
    """100 rows, horizon 0.4: an object of height 25 down to row 60 is at 0.6 / 0.2 = 3, one of 50 at 100 / 50 = 2."""
    model = DepthModel(horizon=0.4, far=10.0, object_height=1.0)
    low, tall = Layer(0, 0, 0, 35, 10, 25), Layer(0, 0, 0, 10, 10, 50)
    assert layer_depths(Painting(None, (low, tall)), model, height=100) == pytest.approx([3.0, 2.0])
    hidden = replace(low, y=10, height=20)  # by the model 5, but painted last: just nearer than what it covers
    assert layer_depths(Painting(None, (low, tall, hidden)), model, height=100) == pytest.approx([3.0, 2.0, 1.96])


@pytest.mark.parametrize("placement", ["random", "original"])
@pytest.mark.parametrize("background", ["flat", "photo"])
def test_nearer_is_painted_later(make, placement, background):
    data = make(placement=placement, background=background)
    hidden = 0
    for index in range(60):
        scene, sample = data.scene("train", epoch=0, index=index), data.sample("train", epoch=0, index=index)
        instances = instances_of(data, "train", 0, index)
        depths = layer_depths(scene, data.depth_model, height=48)
        assert (np.diff(depths) < 0).all()
        behind = np.broadcast_to(data.backdrop_depth(), (48, 64))
        assert np.array_equal(sample["depth"][instances == 0], behind[instances == 0])
        assert (sample["depth"] <= behind).all()
        for place, depth in enumerate(depths, start=1):
            assert (sample["depth"][instances == place] == depth).all()
            hidden += not (instances == place).any()
    assert hidden < 60


def test_mask_and_instances_agree(make):
    data = make(split="random", mask_threshold=0.003)
    for index in range(30):
        scene, instances = data.scene("val", epoch=0, index=index), instances_of(data, "val", 0, index)
        sample = data.sample("val", epoch=0, index=index)
        assert set(sample) == {"image", "mask", "depth", "background"} == set(data.entries)
        assert [sample[n].dtype for n in ("image", "mask", "depth", "background")] == [
            np.uint8,
            np.uint8,
            np.float32,
            np.uint8,
        ]
        assert np.array_equal(sample["mask"] == 0, instances == 0)
        for place, layer in enumerate(scene.layers, start=1):
            name = data.names[layer.foreground].split("_")[0]
            assert (sample["mask"][instances == place] == data.classes.index(name)).all()
        outside = instances == 0  # where no layer has any opacity
        assert np.array_equal(sample["image"][outside], sample["background"][outside])


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        ({}, "82704cb7943e3d0d"),
        ({"background": "gradient", "colours": None, "size": [33, 47]}, "324aa9e2909f5663"),
        ({"background": "noise", "objects": [1, 7]}, "ae91f0f0af3a40a2"),
        ({"background": "photo", "scale": [0.05, 1.0]}, "a8ba6ba71b6493da"),
        ({"placement": "original", "mask_threshold": 0.003, "objects": [1, 4]}, "aabf7cb34008491b"),
    ],
)
def test_golden_pixels(make, settings, digest):
    assert samples_digest(make(**settings), samples=12) == digest


def test_flat_backdrops_are_the_four_colours(make):
    data = make(size=[16, 16])
    seen = Counter()
    for index in range(200):
        background = data.sample("train", epoch=0, index=index)["background"]
        assert (background == background[0, 0]).all()
        seen[tuple(background[0, 0].tolist())] += 1
    assert set(seen) == set(FLAT_COLOURS)
    assert min(seen.values()) > 25
    anything = make(size=[16, 16], colours=None)
    assert len({anything.scene("train", epoch=0, index=i).backdrop.colour for i in range(100)}) > 95


def test_a_gradient_runs_from_one_colour_to_the_other():
    plan = Backdrop(
        (0, 100, 255), (255, 100, 0), dx=1, dy=0, key=0, background=0, background_x=0, background_y=0, background_flip=0
    )
    picture = render_backdrop(plan, "gradient", photos=None, canvas=(3, 256))
    assert np.array_equal(picture[1, :, 0], np.arange(256))  # 256 columns: one step each
    assert np.array_equal(picture[1, :, 2], np.arange(256)[::-1])
    assert (picture[..., 1] == 100).all()
    diagonal = render_backdrop(replace(plan, dx=-2, dy=2), "gradient", photos=None, canvas=(32, 32))
    assert diagonal[0, 31].tolist() == [0, 100, 255] and diagonal[31, 0].tolist() == [255, 100, 0]
    assert (render_backdrop(plan, "gradient", photos=None, canvas=(1, 1)) == (0, 100, 255)).all()


def test_noise_is_uniform_and_keyed():
    plan = Backdrop(
        (120, 120, 120), (0, 0, 0), 1, 0, key=9, background=0, background_x=0, background_y=0, background_flip=0
    )
    noise = render_backdrop(plan, "noise", photos=None, canvas=(64, 64)).astype(int) - 120
    assert noise.min() == -NOISE and noise.max() == NOISE
    assert abs(noise.mean()) < 1
    assert noise.std() == pytest.approx(np.sqrt(((2 * NOISE + 1) ** 2 - 1) / 12), rel=0.03)  # discrete uniform
    for shifted in (noise[1:] * noise[:-1], noise[:, 1:] * noise[:, :-1], noise[..., 1:] * noise[..., :-1]):
        assert abs(shifted.mean()) < 0.05 * noise.var()
    other = render_backdrop(replace(plan, key=10), "noise", photos=None, canvas=(64, 64)).astype(int) - 120
    assert abs((noise * other).mean()) < 0.05 * noise.var()


def test_original_placement_is_the_older_projects_rule(tmp_path):
    names = ("ostrich", "cheetah", "elephant", "lion", "zebra")
    folder = write_species(tmp_path / "animals", names, each=2, form="number")
    settings = {"classes": ["background", *names], "size": [256, 256], "placement": "original", "split": "random"}
    data = Synthetic(**{**COMMON, **settings, "foregrounds": str(folder)})
    data.prepare()
    base = {"ostrich": (90, 100), "cheetah": (100, 70), "elephant": (140, 110), "lion": (120, 80)}
    counts, jitters, sizes = Counter(), [], set()
    for index in range(400):
        layers = data.scene("train", epoch=0, index=index).layers
        counts[len(layers)] += 1
        free = {-50, 125, 20, 80}
        for layer, scale, top in zip(layers, (0.8, 1.0, 1.3, 1.8), (10, 40, 80, 140), strict=False):
            name = Path(data.names[layer.foreground]).stem[:-1]
            if name in base:
                assert (layer.width, layer.height) == tuple(round(side * scale) for side in base[name])
                sizes.add((layer.width, layer.height))
            else:
                assert max(layer.width, layer.height) == round(110 * scale)
            assert layer.flip == 0
            jitters += [layer.y - top]
            near = [anchor for anchor in free if -20 <= layer.x - anchor < 20]
            assert near
            if len(near) == 1:
                jitters += [layer.x - near[0]]
                free.remove(near[0])
    assert set(counts) == {3, 4} and abs(counts[3] - 200) < 50
    assert min(jitters) == -20 and max(jitters) == 19
    assert min(sizes) == (72, 80) and max(sizes) == (252, 198)
    half = Synthetic(**{**COMMON, **settings, "foregrounds": str(folder), "size": [128, 64]})
    half.prepare()
    for large, small in zip(
        data.scene("train", epoch=0, index=0).layers, half.scene("train", epoch=0, index=0).layers, strict=True
    ):
        assert (small.x, small.y) == (round(large.x / 4), round(large.y / 2))
        assert (small.width, small.height) == pytest.approx((large.width / 4, large.height / 2), abs=0.5)


def painted_by_pillow(data, scene, files):
    """The older project's way: resize each whole picture, lay it on, label wherever it has any opacity."""
    height, width = data.size
    image = Image.new("RGB", (width, height), scene.backdrop.colour)
    mask = np.zeros((height, width), np.uint8)
    for layer in scene.layers:
        box = (layer.x, layer.y)
        whole = Image.open(files[layer.foreground]).convert("RGBA")
        picture = whole.resize((layer.width, layer.height), Image.Resampling.BILINEAR)
        image.paste(picture, box, picture)
        alpha = Image.new("L", (width, height))
        alpha.paste(picture.getchannel("A"), box)
        mask[np.array(alpha) > 0] = data.labels[layer.foreground]
    return np.array(image), mask


def compare_with_pillow(data, files, count):
    """Return the share of pixels with another label and the mean difference of the images, over `count` scenes."""
    labels, colours = [], []
    for index in range(count):
        sample, scene = data.sample("train", epoch=0, index=index), data.scene("train", epoch=0, index=index)
        image, mask = painted_by_pillow(data, scene, files)
        labels.append((mask != sample["mask"]).mean())
        colours.append(np.abs(image.astype(float) - sample["image"]).mean())
    return np.mean(labels), np.mean(colours)


ORIGINAL = {"placement": "original", "split": "random", "mask_threshold": 0.003, "size": [256, 256]}


def test_original_scenes_are_what_pillow_paints(make, tmp_path):
    data = make(**ORIGINAL)
    files = sorted((tmp_path / "species").glob("*.png"))
    labels, colours = compare_with_pillow(data, files, 12)
    assert labels < 0.001 and colours < 0.5


@pytest.mark.skipif(not REAL.is_dir(), reason="SEGBENCH_TEST_DATA names no folder with the older project's pictures")
def test_original_pictures_give_the_measured_shares():
    """The shares that were measured on 1,000 scenes of the older project, within three standard errors."""
    animals = ["ostrich", "cheetah", "elephant", "lion"]
    data = Synthetic(**{**COMMON, **ORIGINAL, "classes": ["background", *animals], "foregrounds": str(REAL)})
    data.prepare()
    masks = [data.sample("train", epoch=0, index=index)["mask"] for index in range(400)]
    shares = np.array([np.bincount(mask.ravel(), minlength=5) / mask.size for mask in masks])
    error = shares.std(axis=0) * np.sqrt(1 / 400 + 1 / 1000)
    assert (np.abs(shares.mean(axis=0) - [0.723, 0.039, 0.047, 0.121, 0.071]) < 3 * error).all()
    assert np.mean([len(data.scene("train", epoch=0, index=i).layers) for i in range(1000)]) == pytest.approx(
        3.49, abs=0.05
    )
    files = [file for animal in sorted(animals) for file in sorted((REAL / animal).glob("*.png"))]
    labels, colours = compare_with_pillow(data, files, 8)
    assert labels < 0.01 and colours < 1.5  # large pictures are shrunk by another filter, so edges differ a little


def test_random_placement_keeps_half_of_each_side_inside(make):
    data = make(scale=[0.1, 1.0])
    for layer in itertools.chain(*(data.scene("train", epoch=0, index=index).layers for index in range(150))):
        assert min(64, layer.x + layer.width) - max(0, layer.x) >= layer.width // 2
        assert min(48, layer.y + layer.height) - max(0, layer.y) >= layer.height // 2


def test_species_are_drawn_evenly_whatever_their_number_of_pictures(make, tmp_path):
    folder = write_species(tmp_path / "uneven", ("cat",), each=12)
    write_species(folder, ("dog", "owl"), each=3)
    data = make(foregrounds=str(folder), objects=[4, 4])
    seen = Counter(
        data.labels[layer.foreground] for i in range(300) for layer in data.scene("train", epoch=0, index=i).layers
    )
    assert all(count == pytest.approx(400, abs=70) for count in seen.values())


def test_epochs_differ_only_where_they_should(make):
    fresh, fixed = make(), make(fresh=False)
    assert fresh.scene("train", epoch=0, index=0) != fresh.scene("train", epoch=1, index=0)
    assert fixed.scene("train", epoch=0, index=0) == fixed.scene("train", epoch=1, index=0)
    assert fresh.scene("val", epoch=0, index=0) == fresh.scene("val", epoch=9, index=0)
    assert len({fresh.scene(split, epoch=0, index=0) for split in SPLITS}) == 3


def test_by_source_shares_no_picture_of_any_class(make):
    data = make(background="photo")
    used = {s: [data.scene(s, epoch=0, index=i) for i in range(150)] for s in SPLITS}
    animals = {s: {layer.foreground for scene in scenes for layer in scene.layers} for s, scenes in used.items()}
    photos = {s: {scene.backdrop.background for scene in scenes} for s, scenes in used.items()}
    for sets, total in ((animals, 12), (photos, 6)):
        assert sum(len(numbers) for numbers in sets.values()) == total == len(set.union(*sets.values()))
    for numbers in animals.values():
        assert {data.labels[number] for number in numbers} == {1, 2, 3}
    everywhere = make(split="random")
    assert {layer.foreground for i in range(150) for layer in everywhere.scene("val", epoch=0, index=i).layers} == set(
        range(12)
    )


def test_a_hundred_thousand_scenes_start_like_a_hundred(make):
    start = time.perf_counter()
    data = make(train_size=100_000)
    assert len({data.scene("train", epoch=0, index=index) for index in range(99_000, 100_000)}) == 1000
    assert time.perf_counter() - start < 5
    assert not any(isinstance(v, list | np.ndarray) and len(v) > 100 for v in vars(data.planners["train"]).values())


def test_names_folders_and_numbers_say_the_class(tmp_path):
    prints = []
    for form in ("name", "number", "folder"):
        folder = write_species(tmp_path / form, form=form)
        data = Synthetic(**{**COMMON, "foregrounds": str(folder)})
        data.prepare()
        assert data.labels.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        prints.append(data.fingerprint("train"))
    assert len(set(prints)) == 3
    long = write_species(tmp_path / "long", ("polar", "polar_bear"))
    data = Synthetic(**{**COMMON, "foregrounds": str(long), "classes": ["none", "polar_bear", "polar"]})
    data.prepare()
    assert data.labels.tolist() == [2, 2, 2, 1, 1, 1]


def test_the_shipped_option_builds_and_shows_every_class():
    from omegaconf import OmegaConf

    option = OmegaConf.to_container(OmegaConf.load(conf_dir() / "data" / "synthetic.yaml"), resolve=False)
    data = build({**option, "augment": None, "size": [32, 32]}, where="data")
    data.prepare()
    for split in SPLITS:
        counts = sum(np.bincount(data.sample(split, epoch=0, index=i)["mask"].ravel(), minlength=5) for i in range(40))
        assert (counts > 300).all()
    assert data.describe("train").startswith("1,280 scenes of 45 person, 6 cat, 4 dog, 56 animal on flat")
    assert len(data.describe_sample("val", 0).split(",")) in (3, 4)


def test_fingerprint_changes_with_what_decides_the_scenes(make):
    prints = [
        make(**settings).fingerprint("train")
        for settings in (
            {},
            {"seed": 1},
            {"placement": "original"},
            {"colours": None},
            {"mask_threshold": 0.003},
            {"objects": [1, 4]},
            {"classes": ["background", "owl", "dog", "cat"]},
            {"background": "photo"},
            {"depth": {"far": 20.0}},
        )
    ]
    assert len(set(prints)) == len(prints)
    assert make().fingerprint("train") == prints[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"foregrounds": "/nowhere/at/all"}, "there is no folder"),
        ({"classes": ["background", "cat", "dog"]}, r"4 of 12 pictures .* none of the classes cat, dog: owl_0.png"),
        ({"classes": ["background", "cat", "dog", "owl", "yak"]}, "no picture of the class yak"),
        ({"placement": "orginal"}, "did you mean 'original'"),
        ({"background": "flatt"}, "did you mean 'flat'"),
        ({"split": "by_sourc"}, "did you mean 'by_source'"),
        ({"placement": "original", "objects": [3, 5]}, "fewest <= most <= 4"),
        ({"objects": [0, 2]}, "1 <= fewest"),
        ({"scale": [0.5, 1.5]}, "largest <= 1"),
        ({"colours": [[0, 0, 300]]}, "0..255"),
        ({"colours": []}, "data.colours must be null or"),
        ({"mask_threshold": 0.0}, "mask_threshold"),
        ({"train_size": 3}, "fewer than one batch"),
        ({"val_size": 0}, "val split has no samples"),
        ({"depth": {"far": 0.5}}, "1 < far <= 1e[+]06"),
    ],
)
def test_refusals_say_what_and_where(make, settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        make(**settings)


def test_two_pictures_a_class_need_the_random_split(make, tmp_path):
    folder = str(write_species(tmp_path / "two", each=2))
    with pytest.raises(DataError, match=r"class cat has 2 pictures.*use data.split=random"):
        make(foregrounds=folder)
    assert make(foregrounds=folder, split="random").describe("val").startswith("8 scenes of 2 cat, 2 dog, 2 owl")


def test_every_unreadable_file_is_named(make, tmp_path):
    folder = write_species(tmp_path / "bad", form="folder")
    (folder / "cat" / "torn.png").write_bytes((folder / "cat" / "x0.png").read_bytes()[:60])
    Image.new("RGB", (8, 8)).save(folder / "dog" / "opaque.png")
    with pytest.raises(DataError) as caught:
        make(foregrounds=str(folder))
    assert "torn.png" in str(caught.value) and "opaque.png" in str(caught.value)

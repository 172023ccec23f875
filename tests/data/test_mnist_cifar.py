"""mnist_cifar: both blends by hand, offsets, splits, golden pixels, every form of the sources, refusals."""

import gzip
import itertools
import os
import pickle
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from omegaconf import OmegaConf
from PIL import Image

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.scenes.mnist_cifar import MnistCifar
from segbench.data.scenes.mnist_cifar_plan import DigitLayout, DigitScene
from segbench.data.scenes.mnist_cifar_render import DigitTaps, render_digit
from tests.support import tiny_generated
from tests.support.tiny_generated import IDX, digits, photos, samples_digest, write_cifar, write_mnist

BINARY = ["background", "digit"]
ELEVEN = ["background", *map(str, range(10))]
SIZES = {"train_size": 60, "val_size": 20, "test_size": 20}
COMMON = {**tiny_generated.COMMON, **SIZES, "classes": BINARY, "size": [32, 32]}
SPLITS = ("train", "val", "test")
REAL = Path(os.environ.get("SEGBENCH_TEST_DATA", "nowhere"))


@pytest.fixture
def make(tmp_path):
    sources = {"mnist": str(write_mnist(tmp_path / "mnist")), "cifar": str(write_cifar(tmp_path / "cifar"))}

    def make(**settings):
        data = MnistCifar(**{**COMMON, **sources, **settings})
        data.prepare()
        return data

    return make


def draw_one(digit, photo, x=0, y=0, colour=(255, 255, 255), **settings):
    rule = {"canvas": (32, 32), "blend": "add", "gain": 200, "threshold": 0.3, "colour": "white", "offsets": "original"}
    layout = DigitLayout(**{**rule, **settings})
    taps = DigitTaps(layout, (28, 28), photo=(32, 32))
    return render_digit(DigitScene(0, 0, x, y, *colour), layout, sources=taps, digits=digit[None], photos=photo[None])


def test_additive_recipe_by_hand():
    """Values 255, 128, 77 and 76 (0.298 of full, not above 0.3) over 10, 100 and 250: sum, round, clip at 255."""
    digit, photo = np.zeros((28, 28), np.uint8), np.full((32, 32, 3), (10, 100, 250), np.uint8)
    digit[0, 0], digit[0, 2], digit[2, 0], digit[2, 2] = 255, 128, 77, 76
    digit[1, 1] = digit[3, 5] = 255  # odd places are left out by the sub-sampling
    image, inside, background = draw_one(digit, photo, x=5, y=7)
    assert image[7, 5].tolist() == [210, 255, 255]  # + 200, clipped
    assert image[7, 6].tolist() == [110, 200, 255]  # + 128 / 255 * 200 = 100.4
    assert image[8, 5].tolist() == [70, 160, 255]  # + 77 / 255 * 200 = 60.4
    assert image[8, 6].tolist() == [10, 100, 250]
    assert np.argwhere(inside).tolist() == [[7, 5], [7, 6], [8, 5]]
    assert np.array_equal(background, photo)
    assert np.array_equal(image[~inside], photo[~inside])


def test_additive_recipe_in_floating_point():
    """The older project's arithmetic, written down independently, within rounding, for every place."""
    digit, photo = digits(7, seed=4)[0][6], photos(3, seed=5)[2]
    draw = np.random.default_rng(0)
    digit = np.where(digit > 0, draw.integers(1, 256, digit.shape), 0).astype(np.uint8)
    small = digit[::2, ::2] / 255
    label = small > 0.3
    for x, y in itertools.product((0, 9, 17), (0, 4, 17)):
        expected = photo.astype(float)
        expected[y : y + 14, x : x + 14] += (small * label * 200)[..., None]
        image, inside, _ = draw_one(digit, photo, x, y)
        assert np.abs(image - expected.clip(0, 255)).max() <= 0.5
        assert np.array_equal(inside[y : y + 14, x : x + 14], label) and inside.sum() == label.sum()


def test_alpha_blending_by_hand():
    """Each pixel is the mean of 2 x 2 digit values, used as opacity: 255, 200, 100, 45 give 150."""
    digit, photo = np.zeros((28, 28), np.uint8), np.full((32, 32, 3), (0, 100, 255), np.uint8)
    digit[0, 0], digit[0, 1], digit[1, 0], digit[1, 1] = 255, 200, 100, 45
    digit[4:6, 4:6] = 255
    digit[8:10, 8:10] = 76
    image, inside, _ = draw_one(digit, photo, x=1, y=2, blend="alpha", colour=(255, 50, 0))
    share = 150 / 255
    assert image[2, 1] == pytest.approx([255 * share, 50 * share + 100 * (1 - share), 255 * (1 - share)], abs=0.5)
    assert image[4, 3].tolist() == [255, 50, 0]
    assert image[6, 5].tolist() == [0, 100, 255]  # 76 of 255 is below the threshold: the photo alone
    assert np.argwhere(inside).tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        ({}, "9bacb7354b654830"),
        ({"classes": ELEVEN, "blend": "alpha", "colour": "random"}, "834506984b2b380d"),
        ({"size": [64, 48], "offsets": "all"}, "6edaf1ee6667113f"),
        ({"size": [45, 96], "blend": "alpha", "classes": ELEVEN}, "a49e936ddb8734d5"),
        ({"size": [9, 11], "gain": 77, "mask_threshold": 0.0}, "cf30163fcaf86b91"),
    ],
)
def test_golden_pixels(make, settings, digest):
    assert samples_digest(make(**settings), samples=20) == digest


def test_offsets_are_0_to_17_or_0_to_18(make):
    for offsets, last in (("original", 17), ("all", 18)):
        data = make(offsets=offsets)
        scenes = [data.scene("train", epoch=epoch, index=index) for epoch in range(20) for index in range(60)]
        assert {scene.x for scene in scenes} == {scene.y for scene in scenes} == set(range(last + 1))
        share = Counter(scene.x for scene in scenes)
        assert max(share.values()) < 2.5 * 1200 / (last + 1)
    large = make(size=[64, 96])
    assert large.layout.box == (28, 42)
    assert {large.scene("train", epoch=e, index=i).y for e in range(20) for i in range(60)} == set(range(64 - 28))


def test_larger_sizes_show_the_whole_digit_and_the_resized_photo():
    digit, photo = digits(3, seed=1)[0][2], photos(1)[0]
    image, inside, background = draw_one(digit, photo, canvas=(64, 64))
    assert np.array_equal(inside[:28, :28], digit > 76)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(photo).permute(2, 0, 1)[None].float(), size=(64, 64), mode="bilinear", align_corners=False
    )[0]
    assert np.abs(background - resized.permute(1, 2, 0).numpy()).max() <= 0.51
    assert np.array_equal(image[~inside], background[~inside])


def test_classes_decide_the_labels(make):
    binary, eleven = make(), make(classes=ELEVEN)
    for index in range(40):
        scene = binary.scene("train", epoch=0, index=index)
        assert scene == eleven.scene("train", epoch=0, index=index)
        which, any_digit = eleven.sample("train", epoch=0, index=index), binary.sample("train", epoch=0, index=index)
        assert any_digit["image"].tobytes() == which["image"].tobytes()
        assert set(np.unique(any_digit["mask"])) == {0, 1}
        assert set(np.unique(which["mask"])) == {0, 1 + int(binary.digit_labels[scene.digit])}
        assert np.array_equal(any_digit["mask"] > 0, which["mask"] > 0)
        assert set(which) == {"image", "mask", "background"} == set(eleven.entries)
        assert [which[n].dtype for n in which] == [np.uint8] * 3
    with pytest.raises(ConfigError, match="2 names.*or 11.*got 3: a, b, c"):
        make(classes=["a", "b", "c"])


def test_no_digit_and_no_photo_is_in_two_splits(make):
    data = make(train_size=600, val_size=200, test_size=200)
    for field, training, total in (("digit", 40, 60), ("photo", 40, 60)):
        used = {
            s: {getattr(data.scene(s, epoch=0, index=i), field) for i in range(data.num_samples(s))} for s in SPLITS
        }
        assert len(used["train"]) == 36 and len(used["val"]) == 4 and len(used["test"]) == 20
        assert used["train"] | used["val"] == set(range(training))  # the official training pictures
        assert used["test"] == set(range(training, total))  # the official test pictures
    assert np.array_equal(data.digits[40:], digits(20, seed=2)[0])
    assert np.array_equal(data.photos[40:], photos(20, seed=4))
    other = make(seed=1)
    assert set(other.planners["val"].digits) != set(data.planners["val"].digits)


def test_epochs_differ_only_where_they_should(make):
    fresh, fixed = make(), make(fresh=False)
    assert fresh.scene("train", epoch=0, index=0) != fresh.scene("train", epoch=1, index=0)
    assert fixed.scene("train", epoch=0, index=0) == fixed.scene("train", epoch=1, index=0)
    assert fresh.scene("val", epoch=0, index=0) == fresh.scene("val", epoch=9, index=0)


def test_a_hundred_thousand_scenes_start_like_a_hundred(make):
    start = time.perf_counter()
    data = make(train_size=100_000)
    assert len({data.scene("train", epoch=0, index=index) for index in range(97_000, 100_000)}) > 2950
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("mnist_form", ["idx", "idx.gz", "npz", "png"])
def test_every_form_of_mnist_is_the_same_data(tmp_path, make, mnist_form):
    path = write_mnist(tmp_path / "other", form=mnist_form)
    data = make(mnist=str(path))
    images, labels = digits(40, seed=1)
    if mnist_form != "png":  # the folders sort the pictures by label
        assert np.array_equal(data.digits[:40], images) and np.array_equal(data.digit_labels[:40], labels)
        assert data.fingerprint("val") == make().fingerprint("val")
    have = {
        (int(label), image.tobytes()) for label, image in zip(data.digit_labels[:40], data.digits[:40], strict=True)
    }
    assert have == {(int(label), image.tobytes()) for label, image in zip(labels, images, strict=True)}


@pytest.mark.parametrize("cifar_form", ["npz", "png"])
def test_every_form_of_cifar_is_the_same_data(tmp_path, make, cifar_form):
    data = make(cifar=str(write_cifar(tmp_path / "other", form=cifar_form)))
    assert np.array_equal(data.photos, np.concatenate([photos(40, seed=3), photos(20, seed=4)]))
    assert data.fingerprint("test") == make().fingerprint("test")


def test_torchvisions_own_folder(tmp_path, make, monkeypatch):
    """torchvision reads the same idx files; its CIFAR batches are read through it, never by ourselves."""
    root = tmp_path / "root"
    write_mnist(root / "MNIST" / "raw", form="idx")
    theirs = torchvision.datasets.MNIST(str(root), train=True)
    assert np.array_equal(theirs.data.numpy(), digits(40, seed=1)[0])
    asked = []

    class Fake:
        def __init__(self, root, train, download):
            asked.append((Path(root).name, train, download))
            self.data = photos(40 if train else 20, seed=3 if train else 4)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    data = make(mnist=None, cifar=None, root=str(root), download=True)
    assert data.fingerprint("train") == make().fingerprint("train")
    assert asked == [("root", True, True), ("root", False, True)]  # and MNIST, which is there, is not fetched again
    (root / "cifar-10-batches-py").mkdir()
    for path in (root, root / "cifar-10-batches-py"):
        make(mnist=str(root), cifar=str(path))
        assert asked[-1] == ("root", False, False)


def test_downloads_are_torchvisions(tmp_path, make, monkeypatch):
    def fetch(root, train, download):
        write_mnist(Path(root) / "MNIST" / "raw")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    cifar = str(write_cifar(tmp_path / "photos"))
    with pytest.raises(DataError, match=r"no MNIST in .*raw; .* data.download=true"):
        make(mnist=None, cifar=cifar, root=str(tmp_path / "new"))
    data = make(mnist=None, cifar=cifar, root=str(tmp_path / "new"), download=True)
    assert data.fingerprint("train") == make().fingerprint("train")

    def offline(root, train, download):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried a mirror")

    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    with pytest.raises(DataError, match="no intact MNIST in .*Error downloading") as caught:
        make(mnist=None, cifar=cifar, root=str(tmp_path / "offline"), download=True)
    assert "\n" not in str(caught.value)


def test_a_foreign_pickle_is_never_opened(tmp_path, make):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "pickled.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "pickled.npz", x_train=np.array([Trap()], dtype=object), x_test=photos(3))
    for path in (folder, tmp_path, tmp_path / "pickled.npz", tmp_path / "pickled.npy", folder / "test_batch"):
        with pytest.raises(DataError, match=r"data\.cifar"):
            make(cifar=str(path))
    assert not (tmp_path / "sprung").exists()


def test_missing_data_is_one_sentence_that_says_where_to_put_what():
    for option in ("mnist_cifar", "mnist_cifar_11"):
        settings = OmegaConf.to_container(OmegaConf.load(conf_dir() / "data" / f"{option}.yaml"), resolve=False)
        data = build({**settings, "augment": None}, where="data")
        assert len(data.classes) == (11 if option.endswith("11") else 2)
        with pytest.raises(DataError) as caught:
            data.prepare()
        message = str(caught.value)
        for words in (
            "data.mnist=PATH",
            "train-images-idx3-ubyte.gz",
            "data.cifar=PATH",
            "data.root=DIR data.download=true",
        ):
            assert words in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mnist": "/nowhere/at/all"}, "data.mnist: there is no /nowhere/at/all.*download=true"),
        ({"cifar": "/nowhere/at/all"}, "data.cifar: there is no /nowhere/at/all.*download=true"),
        ({"mnist": None}, "data.mnist not set"),
        ({"cifar": None}, "data.cifar not set"),
        ({"blend": "ad"}, "did you mean 'add'"),
        ({"colour": "wite"}, "did you mean 'white'"),
        ({"offsets": "orginal"}, "did you mean 'original'"),
        ({"mask_threshold": 1.0}, "mask_threshold"),
        ({"gain": 300}, "0..255"),
        ({"val_share": 0.0}, "val_share"),
        ({"download": True}, "needs data.root"),
        ({"train_size": 3}, "fewer than one batch"),
        ({"test_size": 0}, "test split has no samples"),
    ],
)
def test_refusals_say_what_and_where(make, settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        make(**settings)


def test_broken_idx_files_are_refused(make, tmp_path):
    def broken(change):
        shutil.rmtree(tmp_path / "broken", ignore_errors=True)
        folder = write_mnist(tmp_path / "broken", form="idx")
        change(folder)
        with pytest.raises(DataError) as caught:
            make(mnist=str(folder))
        return str(caught.value)

    assert f"has no {IDX[3]} (plain or .gz)" in broken(lambda folder: (folder / IDX[3]).unlink())
    assert "should hold [40, 28, 28] bytes, has 31,350" in broken(
        lambda folder: (folder / IDX[0]).write_bytes((folder / IDX[0]).read_bytes()[:-10])
    )
    assert "is no idx file" in broken(lambda folder: (folder / IDX[0]).write_bytes(b"<html>not found</html>"))
    assert "40 train pictures but 20 labels" in broken(lambda folder: shutil.copy(folder / IDX[3], folder / IDX[1]))
    assert "0 to 9" in broken(lambda f: (f / IDX[3]).write_bytes((f / IDX[3]).read_bytes()[:-1] + b"\x0b"))

    def torn(folder):
        (folder / f"{IDX[0]}.gz").write_bytes(gzip.compress((folder / IDX[0]).read_bytes())[:-20])
        (folder / IDX[0]).unlink()

    assert "cannot be read" in broken(torn)


def test_broken_archives_and_folders_are_refused(make, tmp_path):
    def refused(key, path):
        with pytest.raises(DataError) as caught:
            make(**{key: str(path)})
        return str(caught.value)

    path = tmp_path / "a.npz"
    np.savez(path, images=photos(3))
    assert "has no x_train, x_test, only images" in refused("cifar", path)
    np.savez(path, x_train=photos(3).astype(np.float32), x_test=photos(3))
    assert "must be uint8 [N, 32, 32, 3], got float32" in refused("cifar", path)
    np.savez(path, x_train=photos(1), x_test=photos(3))
    assert "1 training and 3 test pictures" in refused("cifar", path)
    path.write_text("no archive")
    assert "cannot be read as .npz" in refused("mnist", path)
    folder = write_mnist(tmp_path / "png", form="png")
    Image.new("L", (20, 28)).save(folder / "train" / "3" / "wide.png")
    (folder / "train" / "4" / "text.png").write_text("hello")
    message = refused("mnist", folder)
    assert "wide.png: 28 x 20 pixels, not 28 x 28" in message and "text.png" in message
    (folder / "train" / "ten").mkdir()
    assert "folders 0 to 9, not ten" in refused("mnist", folder)


def test_fingerprint_and_description(make):
    prints = [
        make(**settings).fingerprint("train")
        for settings in (
            {},
            {"seed": 1},
            {"blend": "alpha"},
            {"gain": 100},
            {"offsets": "all"},
            {"val_share": 0.2},
            {"fresh": False},
            {"classes": ELEVEN},
            {"mask_threshold": 0.5},
            {"size": [64, 64]},
        )
    ]
    assert len(set(prints)) == len(prints)
    data = make()
    assert [data.describe(split) for split in SPLITS] == [
        "60 scenes of 36 digits on 36 photos",
        "20 scenes of 4 digits on 4 photos",
        "20 scenes of 20 digits on 20 photos",
    ]
    scene = data.scene("val", epoch=0, index=3)
    label = data.digit_labels[scene.digit]
    assert data.describe_sample("val", 3) == f"val 3: a {label} (digit {scene.digit}) on photo {scene.photo}"


@pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="SEGBENCH_TEST_DATA names no folder with MNIST and CIFAR-10")
def test_real_pictures(make):
    data = make(mnist=str(REAL / "mnist"), cifar=str(REAL / "cifar10" / "cifar10_subset.npz"), classes=ELEVEN)
    assert [len(data.planners[split].digits) for split in SPLITS] == [54_000, 6_000, 10_000]
    assert data.digits.mean() / 255 == pytest.approx(0.1307, abs=0.0005)  # the known mean of MNIST
    assert data.digit_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.digit_labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]

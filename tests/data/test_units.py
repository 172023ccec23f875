"""What the tables of images call a sample, and the units that it was taken from."""

from pathlib import Path

import pytest
import yaml

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.data.scenes.sources import ASSETS
from tests.support.tiny_files import write_camvid, write_coco, write_folder
from tests.support.tiny_generated import write_cifar, write_mnist


def data_of(option, **settings):
    node = yaml.safe_load((conf_dir() / "data" / f"{option}.yaml").read_text())
    data = build({**node, "augment": None, "batch_size": 2, "size": [32, 32], **settings}, where="data")
    data.prepare()
    return data


def test_a_scene_of_fgbg_names_its_foreground_and_background():
    data = data_of("fgbg", val_size=12, test_size=3)
    for index in range(12):
        units = data.units("val", index)
        assert list(units) == ["foreground", "background"]
        assert all((ASSETS / f"{factor}s" / name).is_file() for factor, name in units.items())
        assert data.image_name("val", index) == f"{units['foreground']} + {units['background']}"
    train = {data.units("train", index)["foreground"] for index in range(200)}
    assert not train & {data.units("val", index)["foreground"] for index in range(12)}  # split=by_source


def test_two_sources_of_one_stem_are_two_units(tmp_path):
    for folder, kind in (("foregrounds", "animal_owl.webp"), ("backgrounds", "petra.webp")):
        from PIL import Image

        (tmp_path / folder).mkdir()
        for name in ("a.png", "a.webp", "b.png"):
            Image.open(ASSETS / folder / kind).resize((40 + len(name), 40)).save(tmp_path / folder / name)
    folders = {name: str(tmp_path / name) for name in ("foregrounds", "backgrounds")}
    data = data_of("fgbg", split="random", test_size=60, **folders)
    assert {data.units("test", index)["foreground"] for index in range(60)} == {"a.png", "a.webp", "b.png"}


def test_a_scene_of_synthetic_names_the_sources_of_every_class(tmp_path):
    data = data_of("synthetic", background="photo", test_size=20)
    for index in range(20):
        scene, units = data.scene("test", epoch=0, index=index), data.units("test", index)
        shown = {data.names[layer.foreground] for layer in scene.layers}
        assert list(units) == [*data.classes[1:], "background"]
        told = {name for factor, unit in units.items() if factor != "background" for name in unit.split(" + ") if name}
        assert told == shown
        assert units["background"] == data.photo_names[scene.backdrop.background]
        assert data.image_name("test", index).split(" + ")[-1] == units["background"]
    assert set(data_of("synthetic").units("test", 0)) == {"person", "cat", "dog", "animal"}


def test_a_scene_of_mnist_cifar_names_digit_and_photo(tmp_path):
    write_mnist(tmp_path / "mnist")
    write_cifar(tmp_path / "cifar")
    cifar = next((tmp_path / "cifar").rglob("*.npz"))
    data = data_of(
        "mnist_cifar", mnist=str(tmp_path / "mnist"), cifar=str(cifar), train_size=4, val_size=4, test_size=4
    )
    scene = data.scene("test", epoch=0, index=2)
    assert data.units("test", 2) == {"digit": str(scene.digit), "photo": str(scene.photo)}
    assert data.image_name("test", 2) == f"digit {scene.digit} + photo {scene.photo}"


def test_frames_of_camvid_name_their_recording(tmp_path):
    root = write_camvid(tmp_path / "c")
    renamed = {"f000": "0016E5_07959", "f001": "Seq05VD_f00000", "f002": "0001TP_006690"}
    for old, new in renamed.items():
        for path in list(root.rglob(f"{old}*.png")):
            path.rename(path.with_name(path.name.replace(old, new)))
    for path in root.glob("*.txt"):
        text = path.read_text()
        for old, new in renamed.items():
            text = text.replace(old, new)
        path.write_text(text)
    data = data_of("camvid", root=str(root), official=False)
    found = {data.image_name("train", index): data.units("train", index) for index in range(data.num_samples("train"))}
    assert found["train/0016E5_07959.png"] == {"recording": "0016E5"}
    assert found["train/Seq05VD_f00000.png"] == {"recording": "Seq05VD"}
    assert found["train/0001TP_006690.png"] == {"recording": "0001TP"}
    assert data.units("val", 0) == {"recording": Path(data.image_name("val", 0)).stem}  # no name of a recording


def test_pictures_of_a_folder_and_of_coco_are_called_by_their_path_and_are_their_own_units(tmp_path):
    folder = data_of("folder", root=str(write_folder(tmp_path / "f")), masks="binary")
    name = folder.image_name("val", 0)
    assert (tmp_path / "f" / name).is_file()
    assert Path(name).parts[0] == "images"
    assert folder.units("val", 0) == {}
    root = write_coco(tmp_path / "coco")
    coco = data_of("coco", root=str(root))
    assert (root / coco.image_name("val", 0)).is_file()
    assert coco.units("val", 0) == {}


@pytest.mark.parametrize("option", ["fgbg", "synthetic"])
def test_a_training_sample_that_changes_every_epoch_is_not_called_by_its_first_one(option):
    data = data_of(option, train_size=8, val_size=4, test_size=4)
    assert data.locate_sample("train", 3) == "train 3"
    assert (
        data.sample("train", epoch=1, index=3)["image"].tobytes()
        != data.sample("train", epoch=0, index=3)["image"].tobytes()
    )

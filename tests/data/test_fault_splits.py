"""Offenders are listed together, and splits, classes and labels that are missing are errors or defined numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.faulty_files import SHORT, frames, noise, saved, write_photos
from tests.support.tiny_generated import write_mnist
from tests.support.tiny_sources import source_words, write_pictures

BAD = {
    "folder": ["images/p00.png", "masks/p01.png", "images/p02.png"],
    "camvid": ["train/f000.png", "valannot/f008.png", "test/f012.png"],
    "coco": ["train2017/000000000001.jpg", "train2017/000000000002.jpg"],
    "fgbg": ["fg/f0.png", "bg/b1.png"],
    "synthetic": [],
    "mnist_cifar": ["m/train/0/00000.png", "m/test/1/00001.png", "c/train/a/0.png", "c/test/b/2.png"],
}


def bad_words(option, root):
    if option == "mnist_cifar":
        write_mnist(root / option / "m", 12, 3, "png"), write_photos(root / option / "c")
        return [f"data.mnist={root / option / 'm'}", f"data.cifar={root / option / 'c'}"]
    if option == "synthetic":
        folders = write_pictures(root / option)
        for number, path in enumerate(sorted(folders["foregrounds"].iterdir())):
            path.rename(path.with_name(f"{('lion', 'zebra')[number % 2]}_{number}.png"))
        BAD[option] = ["fg/lion_0.png", "fg/zebra_1.png"]
        return [f"data.foregrounds={folders['foregrounds']}", "data.classes=[background,lion,zebra]"]
    return source_words(option, root)


@pytest.mark.parametrize("option", BAD)
def test_all_offenders_of_a_start_are_listed_and_nothing_is_written(option, tmp_path, command):
    words = bad_words(option, tmp_path)
    contents = [b"", b"<html></html>", saved(noise(30, 30))[:300], frames("GIF")]
    for name, content in zip(BAD[option], contents, strict=False):
        assert (tmp_path / option / name).is_file()
        (tmp_path / option / name).write_bytes(content)
    outcome = command(f"data={option}", *SHORT, *words)
    assert outcome.code == 3, outcome.err
    assert "Traceback" not in outcome.err
    for name in BAD[option]:
        shown = Path(name).name
        if option in ("folder", "camvid"):  # an item is called like its image
            shown = shown.replace("_L", "")
        assert shown in outcome.err, (name, outcome.err)
    assert not list((tmp_path / "here").rglob("*"))


def test_of_many_equal_offenders_three_are_named(tmp_path, command):
    words = source_words("folder", tmp_path)
    for number in range(25):
        (tmp_path / "folder" / "images" / f"p{number:02d}.png").write_bytes(b"")
    outcome = command("data=folder", *SHORT, *words)
    assert outcome.code == 3
    assert "25 problems: unreadable: not a PNG, JPEG, WEBP, TIFF, BMP or GIF picture" in outcome.err
    assert "(25 files in images: p00.png, p01.png, p02.png and 22 more)" in outcome.err
    assert "p03.png" not in outcome.err
    assert len(outcome.err) < 400


# splits and classes


def by_hand(root, masks):
    """root/<split>/images and masks of 32 x 32 pixels; `masks` gives the values of each by split."""
    for split, values in masks.items():
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for number, value in enumerate(values):
            mask = np.zeros((32, 32), np.uint8)
            if value == "void":
                mask[:] = 255
            else:
                mask[: len(value)] = np.array(value, np.uint8)[:, None]
            noise(32, 32).save(root / split / "images" / f"{number}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{number}.png")
    return [
        f"data.root={root}",
        "data=folder",
        "data.classes=[road,car,sky]",
        "data.masks=index",
        "data.size=[32,32]",
        "data.batch_size=2",
        "hydra.run.dir=run",
        *SHORT,
    ]


GOOD = [[0, 1, 2], [0, 1, 1, 2, 2], [2, 1]]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"train": GOOD, "val": [], "test": GOOD}, "val/images/{path}.* holds no pictures"),
        ({"train": [], "val": GOOD, "test": GOOD}, "train/images/{path}.* holds no pictures"),
        ({"train": GOOD[:1], "val": GOOD, "test": GOOD}, "the train split has 1 samples, fewer than one batch"),
        ({"train": GOOD, "val": GOOD}, "there is no test split; give data.missing_test=val"),
    ],
)
def test_splits_that_cannot_train_are_errors(masks, message, tmp_path, command):
    outcome = command(*by_hand(tmp_path / "d", masks))
    assert outcome.code == 3
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "here" / "run").exists()


@pytest.mark.parametrize("option", ["fgbg", "synthetic", "mnist_cifar"])
def test_generated_splits_of_nothing_are_errors(option, tmp_path, command):
    words = source_words(option, tmp_path)
    for split in ("train", "val", "test"):
        outcome = command(f"data={option}", "trainer=debug", *words, f"data.{split}_size=0")
        assert outcome.code in (2, 3)
        assert f"{split}" in outcome.err
        assert "Traceback" not in outcome.err
    outcome = command(f"data={option}", "trainer=debug", *words, "data.train_size=3", "data.batch_size=4")
    assert outcome.code == 3
    assert "the train split has 3 samples, fewer than one batch; give data.batch_size=3" in outcome.err


def numbers_in(value):
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers_in(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers_in(inner)]
    return [value] if isinstance(value, int | float) else []


def results_of(run):
    text = (run / "results.json").read_text()
    results = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in results.json"))
    assert all(np.isfinite(number) for number in numbers_in(results))
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    undefined = {name for row in rows for name, value in row.items() if value == "nan"}
    assert all(name.endswith("/sky") for name in undefined)  # neither in the truth nor predicted: no score
    assert json.loads((run / "status.json").read_text())["state"] == "completed"
    return results["metrics"]


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "lovasz"])
def test_a_class_that_never_occurs_and_a_picture_without_labels_give_defined_numbers(loss, tmp_path, command):
    masks = {"train": [[0, 1], [0, 1, 1], "void", "void"], "val": [[0, 1], "void"], "test": [[0, 1], [0, 1]]}
    outcome = command(*by_hand(tmp_path / "d", masks), f"loss={loss}")
    assert outcome.code == 0, outcome.err
    metrics = results_of(tmp_path / "here" / "run")
    for split in ("val", "test"):
        assert 0 <= metrics[f"{split}/mean_iou"]["last"] <= 1
        assert metrics[f"{split}/iou/road"]["last"] is not None
    rows = (tmp_path / "here" / "run" / "metrics.csv").read_text().splitlines()
    assert any(row.startswith("train,0,2,") for row in rows)  # its two steps were done


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("cache", [False, True])
def test_a_split_without_any_label_is_an_error(split, cache, tmp_path, command):
    masks = {"train": GOOD, "val": GOOD, "test": GOOD, split: ["void", "void"]}
    words = by_hand(tmp_path / "d", masks) + [f"data.cache={tmp_path / 'cache'}"] * cache
    for _ in range(1 + cache):
        outcome = command(*words)
        assert outcome.code == 3
        assert f"no mask of the {split} split has a labelled pixel, all are 255" in outcome.err
        assert "Traceback" not in outcome.err
    assert not (tmp_path / "here" / "run").exists()

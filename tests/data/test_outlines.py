"""LabelMe's JSON and YOLO's text: masks are those that a hand would draw; what means nothing is named."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.data.files.folder import Folder

SIZE = (20, 24)
SPLITS = ("train", "val", "test")
COMMON = {"mean": [0, 0, 0], "std": [1, 1, 1], "batch_size": 1, "size": SIZE, "val_share": 0.3, "test_share": 0.3}


def data_of(root, masks, classes=("none", "cat", "dog"), **settings):
    return Folder(root=str(root), masks=masks, classes=classes, **{**COMMON, **settings})


def drawn(data):
    data.prepare()
    places = [(split, k) for split in SPLITS for k in range(data.num_samples(split))]
    return {data.items[split][k].image.stem: data.original(split, k)["mask"] for split, k in places}


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(path)


def labelme(path, shapes):
    entries = [{"label": label, "shape_type": kind, "points": points, **more} for label, kind, points, more in shapes]
    path.write_text(json.dumps({"imageHeight": SIZE[0], "imageWidth": SIZE[1], "imageData": None, "shapes": entries}))


def small_png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return {"mask": base64.b64encode(file.getvalue()).decode()}


POLYGON = ("cat", "polygon", [[4, 3], [12, 3], [12, 9], [4, 9]], {})
RECTANGLE = ("dog", "rectangle", [[10, 8], [20, 16]], {})
MASK = ("cat", "mask", [[1, 2], [3, 3]], small_png(np.array([[1, 0, 1], [0, 1, 1]], bool)))
CIRCLE = ("dog", "circle", [[12, 10], [12, 4]], {})


def by_hand(shapes):
    mask = np.zeros(SIZE, np.uint8)
    for shape in shapes:
        if shape is POLYGON:
            mask[3:9, 4:12] = 1
        elif shape is RECTANGLE:
            mask[8:16, 10:20] = 2
        elif shape is MASK:
            mask[[2, 2, 3, 3], [1, 3, 2, 3]] = 1
    return mask


def test_labelme_draws_shapes_in_their_order(tmp_path):
    shapes = [[POLYGON, RECTANGLE], [RECTANGLE, POLYGON], [MASK], [], [POLYGON, MASK]] * 3
    for number, entries in enumerate(shapes):
        picture(tmp_path / f"p{number}.jpg")
        labelme(tmp_path / f"p{number}.json", entries)
    picture(tmp_path / "new.jpg")  # not annotated yet
    data = data_of(tmp_path, "labelme", without_mask="skip")
    found = drawn(data)
    assert len(found) == 15
    for number, entries in enumerate(shapes):
        assert (found[f"p{number}"] == by_hand(entries)).all()
    assert "1 of 16 pictures have no mask and are left out" in data.notes


def test_a_circle_has_its_area(tmp_path):
    for number in range(9):
        picture(tmp_path / f"p{number}.jpg")
        labelme(tmp_path / f"p{number}.json", [CIRCLE])
    mask = drawn(data_of(tmp_path, "labelme"))["p0"]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = (columns - 12) ** 2 + (rows - 10) ** 2 < 36
    assert ((mask == 2) != inside).sum() <= 8  # of 113 pixels: a polygon of 64 corners
    assert set(np.unique(mask)) == {0, 2}


def test_labels_are_renamed_merged_and_dropped(tmp_path):
    for number in range(9):
        picture(tmp_path / "images" / f"p{number}.jpg")
        (tmp_path / "annotations").mkdir(exist_ok=True)
        labelme(tmp_path / "annotations" / f"p{number}.json", [POLYGON, RECTANGLE])
    with pytest.raises(DataError, match=r"labels dog are neither in data.classes nor in data.labels"):
        drawn(data_of(tmp_path, "labelme", ["none", "cat"]))
    labels = {"cat": "animal", "dog": "ignore"}
    mask = drawn(data_of(tmp_path, "labelme", ["none", "animal"], labels=labels))["p3"]
    expected = by_hand([POLYGON, RECTANGLE])
    assert (mask == np.where(expected == 2, 255, expected)).all()


def test_lines_are_refused_or_ignored(tmp_path):
    for number in range(9):
        picture(tmp_path / f"p{number}.jpg")
        labelme(tmp_path / f"p{number}.json", [POLYGON, ("dog", "line", [[2, 12], [8, 15]], {})])
    with pytest.raises(DataError, match="a shape of the kind line has no outline.*data.boxes=skip"):
        data_of(tmp_path, "labelme").prepare()
    mask = drawn(data_of(tmp_path, "labelme", boxes="skip"))["p0"]
    expected = by_hand([POLYGON])
    expected[12:15, 2:8] = 255
    assert (mask == expected).all()
    with pytest.raises(ConfigError, match="there is no data.boxes 'skipp'; did you mean 'skip'"):
        data_of(tmp_path, "labelme", boxes="skipp")


@pytest.mark.parametrize("outer", [True, False])
def test_yolo_reads_shares_of_the_picture(outer, tmp_path):
    for split, count in (("train", 4), ("valid", 3), ("test", 2)):
        for number in range(count):
            names = [(split, kind) if outer else (kind, split) for kind in ("images", "labels")]
            image, text = (tmp_path.joinpath(*name) / f"{split}{number}" for name in names)
            picture(image.with_suffix(".jpg"))
            text.parent.mkdir(parents=True, exist_ok=True)
            if number:  # the first has no object
                corners = [(4, 3), (12, 3), (12, 9), (4, 9)]
                shares = " ".join(f"{x / SIZE[1]:.9f} {y / SIZE[0]:.9f}" for x, y in corners)
                text.with_suffix(".txt").write_text(f"{number % 2} {shares}\n\n")
    data = data_of(tmp_path, "yolo", without_mask="empty")
    found = drawn(data)
    assert [data.num_samples(split) for split in SPLITS] == [4, 3, 2]
    assert "3 of 9 pictures have no mask and are all background" in data.notes
    for name, mask in found.items():
        number = int(name[-1])
        assert (mask == (by_hand([POLYGON]) * (number % 2 + 1) if number else 0)).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "a line of four numbers, which is a box, has no outline .*data.boxes=skip"),
        ("2 0.1 0.1 0.9 0.1 0.9 0.9", "numbers 2 are neither in data.classes nor in data.labels"),
        ("0 10 10 90 10 90 90", "no class and shares of width and height"),
        ("cat 0.1 0.1 0.9 0.1 0.9 0.9", "a line that is not all numbers"),
        ("0 0.1 0.1 0.9 0.1", "has no outline|no class with at least three points"),
    ],
)
def test_lines_of_yolo_that_mean_nothing_are_named(line, message, tmp_path):
    for number in range(9):
        picture(tmp_path / "images" / f"p{number}.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"p{number}.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        data_of(tmp_path, "yolo").prepare()

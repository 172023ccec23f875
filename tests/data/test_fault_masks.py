"""Masks: every value, colour and way to store them is read to the bit or refused; the same for outlines of COCO."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from segbench.core.errors import DataError
from segbench.data.files.coco_masks import decode, draw_panoptic
from segbench.data.files.folder import Folder
from segbench.data.files.masks import MaskReader
from segbench.data.pictures import load_picture
from tests.support.faulty_files import (
    COMMON,
    FOUR_BIT,
    TWO_BIT,
    coco_case,
    coloured,
    frames,
    ids,
    noise,
    png,
    rgb,
    saved,
    turned,
)
from tests.support.tiny_files import write_folder

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


def mask_case(root, **settings):
    """A folder set whose training masks are replaced; returns a function of their bytes that returns the first mask."""
    write_folder(root, count=3, binary=False)
    (root / "train.txt").write_text("p00\np01\n"), (root / "val.txt").write_text("p02\n")
    data = Folder(
        root=str(root), size=[40, 48], missing_test="val", **{"classes": ["a", "b", "c"], **settings}, **COMMON
    )

    def load(content):
        (root / "masks" / "p00.png").write_bytes(content)
        data.prepare()
        return data.sample("train", epoch=0, index=0)["mask"]

    return load


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (saved(ids(1)), 1),
        (saved(ids(1, np.uint16)), 1),
        (saved(ids(1, np.int32), "TIFF"), 1),
        (png(48, 40, 1, 0, [b"\x00" * 3 + b"\xff" * 3] * 40), 1),
        (TWO_BIT, 1),
        (FOUR_BIT, 2),
        (saved(coloured(2, [9, 9, 9, 8, 8, 8, 7, 7, 7])), 2),  # whatever the colours
        (saved(ids(1), exif=turned(1)), 1),
        (saved(ids(1), "BMP"), 1),
        (saved(ids(1), "TIFF", compression="tiff_lzw"), 1),
    ],
)
def test_masks_of_ids_are_read_to_the_bit(content, value, tmp_path):
    mask = mask_case(tmp_path / "d")(content)
    assert (mask[:, :24] == 0).all()
    assert (mask[:, 24:] == value).all()


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (saved(ids(7)), {}, "label: p00.png: ids 7 at 960 pixels are no classes (0 to 2)"),
        (saved(ids(300, np.uint16)), {}, "label: p00.png: ids 300 at 960 pixels are no classes"),
        (saved(ids(-1, np.int32), "TIFF"), {}, "label: p00.png: ids -1 at 960 pixels are no classes"),
        (png(48, 40, 4, 0, [b"\xff" * 24] * 40), {}, "ids 15 at 1,920 pixels are no classes"),
        (saved(coloured(9, [0] * 30)), {}, "label: p00.png: ids 9 at 960 pixels are no classes"),
        (saved(rgb((1, 2, 3))), {}, "a colour picture; give data.class_dict"),
        (saved(rgb((1, 2, 3))), {"masks": "index"}, "no grey picture of ids (its mode is RGB)"),
        (saved(rgb((1, 2, 3))), {"masks": "palette"}, "no palette picture (its mode is RGB)"),
        (saved(ids(1).resize((20, 20))), {}, "size: p00.png: the image has 40 x 48 pixels"),
        (saved(ids(1).transpose(Image.Transpose.ROTATE_90)), {}, "the mask 48 x 40"),
        (saved(ids(1), exif=turned(6)), {}, "the mask 48 x 40"),
        (saved(ids(1), "JPEG"), {}, "a JPEG, which does not keep the values of a mask"),
        (saved(ids(1).convert("RGB"), "WEBP"), {}, "a lossy WEBP, which does not keep the values of a mask"),
        (saved(rgb((9, 9, 9)), "TIFF", compression="jpeg"), {}, "a lossy TIFF, which does not keep"),
        (png(48, 40, 16, 2, [b"\x00\x01" * 144] * 40), {"masks": "rgb"}, "16 bit a channel"),
        (png(48, 40, 16, 4, [b"\x00\x01" * 96] * 40), {"masks": "binary", "classes": ["a", "b"]}, "16 bit a channel"),
        (saved(Image.new("F", (48, 40)), "TIFF"), {"masks": "binary", "classes": ["a", "b"]}, "floating-point values"),
        (frames("PNG"), {}, "an animation or several pages"),
        (b"", {}, "unreadable: p00.png: not a PNG"),
        (b"<html>", {}, "unreadable: p00.png: not a PNG"),
        (saved(ids(1))[:60], {}, "unreadable: p00.png: damaged"),
        (png(20000, 20000, 8, 0, [b"\0"]), {}, "unreadable: p00.png: a picture of 20000 x 20000 pixels, which takes"),
    ],
)
def test_masks_that_mean_nothing_are_refused(content, settings, message, tmp_path, monkeypatch):
    monkeypatch.setattr("segbench.data.pictures.available_memory", lambda: 10**9)
    if settings.get("masks") == "rgb":
        (tmp_path / "colours.csv").write_text("a,0,0,0\nb,1,1,1\nc,2,2,2\n")
        settings = {**settings, "class_dict": str(tmp_path / "colours.csv")}
    with pytest.raises(DataError) as caught:
        mask_case(tmp_path / "d", **settings)(content)
    assert message in str(caught.value)
    assert "p00.png" in str(caught.value)


def test_an_opaque_mask_of_equal_colours_is_read_as_its_grey(tmp_path):
    grey = np.array([[0, 1, 2]], np.uint8)
    for alpha, works in ((255, True), (0, False)):
        picture = np.dstack([grey, grey, grey, np.full_like(grey, alpha)])
        Image.fromarray(picture).save(tmp_path / "m.png")
        reader = MaskReader("auto", ["a", "b", "c"])
        if works:
            assert reader.read(tmp_path / "m.png").tolist() == [[0, 1, 2]]
        else:
            with pytest.raises(DataError, match="a colour picture"):
                reader.read(tmp_path / "m.png")


def test_a_colour_mask_of_two_classes_is_told_of_binary_masks(tmp_path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="or data.masks=binary, for which all but black is foreground"):
        MaskReader("auto", ["a", "b"]).read(tmp_path / "m.png")
    assert MaskReader("binary", ["a", "b"]).read(tmp_path / "m.png").tolist() == [[1, 0]]


def test_whatever_is_wrong_with_a_mask_its_own_file_is_named(tmp_path):
    root = write_folder(tmp_path / "d", count=8, binary=False)
    for path in (root / "masks").iterdir():
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"no palette picture .* \(8 files in masks: p00.png"):
        Folder(root=str(root), masks="palette", classes=["a", "b"], size=[40, 48], **COMMON).prepare()


def test_a_mask_whose_0_is_white_is_refused(tmp_path):
    """TIFF's photometric interpretation 0: Pillow hands out 255 - value."""
    values = bytes(24) + b"\x01" * 24
    entries = [
        (256, 4, 48),
        (257, 4, 40),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 0),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, 40),
        (279, 4, 1920),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<I", 8 + 1920)
    content = head + values * 40 + struct.pack("<H", len(entries)) + directory + bytes(4)
    assert np.asarray(Image.open(io.BytesIO(content)))[0, 0] == 255
    with pytest.raises(DataError, match="a TIFF whose 0 is white; save masks as PNG"):
        mask_case(tmp_path / "d")(content)


def test_colours_are_those_of_the_list_or_refused(tmp_path):
    (tmp_path / "colours.csv").write_text("a,0,0,0\nb,10,20,30\nc,200,0,0\nskip,1,1,1\n")
    load = mask_case(tmp_path / "d", masks="rgb", class_dict=str(tmp_path / "colours.csv"), ignore=["skip"])
    assert (load(saved(rgb((200, 0, 0))))[:, 24:] == 2).all()
    mixed = rgb((1, 1, 1))
    mixed.putpixel((0, 0), (10, 20, 30))
    assert (load(saved(mixed))[:, 24:] == 255).all()
    assert (load(saved(coloured(1, [0, 0, 0, 10, 20, 30])))[:, 24:] == 1).all()  # declared colours of a palette
    for content in (saved(rgb((10, 20, 31))), saved(coloured(1, [0, 0, 0, 10, 20, 31]))):
        with pytest.raises(DataError, match=r"colours \(10, 20, 31\) at 960 pixels are not in colours.csv"):
            load(content)
    with pytest.raises(DataError, match="which does not keep the values"):
        load(saved(rgb((200, 0, 0)), "WEBP", quality=100))
    assert (load(saved(rgb((200, 0, 0)), "WEBP", lossless=True))[:, 24:] == 2).all()


def test_a_mask_turned_by_exif_lies_like_its_turned_image(tmp_path):
    load = mask_case(tmp_path / "d")
    stored = ids(1).transpose(Image.Transpose.ROTATE_90)  # EXIF 6 turns it back by 90 degrees clockwise
    mask = load(saved(stored, exif=turned(6)))
    assert np.array_equal(mask, np.asarray(ids(1)))


def test_panoptic_masks_must_keep_their_numbers(tmp_path):
    segments = [{"id": 1, "category_id": 1, "area": 9}]
    whole = np.zeros((4, 6, 3), np.uint8)
    whole[..., 0] = 1
    path = tmp_path / "a.png"
    path.write_bytes(saved(Image.fromarray(whole)))
    assert (draw_panoptic(path, segments, class_of={1: 1}, size=(4, 6), min_area=0) == 1).all()
    path.write_bytes(png(6, 4, 16, 2, [struct.pack(">3H", 0x0101, 0, 0) * 6] * 4))
    with pytest.raises(DataError, match="16 bit a channel"):
        draw_panoptic(path, segments, class_of={1: 1}, size=(4, 6), min_area=0)
    for content in (saved(Image.fromarray(whole), "JPEG"), saved(Image.fromarray(whole), "WEBP")):
        path.write_bytes(content)
        with pytest.raises(DataError, match="does not keep its colours exactly"):
            draw_panoptic(path, segments, class_of={1: 1}, size=(4, 6), min_area=0)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([[float("nan"), 1, 2, 3, 4, 5]], "far outside"),  # would crash pycocotools, as the next one
        ([[1e12, 1, 2e12, 3, 4, 5]], "far outside"),
        ([["a", 1, 2, 3, 4, 5]], "something else than numbers"),
        ([[1, 1, 2]], "at least three points"),
        ({"size": [10, 10], "counts": ""}, "run lengths of 0 pixels, not 100"),  # would be pixels as the memory was
        ({"size": [10, 10], "counts": "\x00\x01"}, "no run lengths"),
        ({"size": [10, 10], "counts": "zzzzzzzzzzzz"}, "no run lengths"),
        ({"size": [10, 10], "counts": [-50, 150]}, "no run lengths"),
        ({"size": [10, 10], "counts": [50, 49]}, "run lengths of 99 pixels, not 100"),
        ({"size": [10, 10], "counts": 5}, "no run lengths"),
        ({"size": [10, 10]}, "no run lengths"),
        (None, "no outline"),
    ],
)
def test_outlines_that_pycocotools_would_crash_on_are_refused(outline, message):
    with pytest.raises(DataError, match=message):
        decode({"id": 3, "segmentation": outline}, height=10, width=10)


def test_run_lengths_are_unpacked_as_pycocotools_packs_them():
    from pycocotools import mask as tools

    draw = np.random.default_rng(1)
    for _ in range(100):
        height, width = (int(v) for v in draw.integers(1, 50, 2))
        inside = draw.random((height, width)) < draw.random()
        packed = tools.encode(np.asfortranarray(inside.astype(np.uint8)))
        outline = {"size": [height, width], "counts": packed["counts"].decode()}
        assert np.array_equal(decode({"segmentation": outline}, height=height, width=width), inside)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].update(height=10**6, width=10**6), "images[0] has 1000000 x 1000000 pixels"),
        (lambda c: c["images"][0].update(height="40"), "'40' as the height of images[0]"),
        (lambda c: c["images"][0].update(height=0), "images[0] has 0 x 48 pixels"),
        (lambda c: c["images"][0].pop("file_name"), "no file_name in images[0]"),
        (lambda c: c["images"].append(7), "its images are no list of objects"),
        (lambda c: c.update(annotations={"a": 1}), "its annotations are no list of objects"),
        (lambda c: c["annotations"][0].update(image_id=[1]), "[1] as the image_id of annotations[0]"),
        (lambda c: c["categories"][0].update(name=None), "None as the name of categories[0]"),
        (
            lambda c: c["annotations"][0].update(segmentation=[[0, 0, float("nan"), 3, 4, 5]]),
            "label: 000000000001.jpg: ",
        ),
    ],
)
def test_annotation_files_of_another_shape_are_refused(change, message, tmp_path):
    _, _, load = coco_case(tmp_path / "d")
    path = tmp_path / "d" / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        load()
    assert message in str(caught.value)


def test_json_that_is_nested_without_end(tmp_path):
    _, _, load = coco_case(tmp_path / "d")
    (tmp_path / "d" / "annotations" / "instances_train2017.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is no JSON"):
        load()


def test_load_picture_tells_how_values_are_stored(tmp_path):
    path = tmp_path / "a"
    picture = noise(4, 4)
    for content, stored, lossy in (
        (saved(picture), "RGB", False),
        (TWO_BIT, "L;2", False),
        (FOUR_BIT, "L;4", False),
        (saved(picture, "WEBP"), "", True),
        (saved(picture, "JPEG"), "RGB", True),
        (saved(picture, "WEBP", lossless=True, exif=turned(1)), "", False),
        (saved(picture, "WEBP", exif=turned(1)), "", True),
    ):
        path.write_bytes(content)
        info = load_picture(path).info
        assert (info["stored"], info["lossy"]) == (stored, lossy)

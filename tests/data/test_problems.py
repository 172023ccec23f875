"""What a message says of files that cannot be used: the kind, what would work, and each problem once."""

import ast
import io
import os
import re
import struct
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

import segbench
from segbench.commands import predict
from segbench.commands.data_check import check_data
from segbench.commands.found_pictures import FoundPictures
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.camvid import CamVid
from segbench.data.files.class_dict import read_class_dict
from segbench.data.files.coco import Coco
from segbench.data.files.folder import Folder
from segbench.data.files.masks import MaskReader
from segbench.data.pictures import load_picture, read_rgb
from segbench.data.problems import FileError, Problems, one_line, shown_name
from segbench.data.scenes.fgbg import FgBg
from segbench.data.scenes.sources import read_backgrounds, read_depth_maps
from segbench.data.scenes.synthetic import Synthetic
from tests.support.faulty_files import COMMON, frames, ids, rgb
from tests.support.tiny_files import write_camvid, write_coco, write_folder
from tests.support.tiny_sources import write_pictures

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


def refusal(make):
    with pytest.raises((ConfigError, DataError)) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text
    return text


def folder(root, **settings):
    settings = {"classes": ["a", "b"], "size": [40, 48], "val_share": 0.3, "test_share": 0.3, **settings}
    return Folder(root=str(root), **settings, **COMMON)


def check(option, out=None, **settings):
    node = yaml.safe_load((conf_dir() / "data" / f"{option}.yaml").read_text())
    node.update({"augment": None, "batch_size": 1, **settings})
    check_data(SimpleNamespace(data=node, plugins=[]), out, console=Console(file=io.StringIO(), width=120))


# equal problems are told once


def test_a_problem_is_told_once_with_its_values_added_up_and_its_cure(tmp_path):
    problems = Problems(tmp_path)
    for number in range(20):
        values = {"7": 10, str(20 + number % 3): 1}
        error = FileError("ids {} are no classes", values=values, cure="data.ignore=[{}] makes them unlabelled")
        problems.add_error(error, tmp_path / "masks" / f"m{number}.png")
    problems.add_file("size", tmp_path / "images" / "x.png", what="the image has {}", detail="4 x 4 pixels")
    assert one_line(problems) == (
        "unreadable: ids 7 at 200 pixels, 20 at 7 pixels, 21 at 7 pixels, 22 at 6 pixels are no classes (20 files in"
        " masks: m0.png, m1.png, m2.png and 17 more); data.ignore=[7,20,21,22] makes them unlabelled;"
        " size: x.png: the image has 4 x 4 pixels"
    )


def test_files_that_differ_in_detail_are_one_problem(tmp_path):
    problems = Problems(tmp_path)
    for number in (1, 2):
        problems.add_file("size", tmp_path / str(number) / "x.png", what="the image has {}", detail=f"{number} pixels")
    assert one_line(problems) == (
        "size: the image has 1 pixels (2 files in 1 and elsewhere: x.png, x.png; the first is described)"
    )


def test_forty_masks_of_an_unknown_id_make_one_sentence_that_works(tmp_path):
    root = write_folder(tmp_path / "d", count=40)  # masks of 0 and 200
    for path in (root / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        mask = np.where(mask > 0, 200, 0).astype(np.uint8)
        mask[0, 0] = 1
        Image.fromarray(mask).save(path)
    text = refusal(folder(root).prepare)
    pixels = sum(int((np.asarray(Image.open(path)) == 200).sum()) for path in (root / "masks").iterdir())
    assert f"40 problems: label: ids 200 at {pixels:,} pixels are no classes (0 to 1)" in text
    assert "(40 files in masks: p00.png, p01.png, p02.png and 37 more)" in text
    assert len(text) < 500 + len(str(root))
    assert "data.masks=binary" in text and "data.ignore=[200]" in text
    folder(root, masks="binary").prepare()
    folder(root, ignore=[200]).prepare()


def test_masks_with_an_ending_say_which_setting_pairs_them(tmp_path):
    root = write_folder(tmp_path / "d", count=20)
    for path in sorted((root / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_label.png"))
    data = folder(root, masks="binary")
    data.prepare()
    assert data.notes == ["pictures are called * and masks *_label: they are paired by what * stands for"]
    (root / "masks" / "p00_label.png").unlink()  # not every picture has one any more
    text = refusal(folder(root, masks="binary").prepare)
    assert "39 problems: unpaired: an image without a mask of its name (20 files in images: p00.png, p01.png" in text
    assert "data.mask_suffixes=[_label] would pair them" in text
    assert "p03.png" not in text
    text = refusal(folder(root, masks="binary", mask_suffixes=["_label"]).prepare)
    assert "1 problem: unpaired: p00.png: an image without a mask of its name" in text


def test_pictures_of_a_generated_set_are_told_once(tmp_path):
    sources = write_pictures(tmp_path)["backgrounds"]
    for number in range(30):
        (sources / f"z{number:02d}.png").write_bytes(b"")
    text = refusal(lambda: read_backgrounds(str(sources)))
    assert "(30 files in bg: z00.png, z01.png, z02.png and 27 more)" in text
    assert text.count("not a PNG") == 1


def test_pictures_that_predict_cannot_use_are_told_once(tmp_path):
    files = {f"p{number:02d}": tmp_path / f"p{number:02d}.png" for number in range(20)}
    for path in files.values():
        path.write_bytes(b"")
    data = SimpleNamespace(classes=["a", "b"])
    wanted = predict.Wanted(tmp_path / "out")
    text = refusal(lambda: predict._predict_all([], FoundPictures(files), wanted=wanted, sets=[data]))
    names = ", ".join(str(files[f"p0{number}"]) for number in range(3))
    assert text.startswith("0 of 20 pictures predicted")
    assert f"not a PNG, JPEG, WEBP, TIFF, BMP or GIF picture (20 pictures: {names} and 17 more)" in text


# names


def test_a_name_that_is_not_utf8_is_refused_in_words_that_can_be_printed(tmp_path):
    root = write_folder(tmp_path / "d", count=20)
    for kind in ("images", "masks"):
        (root / kind / "p03.png").rename(root / kind / "p\udcff.png")
    text = refusal(folder(root, masks="binary").prepare)
    assert r"2 problems: unreadable: its name is not text in UTF-8 (2 files in images and elsewhere: p\xff.png" in text
    assert "rename it" in text
    text.encode()
    assert text.partition("2 problems")[2] in refusal(lambda: check("folder", root=str(root), masks="binary"))
    backgrounds = write_pictures(tmp_path)["backgrounds"]
    (backgrounds / "b0.png").rename(backgrounds / "b\udce9.png")
    assert r"b\xe9.png: its name is not text in UTF-8; rename it" in refusal(lambda: read_backgrounds(str(backgrounds)))
    assert shown_name("a\n\udcff\ud800" + "x" * 200) == (r"a\n\xff\ud800" + "x" * 200)[:100] + "..."


def test_a_coco_file_may_name_no_file_that_there_cannot_be(tmp_path):
    root = write_coco(tmp_path / "c", count=8)
    path = root / "annotations" / "instances_train2017.json"
    for name in (r"a\ud800.jpg", r"a\u0000.jpg"):
        text = path.read_text()
        path.write_text(text.replace("000000000001.jpg", name))
        data = Coco(root=str(root), classes=["none", "person"], size=[40, 48], val_share=0.3, test_share=0.3, **COMMON)
        assert re.search(r"missing: a\\(ud800|x00).jpg: ", refusal(data.prepare))
        path.write_text(text)


# lists and colours


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,0,0,0\nb,²,1,1\n", "line 2 of .* must be name,r,g,b with 0 to 255, got 'b,²,1,1'"),
        ("a,²,0,0\n", "line 1 of .* must be name,r,g,b"),
        ("a,-1,0,0\n", "line 1 of .* must be name,r,g,b"),
        ("a,0,0,0\nb," + "9" * 5000 + ",1,1\n", "line 2 of .* got 'b,9+[.][.][.]'$"),
        ("a,0,0,0\n" + "b" * 200_000 + ",1,1,1\n", "no CSV file of name,r,g,b: field larger"),
        ("a,0,0,0\n" * 200_000, "is larger than the 1,048,576 bytes"),
        ("name,r,g,b\n", "names no colour"),
    ],
)
def test_a_class_dictionary_of_anything_is_refused_in_a_line(content, message, tmp_path):
    path = tmp_path / "class_dict.csv"
    path.write_text(content)
    text = refusal(lambda: read_class_dict(path))
    assert re.search(message, text), text
    assert len(text) < 400


def test_a_class_dictionary_with_or_without_a_head_and_a_mark(tmp_path):
    path = tmp_path / "class_dict.csv"
    wanted = {(1, 2, 3): "a", (255, 0, 7): "b"}
    for head in ("", "name,r,g,b\n", "Name, R, G, B\n", "﻿name,r,g,b\n", "﻿"):
        path.write_text(f"{head}a,1,2,3\nb,255,0,7\n")
        assert read_class_dict(path) == wanted


def test_pipes_are_refused_and_never_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "data.class_dict: " in refusal(lambda: read_class_dict(pipe))
    root = write_folder(tmp_path / "d", count=8)
    os.mkfifo(root / "train.txt")
    assert "train.txt is not a regular file" in refusal(folder(root, masks="binary", split="files").prepare)
    data = Coco(root=str(tmp_path), annotations="pipe", classes=["none", "person"], size=[40, 48], **COMMON)
    assert "data.annotations: " in refusal(data.prepare)
    camvid = write_camvid(tmp_path / "c")
    (camvid / "val.txt").unlink()
    os.mkfifo(camvid / "val.txt")
    data = CamVid(root=str(camvid), classes=[f"c{k}" for k in range(11)], size=[36, 48], official=False, **COMMON)
    assert "val.txt is not a regular file" in refusal(data.prepare)
    os.mkfifo(tmp_path / "b0.npy")
    text = refusal(lambda: read_depth_maps(str(tmp_path), ["b0"], size=(4, 6), far=10.0))
    assert "b0.npy: not a regular file" in text


# kinds of pictures


def tiff(bands, bits, sample_format=1):
    """A little-endian TIFF written by hand: 4 x 4 pixels of zeros in more bands than Pillow reads."""
    pixels = bytes(16 * bands * bits // 8)
    at = 8 + len(pixels)
    lists = struct.pack(f"<{bands}H", *[bits] * bands) + struct.pack(f"<{bands}H", *[sample_format] * bands)
    entries = [
        (256, 4, 1, 4),
        (257, 4, 1, 4),
        (258, 3, bands, at),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, bands),
        (278, 4, 1, 4),
        (279, 4, 1, len(pixels)),
        (339, 3, bands, at + 2 * bands),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    start = struct.pack("<I", at + len(lists))
    return b"II*\0" + start + pixels + lists + struct.pack("<H", len(entries)) + directory + bytes(4)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tiff(5, 8), "5 bands of whole values of 8 bit"),
        (tiff(4, 32, 3), "4 bands of floating-point values of 32 bit"),
        (tiff(5, 16), "5 bands of whole values of 16 bit"),
        (tiff(6, 16, 2), "6 bands of signed values of 16 bit"),
    ],
)
def test_a_tiff_that_is_not_read_is_called_a_tiff(content, kind, tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    text = refusal(lambda: read_rgb(path))
    assert f"a TIFF of a kind that is not read, {kind}; save its red, green and blue" in text
    path.write_bytes(content[:9])
    assert "not a PNG" in refusal(lambda: read_rgb(path))


def test_pages_are_not_counted(tmp_path):
    """Counting reads every page, and takes more than twice as long for twice as many."""
    content = frames("TIFF")
    path = tmp_path / "a.tif"
    pages = 40_000
    head = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[head : head + 2])[0]
    directory = content[head : head + 2 + 12 * count]
    start = len(content)
    chain = b"".join(
        directory + struct.pack("<I", start + (number + 1) * (len(directory) + 4)) for number in range(pages)
    )
    path.write_bytes(content[:4] + struct.pack("<I", start) + content[8:] + chain[:-4] + bytes(4))
    before = time.process_time()
    assert refusal(lambda: load_picture(path)) == "an animation or several pages; export one frame"
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("picture", "what"),
    [
        (Image.new("F", (48, 40), 1.0), "a picture of floating-point values, which is no mask of ids"),
        (ids(1).convert("LA"), "a grey picture with an alpha channel, which is no mask of ids"),
    ],
)
def test_masks_are_called_what_they_are(picture, what, tmp_path):
    path = tmp_path / "m.tif"
    picture.save(path)
    (tmp_path / "colours.csv").write_text("a,0,0,0\nb,1,1,1\n")
    for mode in ("auto", "index", "palette", "rgb"):
        for colours in (None, tmp_path / "colours.csv"):
            if mode != "rgb" or colours is not None:
                reader = MaskReader(mode, ["a", "b"], class_dict=colours)
                reader.prepare()
                text = refusal(lambda reader=reader: reader.read(path))
                assert what in text and "colour" not in text and "save masks as grey PNG of 8 bit" in text
    rgb((1, 2, 1)).save(path)
    assert "a colour picture; give data.class_dict" in refusal(lambda: MaskReader("auto", ["a", "b"]).read(path))


def test_grey_with_alpha_is_read_as_its_advice_says(tmp_path):
    ids(200).convert("LA").save(tmp_path / "m.png")
    assert "data.masks=binary, which looks at its grey" in refusal(
        lambda: MaskReader("auto", ["a", "b"]).read(tmp_path / "m.png")
    )
    assert MaskReader("binary", ["a", "b"]).read(tmp_path / "m.png")[0].tolist() == [0] * 24 + [1] * 24


# settings that contradict the data, or one another


def test_settings_that_contradict_are_refused(tmp_path):
    for mode, ignore in (("index", [1]), ("auto", [3, 0]), ("palette", [1]), ("rgb", ["b"])):
        text = refusal(
            lambda mode=mode, ignore=ignore: MaskReader(mode, ["a", "b"], ignore=ignore, class_dict=tmp_path / "x.csv")
        )
        assert "which is a class of data.classes; take it out of one" in text
    MaskReader("binary", ["a", "b"], ignore=[1])  # values of pixels, which are no ids
    assert "1 to 65535, got 70000" in refusal(lambda: MaskReader("binary", ["a", "b"], threshold=70_000))
    common = {**COMMON, "size": [32, 32]}
    assert "data=synthetic" in refusal(lambda: FgBg(classes=["background", "cat", "dog"], **common))


def test_a_threshold_that_no_mask_reaches_leaves_no_foreground(tmp_path):
    root = write_folder(tmp_path / "d", count=20)
    folder(root, masks="binary", threshold=255).prepare()
    text = refusal(folder(root, masks="binary", threshold=256).prepare)
    assert "1 problem: label: no mask has a value of at least data.threshold=256" in text
    assert "data.threshold=256" in refusal(lambda: check("folder", root=str(root), masks="binary", threshold=256))


def test_cut_outs_that_no_threshold_lets_through_are_named(tmp_path):
    sources = write_pictures(tmp_path)
    for path in sorted(sources["foregrounds"].iterdir())[:2]:
        picture = Image.open(path).convert("RGBA")
        picture.putalpha(picture.getchannel("A").point(lambda alpha: min(alpha, 102)))
        picture.save(path)
    places = {name: str(place) for name, place in sources.items()}
    common = {**COMMON, "size": [32, 32]}
    data = FgBg(classes=["background", "foreground"], mask_threshold=0.9, **places, **common)
    assert "data.mask_threshold: 2 of " in (text := refusal(data.prepare)) and "at most 0.4 of 1" in text
    FgBg(classes=["background", "foreground"], mask_threshold=0.4, **places, **common).prepare()
    data = Synthetic(classes=["background", "f"], mask_threshold=0.9, foregrounds=places["foregrounds"], **common)
    assert "data.mask_threshold: 2 of " in refusal(data.prepare)


@pytest.mark.parametrize(
    ("mean", "std", "advice"),
    [
        ([1e308, 0, 0], [1, 1, 1], ""),
        ([-0.1, 0, 0], [1, 1, 1], ""),
        ([0, 0], [1, 1, 1], ""),
        ([0, 0, 0], [1e-308, 1, 1], ""),
        ([0, 0, 0], [1, 1, 1e300], ""),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], "; divide figures of 0..255 by 255"),
    ],
)
def test_colours_that_no_picture_has(mean, std, advice):
    text = refusal(lambda: Folder(classes=["a", "b"], size=[8, 8], mean=mean, std=std, batch_size=1))
    assert text.startswith(
        "data.mean must be 3 numbers from 0 to 1, one for each channel, and data.std 3 from 1e-06 to 1"
    )
    assert text.endswith(advice or f"{std}")


@pytest.mark.parametrize(
    "settings", [{"background_margin": 1e308}, {"depth": {"far": 1e308}}, {"depth": {"object_height": 1e308}}]
)
def test_numbers_beyond_all_scenes(settings):
    for make, classes in ((FgBg, ["a", "b"]), (Synthetic, ["a", "person"])):
        text = refusal(lambda make=make, classes=classes: make(classes=classes, size=[32, 32], **settings, **COMMON))
        assert next(iter(settings)) in text and "1e+308" in text


def test_few_pictures_are_split_by_settings_that_exist(tmp_path):
    root = write_folder(tmp_path / "d", count=2)
    text = refusal(folder(root, masks="binary", val_share=0.98, test_share=0.01).prepare)
    assert "the train split is empty; with few pictures, chance may leave none: change data.val_share and" in text


def _words(node, split):
    """Return the text of a string in code, with `split` where it takes the split's name in and ? for all else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, split) for part in node.values)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return split if isinstance(node, ast.FormattedValue) and ast.unparse(node.value) == "split" else "?"


def test_every_setting_of_the_data_that_a_message_names_exists():
    known = {key for file in (conf_dir() / "data").glob("*.yaml") for key in yaml.safe_load(file.read_text())}
    wrong = set()
    for path in Path(segbench.__file__).parent.rglob("*.py"):
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant | ast.JoinedStr)
        ]
        texts = [_words(node, split) for node in nodes for split in ("train", "val", "test")]
        names = {name for text in texts for name in re.findall(r"(?<![\w.])data\.([a-z_]+)(?=[ =,;:])", text)}
        wrong |= {(path.name, name) for name in names - known}
    assert not wrong


def test_a_check_writes_a_json_only_where_it_is_asked_for(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "d", count=20)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check("folder", root=str(root), masks="binary")
    assert not list((tmp_path / "here").iterdir())
    for number in range(2):
        (root / "images" / f"p{number:02d}.png").write_bytes(b"")
    assert refusal(lambda: check("folder", root=str(root), masks="binary")).endswith(
        "; out=FILE.json lists each by name"
    )
    assert not list((tmp_path / "here").iterdir())
    text = refusal(lambda: check("folder", tmp_path / "here" / "a.json", root=str(root), masks="binary"))
    assert "FILE.json" not in text
    assert (tmp_path / "here" / "a.json").read_text().count("not a PNG") == 2

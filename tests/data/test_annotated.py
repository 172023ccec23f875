"""cvat and labelstudio: what the tools' own files say is what is drawn, and what has no outline is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask

from segbench.core.choices import SPLITS
from segbench.core.errors import DataError
from segbench.data.files.annotated import AnnotatedPictures
from segbench.data.files.shapes import runs_of
from tests.data.test_layouts import preset
from tests.support.layouts import cvat

HEIGHT, WIDTH = 24, 32
COMMON = {"classes": ["ground", "cat", "dog"], "size": [24, 32], "mean": [0.5] * 3, "std": [0.25] * 3}
COMMON |= {"batch_size": 1, "val_share": 0.3, "test_share": 0.3}


def write_images(root, count=12):
    (root / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(count):
        image = draw.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(image).save(root / "images" / f"p{number:02}.png")


def masks_of(root, tool, **settings):
    file = {"cvat": "annotations.xml", "labelstudio": "annotations.json"}[tool]
    data = AnnotatedPictures(tool, file, images="images", root=str(root), **{**COMMON, **settings})
    data.prepare()
    places = [(split, index) for split in SPLITS for index in range(data.num_samples(split))]
    return {data.items[split][index].image.stem: data.original(split, index)["mask"] for split, index in places}


def write_cvat(root, shapes, count=12):
    write_images(root, count)
    images = [
        f'<image id="{n}" name="task/p{n:02}.png" width="{WIDTH}" height="{HEIGHT}">{shapes if n == 0 else ""}'
        + (f'<polygon label="cat" points="2,2;9,2;9,{9 + n % 3};2,9" />' if n else "")
        + "</image>"
        for n in range(count)
    ]
    (root / "annotations.xml").write_text(f"<annotations>{''.join(images)}</annotations>")


def result(kind, label, **value):
    return {
        "type": f"{kind}labels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, f"{kind}labels": [label]},
    }


def write_label_studio(root, first, count=12):
    write_images(root, count)
    square = result("polygon", "cat", points=[[10, 10], [30, 10], [30, 40], [10, 40]])
    tasks = [
        {
            "id": n,
            "data": {"image": f"/data/upload/3/0123abcd-p{n:02}.png"},
            "annotations": [{"was_cancelled": True, "result": []}, {"result": first if n == 0 else [square]}],
        }
        for n in range(count)
    ]
    tasks.append({"id": 99, "data": {"image": "not/annotated.png"}, "annotations": []})
    (root / "annotations.json").write_text(json.dumps(tasks))


def packed(opacity):
    """Bits as thi.ng/rle-pack writes them, by a hand of its own: single words and runs in turn."""
    values = np.repeat(opacity.ravel(), 4).tolist()
    sizes = [3, 4, 8, 16]
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    place = 0
    while place < len(values):
        rest = values[place:]
        length = next((k for k, value in enumerate(rest) if value != rest[0]), len(rest))
        if length == 1:
            bits += f"0{0:02b}{0:03b}{values[place]:08b}"
        else:
            which = next(n for n, size in enumerate(sizes) if length - 1 < 1 << size)
            bits += f"1{which:02b}{length - 1:0{sizes[which]}b}{values[place]:08b}"
        place += length
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


POLYGON = [(3.0, 4.0), (20.0, 4.0), (14.0, 20.0)]


def test_cvats_polygons_lie_in_their_order(tmp_path):
    points = ";".join(f"{x},{y}" for x, y in POLYGON)
    above = f'<polygon label="dog" points="{points}" z_order="2"/>'
    write_cvat(tmp_path, f'{above}<polygon label="cat" points="0,0;31,0;31,10;0,10" z_order="1"/>')
    mask = masks_of(tmp_path, "cvat")["p00"]
    inside = polygon2mask((HEIGHT, WIDTH), [(y, x) for x, y in POLYGON])
    assert ((mask == 2) != inside).sum() <= 40  # along its edges
    assert mask[5, 10] == 2
    assert mask[2, 25] == 1
    assert mask[22, 25] == 0


def test_cvats_masks_are_runs_along_the_rows_of_their_box(tmp_path):
    # rows of the box: ..##. / #####; the first number is of pixels outside
    write_cvat(tmp_path, '<mask label="dog" rle="2, 2, 1, 5" left="7" top="3" width="5" height="2" z_order="0"/>')
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3, 9:11] = 2
    expected[4, 7:12] = 2
    assert (masks_of(tmp_path, "cvat")["p00"] == expected).all()


def test_runs_are_those_that_are_drawn(tmp_path):
    values = np.array([[0, 1, 1], [1, 0, 0]], bool)
    assert runs_of(values) == (1, 3, 2)
    assert runs_of(~values) == (0, 1, 3, 2)


def test_cvats_ellipse_has_its_area(tmp_path):
    write_cvat(tmp_path, '<ellipse label="cat" cx="16" cy="12" rx="10" ry="5"/>')
    mask = masks_of(tmp_path, "cvat")["p00"]
    assert abs(int((mask == 1).sum()) - np.pi * 50) < 8
    assert mask[12, 7] == 1
    assert mask[4, 16] == 0


def test_subsets_of_cvat_are_splits(tmp_path):
    data = preset("cvat", tmp_path, *cvat(tmp_path))
    assert [data.num_samples(split) for split in SPLITS] == [12, 4, 4]
    assert data.original("test", 0)["mask"][10, 10] == 1


def test_label_studios_polygons_and_ellipses_are_in_percent(tmp_path):
    shares = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in POLYGON]
    round_one = result("ellipse", "cat", x=80, y=75, radiusX=12.5, radiusY=50 / 3, rotation=0)
    write_label_studio(tmp_path, [result("polygon", "dog", points=shares), round_one])
    found = masks_of(tmp_path, "labelstudio")
    inside = polygon2mask((HEIGHT, WIDTH), [(y, x) for x, y in POLYGON])
    assert ((found["p00"] == 2) != inside).sum() <= 40
    assert abs(int((found["p00"] == 1).sum()) - np.pi * 16) < 6
    assert len(found) == 12  # what nobody has annotated is left out


def test_label_studios_brush_is_unpacked(tmp_path):
    opacity = np.zeros((HEIGHT, WIDTH), np.uint8)
    opacity[5:9, 4:20] = 255
    opacity[6, 7] = 0
    opacity[20, 31] = 128
    write_label_studio(tmp_path, [result("brush", "dog", format="rle", rle=packed(opacity))])
    assert ((masks_of(tmp_path, "labelstudio")["p00"] == 2) == (opacity > 0)).all()


BOXES = {
    "cvat": '<box label="dog" xtl="2.5" ytl="3" xbr="8" ybr="9"/>',
    "labelstudio": [result("rectangle", "dog", x=25, y=25, width=25, height=25, rotation=0)],
}


@pytest.mark.parametrize(("tool", "box"), [("cvat", np.s_[3:9, 2:8]), ("labelstudio", np.s_[6:12, 8:16])])
def test_boxes_are_refused_or_ignored(tool, box, tmp_path):
    (write_cvat if tool == "cvat" else write_label_studio)(tmp_path, BOXES[tool])
    with pytest.raises(DataError, match="has no outline; data.boxes=skip ignores what lies in its box"):
        masks_of(tmp_path, tool)
    mask = masks_of(tmp_path, tool, boxes="skip")["p00"]
    assert (mask[box] == 255).all()
    assert (mask == 255).sum() == mask[box].size


def test_labels_are_mapped_and_unknown_ones_named(tmp_path):
    write_cvat(tmp_path, '<polygon label="puma" points="2,2;9,2;9,9"/>')
    with pytest.raises(DataError, match="labels puma are neither in data.classes nor in data.labels"):
        masks_of(tmp_path, "cvat")
    mask = masks_of(tmp_path, "cvat", labels={"puma": "cat", "cat": "ignore"})["p00"]
    assert mask[3, 7] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations><image", "is no XML"),
        ("<annotations></annotations>", "no picture is annotated in annotations.xml"),
        ("<annotations><track id='0'/></annotations>", "CVAT's format for videos"),
        ("<annotations><image name='a.png' width='x' height='3'/></annotations>", "the image 'a.png' has no good"),
        ('<!DOCTYPE a [<!ENTITY b "x">]><annotations>&c;</annotations>', "is no XML"),
    ],
)
def test_xml_that_is_none_of_cvats(content, message, tmp_path):
    write_images(tmp_path)
    (tmp_path / "annotations.xml").write_text(content)
    with pytest.raises(DataError, match=message):
        masks_of(tmp_path, "cvat")


@pytest.mark.parametrize(
    ("rle", "message"),
    [("2, 2, 1, 4", "runs do not fill its box"), ("2, 2, 1, -5", "runs do not fill"), ("2, a", "has no good")],
)
def test_masks_of_cvat_that_do_not_fit(rle, message, tmp_path):
    write_cvat(tmp_path, f'<mask label="dog" rle="{rle}" left="7" top="3" width="5" height="2"/>')
    with pytest.raises(DataError, match=message):
        masks_of(tmp_path, "cvat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ('[{"image": "a.png", "label": []}]', "export JSON from Label Studio, not JSON-MIN"),
        ("[]", "no picture is annotated"),
    ],
)
def test_json_that_is_none_of_label_studios(content, message, tmp_path):
    write_images(tmp_path)
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(DataError, match=message):
        masks_of(tmp_path, "labelstudio")


@pytest.mark.parametrize("change", ["short", "other size", "turned"])
def test_tasks_that_do_not_fit(change, tmp_path):
    found = result("brush", "dog", format="rle", rle=packed(np.zeros((HEIGHT, WIDTH), np.uint8)))
    if change == "short":
        found["value"]["rle"] = found["value"]["rle"][:8]
    elif change == "other size":
        found["value"]["rle"] = packed(np.zeros((3, 3), np.uint8))
    else:
        found["image_rotation"] = 90
    write_label_studio(tmp_path, [found])
    with pytest.raises(DataError, match="the task 0 has no good"):
        masks_of(tmp_path, "labelstudio")


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="cat" points="nan,2;9,2;9,9"/>',
        '<ellipse label="cat" cx="nan" cy="12" rx="10" ry="5"/>',
        '<box label="cat" xtl="2" ytl="3" xbr="inf" ybr="9"/>',
    ],
)
def test_numbers_that_are_not_finite_are_refused(shape, tmp_path):
    """Drawing a polygon of them takes all memory."""
    write_cvat(tmp_path, shape)
    with pytest.raises(DataError, match=r"the image 'task/p00.png' has no good .*: a number in it is not finite"):
        masks_of(tmp_path, "cvat", boxes="skip")


def test_numbers_of_label_studio_that_are_not_finite_are_refused(tmp_path):
    write_label_studio(tmp_path, [result("polygon", "cat", points=[[float("nan"), 10], [30, 10], [30, 40]])])
    with pytest.raises(DataError, match="the task 0 has no good polygon: a number in it is not finite"):
        masks_of(tmp_path, "labelstudio")


@pytest.mark.parametrize("width", ["-5", "0", "99999999999"])
def test_a_size_that_is_not_the_pictures_is_told_before_a_mask_is_made(width, tmp_path):
    write_cvat(tmp_path, '<polygon label="cat" points="2,2;9,2;9,9"/>')
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace(f'width="{WIDTH}"', f'width="{width}"', 1))
    with pytest.raises(DataError, match=f"the image has 24 x 32 pixels .*, the mask 24 x {width}"):
        masks_of(tmp_path, "cvat")


CUBOID = 'xtl1="2" ytl1="3" xbl1="2" ybl1="9" xtr1="9" ytr1="2.5" xbr2="11.5" ybr2="10"'
SKELETON = '<points label="a" points="3,4"/><points label="b" points="9,8"/>'
WITHOUT_OUTLINE = [
    (f'<cuboid label="cat" {CUBOID}/>', np.s_[2:10, 2:12]),
    (f'<skeleton label="cat">{SKELETON}</skeleton>', np.s_[4:8, 3:9]),
    ('<box label="dog" xtl="2" ytl="10" xbr="20" ybr="12" rotation="90"/>', np.s_[2:20, 10:12]),
    ('<polyline label="cat" points="2,5;9,5"/>', np.s_[5:6, 2:9]),
    ('<points label="cat" points="4,7"/>', np.s_[7:8, 4:5]),
]


@pytest.mark.parametrize(("shape", "box"), WITHOUT_OUTLINE)
def test_what_has_no_outline_is_ignored_where_it_lies(shape, box, tmp_path):
    write_cvat(tmp_path, shape)
    mask = masks_of(tmp_path, "cvat", boxes="skip")["p00"]
    assert (mask[box] == 255).all()
    assert (mask == 255).sum() == mask[box].size


def test_two_pictures_of_a_file_are_not_one_here(tmp_path):
    write_cvat(tmp_path, "")
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace("task/p05.png", "other/p04.png"))
    with pytest.raises(DataError, match=r"p04.png: the file has another picture of that name in another folder"):
        masks_of(tmp_path, "cvat")


SQUARE = result("polygon", "cat", points=[[10, 10], [30, 10], [30, 40], [10, 40]])


@pytest.mark.parametrize("data", [{"id": "case-7"}, {"site": "north.2", "meta": {"a": 1}}])
def test_the_text_that_names_a_picture_is_found_among_others(data, tmp_path):
    write_label_studio(tmp_path, [SQUARE])
    file = tmp_path / "annotations.json"
    tasks = json.loads(file.read_text())
    file.write_text(json.dumps([{**task, "data": {**data, **task["data"]}} for task in tasks]))
    assert len(masks_of(tmp_path, "labelstudio")) == 12


@pytest.mark.parametrize("kind", ["polygon", "labels", "bitmasklabels", "brush"])
def test_parts_whose_labels_are_not_read_are_told_instead_of_left_out(kind, tmp_path):
    write_label_studio(tmp_path, [SQUARE, {**SQUARE, "type": kind}])
    with pytest.raises(DataError, match=f"the task 0 has no good labels: it has parts of the kind {kind}; label with"):
        masks_of(tmp_path, "labelstudio")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {}}, "the task 0 has no good data: no text in it names a picture"),
        ({"data": {"image": 5}}, "the task 0 has no good data: no text in it names a picture"),
        ({"annotations": ["x"]}, "the task 0 has no good"),
        ({"annotations": [{"result": [{**SQUARE, "original_width": -3}]}]}, "the mask 24 x -3"),
        (
            {"annotations": [{"result": [{**SQUARE, "value": {**SQUARE["value"], "polygonlabels": [7]}}]}]},
            "labels 7 are neither in data.classes nor in data.labels",
        ),
        ({"data": {"image": "/x/\ud83d.png"}}, "its name is not text in UTF-8"),
        ({"data": {"image": f"/x/{'a' * 9000}.png"}}, "File name too long"),
    ],
)
def test_tasks_that_are_odd_are_told(change, message, tmp_path):
    write_label_studio(tmp_path, [SQUARE])
    file = tmp_path / "annotations.json"
    first, *others = json.loads(file.read_text())
    file.write_text(json.dumps([{**first, **change}, *others]))
    with pytest.raises(DataError, match=message):
        masks_of(tmp_path, "labelstudio")

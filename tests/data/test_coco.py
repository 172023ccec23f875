"""coco: masks against pycocotools' own, crowds, overlaps, areas, categories by name, subsets, panoptic files."""

import contextlib
import io
import json

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO

from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.coco import Coco
from segbench.data.files.coco_masks import decode, draw, draw_panoptic
from tests.support.tiny_files import write_coco

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
SPLITS = ("train", "val", "test")
FILE = "annotations/instances_train2017.json"


def coco(root, prepare=True, **settings):
    node = yaml.safe_load((conf_dir() / "data" / "coco.yaml").read_text())
    node.update({"augment": None, "root": str(root), "batch_size": 1, "size": [40, 48], **settings})
    del node["_target_"]
    data = Coco(**node)
    if prepare:
        data.prepare()
    return data


def edit(root, change):
    content = json.loads((root / FILE).read_text())
    change(content)
    (root / FILE).write_text(json.dumps(content))


def samples(data):
    """Picture number -> mask."""
    found = {}
    for split in SPLITS:
        for index in range(data.num_samples(split)):
            found[int(data.describe_sample(split, index).split(".")[0])] = data.sample(split, epoch=0, index=index)[
                "mask"
            ]
    return found


def box(top, left, bottom, right, category=1, **more):
    polygon = [left, top, right, top, right, bottom, left, bottom]
    area = (bottom - top) * (right - left)
    return {"id": 1, "category_id": category, "iscrowd": 0, "segmentation": [polygon], "area": area, **more}


# drawing


def test_masks_equal_pycocotools_own(tmp_path):
    root = write_coco(tmp_path / "c", count=12)
    draw_numbers = np.random.default_rng(1)

    def ragged(content):
        for annotation in content["annotations"]:
            points = draw_numbers.uniform(0, 40, (2, 12)).round(2).tolist()
            annotation["segmentation"] = points  # two polygons of one object
        for annotation in content["annotations"][::3]:
            pixels = np.asfortranarray(draw_numbers.random((40, 48)) < 0.3, dtype=np.uint8)
            annotation["segmentation"] = {**rle_tools.encode(pixels)}
            annotation["segmentation"]["counts"] = annotation["segmentation"]["counts"].decode()

    edit(root, ragged)
    with contextlib.redirect_stdout(io.StringIO()):
        oracle = COCO(str(root / FILE))
    settings = {"classes": ["background", "person", "dog"], "mode": "multi", "val_share": 0.3, "test_share": 0.3}
    found = samples(coco(root, **settings))
    assert len(found) == 12
    for number, mask in found.items():
        truth, times = np.zeros((40, 48), np.uint8), np.zeros((40, 48), int)
        for annotation in oracle.loadAnns(oracle.getAnnIds(imgIds=[number])):
            inside = oracle.annToMask(annotation).astype(bool)
            truth[inside] = {1: 1, 18: 2}[annotation["category_id"]]
            times += inside
        truth[times > 1] = 255
        assert (mask == truth).all()


def test_run_lengths_go_down_the_columns():
    crowd = {"id": 1, "segmentation": {"size": [3, 4], "counts": [1, 2, 3, 1, 5]}}
    by_hand = [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert decode(crowd, height=3, width=4).astype(int).tolist() == by_hand


def test_overlaps_crowds_and_small_objects_are_255():
    objects = [box(0, 0, 4, 4), box(2, 2, 6, 6, 18, id=2)]
    classes = {1: 1, 18: 2}
    mask = draw(objects, classes, size=(8, 8), min_area=0, overlap="ignore")
    truth = np.zeros((8, 8), int)
    truth[:4, :4], truth[2:6, 2:6], truth[2:4, 2:4] = 1, 2, 255
    assert mask.tolist() == truth.tolist()
    same = {1: 1, 18: 1}
    assert (
        draw(objects, same, size=(8, 8), min_area=0, overlap="ignore").tolist()
        == np.where(truth == 2, 1, truth).tolist()
    )
    assert draw(objects, same, size=(8, 8), min_area=0, overlap="class").tolist() == (truth > 0).astype(int).tolist()
    assert draw(objects, classes, size=(8, 8), min_area=0, overlap="class").tolist() == truth.tolist()
    crowd = {
        "id": 3,
        "category_id": 1,
        "iscrowd": 1,
        "area": 99,
        "segmentation": {"size": [8, 8], "counts": [0, 8, 56]},
    }
    with_crowd = truth.copy()
    with_crowd[:, 0] = 255
    for order in ([*objects, crowd], [crowd, *objects]):
        assert draw(order, classes, size=(8, 8), min_area=0, overlap="ignore").tolist() == with_crowd.tolist()
    small = draw([box(0, 0, 4, 4), box(5, 5, 7, 7, id=2)], classes, size=(8, 8), min_area=5, overlap="ignore")
    assert (small[:4, :4] == 1).all()
    assert (small[5:7, 5:7] == 255).all()
    assert (small == 0).sum() == 64 - 16 - 4


def test_outlines_that_mean_nothing_are_named(tmp_path):
    for segmentation, message in (
        ([], "has no polygon"),
        ([[1, 2, 3, 4]], "has no polygon of at least three points"),  # pycocotools would take it for a box
        ({"size": [4, 4], "counts": [16]}, "no outline of the picture's 8 x 8 pixels"),
        ({"size": [8, 8], "counts": [60, 9]}, "run lengths of 69 pixels, not 64"),
        (None, "no outline"),
    ):
        with pytest.raises(DataError, match=f"annotation 7 {message}|annotation 7 has {message}"):
            decode({"id": 7, "segmentation": segmentation}, height=8, width=8)
    root = write_coco(tmp_path / "c", count=20)
    edit(root, lambda content: [content["annotations"][k].update(segmentation=[]) for k in (0, 1)])
    with pytest.raises(DataError, match="label: 000000000001.jpg: annotation 1 has no polygon"):
        coco(root)


# categories


def test_ids_are_mapped_by_the_file(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    found = samples(coco(root, classes=["background", "dog", "person"], mode="multi", overlap="class"))
    straight = samples(coco(root, classes=["background", "person", "dog"], mode="multi", overlap="class"))
    assert set(np.unique(np.stack(list(straight.values())))) == {0, 1, 2, 255}
    swap = np.arange(256)
    swap[[1, 2]] = 2, 1
    assert all((swap[found[number]] == straight[number]).all() for number in straight)
    both = samples(coco(root, classes=["background", "animate"], categories=["person", "dog"], overlap="class"))
    for number, mask in both.items():
        assert ((mask == 1) == (straight[number] > 0)).all()  # a pixel of either class is foreground, for certain


def test_classes_must_agree_with_the_categories(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    with pytest.raises(ConfigError, match=r"data.categories=\[dog\] but data.classes calls it 'person'"):
        coco(root, categories=["dog"])
    with pytest.raises(ConfigError, match=r"give data.classes=\[background,person,dog\]"):
        coco(root, categories=["person", "dog"], mode="multi")
    with pytest.raises(ConfigError, match="calls the foreground 'person', a category that data.categories does not"):
        coco(root, categories=["dog", "toothbrush"])
    with pytest.raises(ConfigError, match="data.mode=binary has two classes.*data.mode=multi"):
        coco(root, classes=["background", "person", "dog"])
    with pytest.raises(ConfigError, match="there is no category 'persn'; did you mean 'person'"):
        coco(root, classes=["background", "persn"])


def test_pictures_without_a_chosen_object(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    settings = {"classes": ["background", "dog"], "val_share": 0.3, "test_share": 0.3}
    assert set(samples(coco(root, **settings))) == set(range(2, 21, 2))
    everything = samples(coco(root, keep_empty=True, **settings))
    assert set(everything) == set(range(1, 21))
    assert not everything[1].any()

    def crowd(content):
        for annotation in content["annotations"]:
            annotation["iscrowd"] = int(annotation["image_id"] == 2)

    edit(root, crowd)
    assert set(samples(coco(root, **settings))) == set(range(4, 21, 2))
    with pytest.raises(DataError, match="the train split is empty; no picture has one of toothbrush"):
        coco(root, classes=["background", "toothbrush"])


# splits and offenders


def test_a_picture_stays_in_its_split_and_subsets_are_deterministic(tmp_path):
    root = write_coco(tmp_path / "c", count=40)
    whole = coco(root)

    def names(data, split):
        return {data.describe_sample(split, k) for k in range(data.num_samples(split))}

    few = coco(root, train_size=4)
    assert few.num_samples("train") == 4
    assert names(few, "train") < names(whole, "train")
    assert names(few, "train") == names(coco(root, train_size=4), "train")

    def drop(content):
        content["images"] = [entry for entry in content["images"] if entry["id"] > 10]
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] > 10]

    edit(root, drop)
    later = coco(root)
    assert all(names(later, split) <= names(whole, split) for split in SPLITS)
    assert later.fingerprint("train") != whole.fingerprint("train")


def test_files_of_their_own_for_val_and_test(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    content = json.loads((root / FILE).read_text())
    for name, numbers in (("val", (1, 2, 3)), ("test", (4, 5))):
        part = {
            "images": [entry for entry in content["images"] if entry["id"] in numbers],
            "annotations": [a for a in content["annotations"] if a["image_id"] in numbers],
            "categories": [{"id": 7, "name": "person"}] if name == "val" else content["categories"],
        }
        if name == "val":  # another file may number its categories otherwise
            part["annotations"] = [{**a, "category_id": 7} for a in part["annotations"] if a["category_id"] == 1]
        (root / f"{name}.json").write_text(json.dumps(part))
    data = coco(root, val_annotations="val.json", test_annotations="test.json")
    assert [data.num_samples(split) for split in SPLITS] == [20, 3, 2]
    assert all(
        (data.sample("val", epoch=0, index=k)["mask"] == data.sample("train", epoch=0, index=k)["mask"]).all()
        for k in (0, 2)
    )
    with pytest.raises(DataError, match="there is no test split"):
        coco(root, val_annotations="val.json")
    with pytest.raises(ConfigError, match="data.test_annotations needs data.val_annotations"):
        coco(root, test_annotations="test.json")


def test_all_offenders_are_listed_together(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    (root / "train2017" / "000000000001.jpg").unlink()
    (root / "train2017" / "000000000002.jpg").write_bytes(b"\xff\xd8 cut off")
    Image.new("RGB", (9, 9)).save(root / "train2017" / "000000000003.jpg")
    edit(root, lambda content: content["annotations"].append({**content["annotations"][0], "id": 99, "image_id": 77}))
    with pytest.raises(DataError) as caught:
        coco(root)
    text = str(caught.value)
    assert "4 problems" in text
    for part in (
        "annotation 99: it belongs to no picture (77)",
        "missing: 000000000001.jpg",
        "unreadable: 000000000002.jpg",
        "size: 000000000003.jpg: the image has 9 x 9 pixels (height x width), the mask 40 x 48",
    ):
        assert part in text


def test_files_that_are_no_annotations(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    with pytest.raises(DataError, match="data.annotations: .*nowhere.json is missing"):
        coco(root, annotations="nowhere.json")
    (root / "a.json").write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        coco(root, annotations="a.json")
    for text in ("{}", "[1, 2]", "3"):
        (root / "a.json").write_text(text)
        with pytest.raises(DataError, match="is no COCO instances or panoptic file; it has no images, annotations"):
            coco(root, annotations="a.json")
    edit(root, lambda content: content["images"][3].pop("height"))
    with pytest.raises(DataError, match=r"the annotation file has no height in images\[3\]"):
        coco(root)


# panoptic


def test_panoptic_segments(tmp_path):
    numbers = np.array([[0, 0, 70000], [300, 300, 70000], [5, 5, 6]])
    colours = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "p.png")
    segments = [
        {"id": 70000, "category_id": 1, "area": 2, "iscrowd": 0},
        {"id": 300, "category_id": 18, "area": 2, "iscrowd": 0},
        {"id": 5, "category_id": 1, "area": 2, "iscrowd": 1},
        {"id": 6, "category_id": 90, "area": 1, "iscrowd": 0},
    ]
    mask = draw_panoptic(tmp_path / "p.png", segments, class_of={1: 1, 18: 2}, size=(3, 3), min_area=0)
    assert mask.tolist() == [[255, 255, 1], [2, 2, 1], [255, 255, 0]]
    with pytest.raises(DataError, match=r"p.png has segments that the JSON does not list: \[300\]"):
        draw_panoptic(
            tmp_path / "p.png", [s for s in segments if s["id"] != 300], class_of={1: 1}, size=(3, 3), min_area=0
        )


def test_a_panoptic_file_gives_the_instances_masks(tmp_path):
    root = write_coco(tmp_path / "c", count=20)
    instances = samples(coco(root, overlap="class"))
    (root / "pngs").mkdir()

    def to_panoptic(content):
        annotations = []
        for entry in content["images"]:
            name = f"{entry['id']:012d}"
            mask = instances[entry["id"]]
            Image.fromarray(np.stack([mask, mask * 0, mask * 0], axis=-1)).save(root / "pngs" / f"{name}.png")
            info = [{"id": 1, "category_id": 1, "area": int(mask.sum()), "iscrowd": 0}]
            annotations.append({"image_id": entry["id"], "file_name": f"{name}.png", "segments_info": info})
        content["annotations"] = annotations

    edit(root, to_panoptic)
    with pytest.raises(DataError, match="is a panoptic file; give data.panoptic=DIR"):
        coco(root)
    found = samples(coco(root, panoptic="pngs"))
    assert all((found[number] == np.where(mask == 1, 1, 255)).all() for number, mask in instances.items())


# exports of annotation tools


def write_export(root, kind):
    """twelve pictures of a cell each, as some tool writes them; returns the masks that a hand would draw."""
    masks, images, annotations = {}, [], []
    for number in range(12):
        mask = np.zeros((20, 24), np.uint8)
        mask[4 : 10 + number % 3, 5:15] = 1
        name = f"img{number}_jpg.rf.a{number}.jpg"
        path = root / "train" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask * 200).save(path)
        bottom = 10 + number % 3
        outline = [[5, 4, 15, 4, 15, bottom, 5, bottom]]
        crowd = kind == "crowd" or (kind == "mixed" and number % 2)
        if crowd:
            outline = {"counts": run_lengths(mask), "size": [20, 24]}
        if kind == "box" and number % 3 == 0:
            outline = []
        images.append({"id": number, "width": 24, "height": 20, "file_name": f"images{chr(92)}{name}"})
        if kind == "empty" and number % 2:
            continue
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "segmentation": outline,
                "area": float(mask.sum()),
                "bbox": [5, 4, 10, bottom - 4],
                "iscrowd": int(crowd),
            }
        )
        masks[name] = mask
    categories = [{"id": 0, "name": "cell"}, {"id": 1, "name": "cell"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "train" / "a.json").write_text(json.dumps(content))
    return masks


def run_lengths(mask):
    flat = np.concatenate([[0], mask.ravel("F"), [0]])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff([0, *edges, mask.size]).tolist()


def export(root, **settings):
    return Coco(
        root=str(root),
        annotations="train/a.json",
        images="train",
        classes=["background", "cell"],
        **{"val_share": 0.3, "test_share": 0.3, "size": [20, 24], **settings},
        mean=[0, 0, 0],
        std=[1, 1, 1],
        batch_size=1,
    )


def drawn(data):
    data.prepare()
    places = [(split, k) for split in ("train", "val", "test") for k in range(data.num_samples(split))]
    return {data.items[split][k].image.name: data.original(split, k)["mask"] for split, k in places}


def test_paths_of_windows_and_a_category_under_two_ids_are_read(tmp_path):
    masks = write_export(tmp_path, "plain")
    data = export(tmp_path)
    found = drawn(data)
    assert all((found[name] == mask).all() for name, mask in masks.items())
    of_file = [note for note in data.notes if note.startswith("a.json")]
    assert of_file == ["a.json: the category cell has several ids, which are taken for one"]


def test_masks_of_a_brush_are_crowds_and_that_is_said(tmp_path):
    masks = write_export(tmp_path, "crowd")
    with pytest.raises(DataError, match="all 12 objects of cell in a.json are crowds .*; give data.crowd=object"):
        export(tmp_path).prepare()
    found = drawn(export(tmp_path, crowd="object"))
    assert all((found[name] == mask).all() for name, mask in masks.items())


def test_some_crowds_are_ignored_and_counted(tmp_path):
    masks = write_export(tmp_path, "mixed")
    data = export(tmp_path, keep_empty=True)
    found = drawn(data)
    assert "a.json: 6 of 12 objects are crowds and ignored; data.crowd=object takes them" in data.notes
    for name, mask in masks.items():
        number = int(name[3 : name.index("_")])
        assert (found[name] == np.where(mask, 255 if number % 2 else 1, 0)).all()


@pytest.mark.parametrize("nothing", ["[]", "null", "[[]]", "{}", "left out"])
def test_objects_without_an_outline_are_refused_or_their_boxes_ignored(nothing, tmp_path):
    masks = write_export(tmp_path, "box")
    file = tmp_path / "train" / "a.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        if not annotation["segmentation"] and nothing == "left out":
            del annotation["segmentation"]
        elif not annotation["segmentation"]:
            annotation["segmentation"] = json.loads(nothing)
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="data.boxes=skip ignores the boxes of objects without an outline"):
        export(tmp_path).prepare()
    data = export(tmp_path, boxes="skip", keep_empty=True)
    found = drawn(data)
    assert "a.json: 4 of 12 objects have no outline and their boxes are ignored" in data.notes
    for name, mask in masks.items():
        number = int(name[3 : name.index("_")])
        assert (found[name] == np.where(mask, 1 if number % 3 else 255, 0)).all()


def test_pictures_without_objects_are_counted(tmp_path):
    write_export(tmp_path, "empty")
    data = export(tmp_path, val_share=0.4)
    data.prepare()
    said = "a.json: 6 of 12 pictures have no object of cell and are left out; data.keep_empty=true keeps them"
    assert said in data.notes
    assert sum(data.num_samples(split) for split in ("train", "val", "test")) == 6


def test_groups_and_folds_of_coco(tmp_path):
    write_export(tmp_path, "plain")
    tests = []
    for fold in range(3):
        data = export(tmp_path, folds=3, fold=fold, group="img{group}_*")
        data.prepare()
        assert [data.num_samples(split) for split in ("train", "val", "test")] == [4, 4, 4]
        tests += [data.units("test", k)["group"] for k in range(4)]
    assert sorted(tests, key=int) == [str(number) for number in range(12)]

"""Public data sets as they lie on disk, written small: for each preset its files and the words that it needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.tiny_files import scene

SIZE = (40, 48)


def save(array: np.ndarray, path: Path, palette: list[int] | None = None) -> None:
    """Write a picture, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if palette is not None:
        picture = Image.fromarray(array, "P")
        picture.putpalette(palette + [0] * (768 - len(palette)))
    picture.save(path)


def pair(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask of 0 and 1."""
    return scene(number, *SIZE, classes=2)


def voc(root: Path) -> list[str]:
    """JPEGImages, SegmentationClass with a border of 255, lists, and a picture without a mask."""
    names = [f"2007_{number:06}" for number in range(24)]
    for number, name in enumerate(names):
        image, mask = pair(number)
        save(image, root / f"JPEGImages/{name}.jpg")
        save(
            np.where(mask != np.roll(mask, 1, 0), 255, 15 * mask).astype(np.uint8),
            root / f"SegmentationClass/{name}.png",
            [0, 0, 0, 128, 0, 0],
        )
    save(image, root / "JPEGImages/2008_000000.jpg")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for split, part in (("train", names[:16]), ("val", names[16:])):
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(part))
    return ["data.val_share=0.5"]


def cityscapes(root: Path) -> list[str]:
    """leftImg8bit and gtFine with four files a picture; the labels of test are void."""
    cities = {"train": [f"city{letter}" for letter in "abcdefgh"], "val": ["frankfurt"], "test": ["berlin"]}
    for split, names in cities.items():
        for city in names:
            for number in range(3):
                image, mask = pair(number)
                stem = f"{split}/{city}/{city}_{number:06}_000019"
                ids = np.where(mask, 26, 7).astype(np.uint8) * (split != "test")
                save(image, root / f"leftImg8bit/{stem}_leftImg8bit.png")
                save(ids, root / f"gtFine/{stem}_gtFine_labelIds.png")
                save(np.repeat(ids[..., None], 3, 2), root / f"gtFine/{stem}_gtFine_color.png")
                save(ids.astype(np.uint16) * 1000, root / f"gtFine/{stem}_gtFine_instanceIds.png")
    return ["data.size=[32,32]"]


def ade20k(root: Path) -> list[str]:
    """images and annotations of training and validation; 0 is unlabelled."""
    for split, count in (("training", 24), ("validation", 4)):
        for number in range(count):
            image, mask = pair(number)
            save(image, root / f"images/{split}/ADE_{split}_{number:08}.jpg")
            ids = np.where(mask, 150, number % 2).astype(np.uint8)
            save(ids, root / f"annotations/{split}/ADE_{split}_{number:08}.png")
    return ["data.val_share=0.5"]


def pets(root: Path) -> list[str]:
    """images and trimaps of 1, 2 and 3; lists with ids behind the names."""
    names = [f"Abyssinian_{number}" for number in range(24)]
    for number, name in enumerate(names):
        image, mask = pair(number)
        save(image, root / f"images/{name}.jpg")
        trimap = np.where(mask != np.roll(mask, 1, 0), 3, 2 - mask).astype(np.uint8)
        save(trimap, root / f"annotations/trimaps/{name}.png")
        (root / f"annotations/trimaps/._{name}.png").write_bytes(b"resource fork")
    for split, part in (("trainval", names[:16]), ("test", names[16:])):
        lines = "".join(f"{name} 1 1 1\n" for name in part)
        (root / f"annotations/{split}.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n" + lines)
    return []


def carvana(root: Path) -> list[str]:
    """train and train_masks: several views of each car, masks as GIF."""
    for number in range(40):
        image, mask = pair(number)
        name = f"{number // 2:012x}_{number % 2 + 1:02}"
        save(image, root / f"train/{name}.jpg")
        save(mask, root / f"train_masks/{name}_mask.gif", [0, 0, 0, 255, 255, 255])
    return []


def roboflow(root: Path) -> list[str]:
    """train, valid and test with masks beside the pictures; three augmented copies of each training source."""
    for split, count in (("train", 12), ("valid", 3), ("test", 3)):
        for number in range(count):
            image, mask = pair(number // 3 if split == "train" else number)
            name = f"{split}{number // 3 if split == 'train' else number}_png.rf.ab{number:04x}"
            save(image, root / f"{split}/{name}.jpg")
            save(mask, root / f"{split}/{name}_mask.png")
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cell\n")
    return ["data.classes=[background,cell]"]


def potsdam(root: Path) -> list[str]:
    """Tiles of RGB and of colours."""
    for number in range(24):
        image, mask = pair(number)
        colours = np.array([(255, 255, 255), (255, 255, 0)], np.uint8)[mask]
        colours[0, :5] = [(0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255)]
        save(image, root / f"2_Ortho_RGB/top_potsdam_{number // 6 + 2}_{number % 6 + 10}_RGB.tif")
        save(colours, root / f"5_Labels_all/top_potsdam_{number // 6 + 2}_{number % 6 + 10}_label.tif")
    return []


def labelme(root: Path) -> list[str]:
    """Pictures with JSON beside them."""
    for number in range(24):
        image, _ = pair(number)
        save(image, root / f"p{number:02}.png")
        shape = {"label": "cat", "shape_type": "rectangle", "points": [[4, 4], [20, 18]]}
        content = {"imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": [shape]}
        (root / f"p{number:02}.json").write_text(json.dumps(content))
    return ["data.classes=[background,cat]"]


def yolo(root: Path) -> list[str]:
    """images/train, labels/train and so on."""
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            image, _ = pair(number)
            save(image, root / f"images/{split}/{split}{number:02}.png")
            (root / f"labels/{split}/{split}{number:02}.txt").write_text("0 0.1 0.1 0.6 0.1 0.6 0.5\n")
    return ["data.classes=[background,cat]"]


def cvat(root: Path) -> list[str]:
    """annotations.xml beside a folder of pictures; subsets are splits."""
    found = []
    for number in range(20):
        image, _ = pair(number)
        subset = "Train" if number < 12 else "Validation" if number < 16 else "Test"
        save(image, root / f"images/p{number:02}.png")
        outline = '<polygon label="cat" points="4,4;20,4;20,18;4,18" z_order="0"/>'
        size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
        found.append(f'<image id="{number}" name="p{number:02}.png" subset="{subset}" {size}>{outline}</image>')
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(found)}</annotations>")
    return ["data.classes=[background,cat]"]


def labelstudio(root: Path) -> list[str]:
    """annotations.json beside a folder of pictures; corners are in percent."""
    tasks = []
    for number in range(20):
        image, _ = pair(number)
        save(image, root / f"images/p{number:02}.png")
        outline = {
            "type": "polygonlabels",
            "original_width": SIZE[1],
            "original_height": SIZE[0],
            "value": {"polygonlabels": ["cat"], "points": [[10, 10], [50, 10], [50, 50], [10, 50]]},
        }
        annotation = {"was_cancelled": False, "result": [outline]}
        tasks.append({"id": number, "data": {"image": f"p{number:02}.png"}, "annotations": [annotation]})
    (root / "annotations.json").write_text(json.dumps(tasks))
    return ["data.classes=[background,cat]"]


def coco_roboflow(root: Path) -> list[str]:
    """train, valid and test with pictures and their JSON."""
    for split, count in (("train", 12), ("valid", 4), ("test", 4)):
        images, annotations = [], []
        for number in range(count):
            image, _ = pair(number)
            name = f"{split}{number}_jpg.rf.{number:04x}.jpg"
            save(image, root / split / name)
            images.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
            outline = [[4, 4, 20, 4, 20, 18, 4, 18]]
            annotations.append({"id": number, "image_id": number, "category_id": 1, "segmentation": outline})
        categories = [{"id": 0, "name": "cells"}, {"id": 1, "name": "cell"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / split / "_annotations.coco.json").write_text(json.dumps(content))
    return ["data.classes=[background,cell]"]


LAYOUTS = {
    "voc": voc,
    "cityscapes": cityscapes,
    "ade20k": ade20k,
    "pets": pets,
    "carvana": carvana,
    "roboflow": roboflow,
    "potsdam": potsdam,
    "labelme": labelme,
    "yolo": yolo,
    "cvat": cvat,
    "labelstudio": labelstudio,
    "coco_roboflow": coco_roboflow,
}

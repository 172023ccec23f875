"""Tiny pictures of four bands of 12 bit in 16-bit files, of which the last alone shows the object."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image


def write_bands(root: Path, count: int = 40, size: tuple[int, int] = (24, 28)) -> Path:
    """root/images/*.tif uint16 `[H,W,4]` and root/masks/*.png, ids 0 and 1; split by shares."""
    draw = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(count):
        mask = np.zeros(size, np.uint8)
        top, left = draw.integers(0, 12, 2)
        mask[top : top + 10, left : left + 10] = 1
        image = draw.integers(530, 560, (*size, 4)).astype(np.uint16)
        image[..., 3] += 120 * mask.astype(np.uint16)
        tifffile.imwrite(root / "images" / f"p{number:02d}.tif", image, photometric="minisblack", planarconfig="contig")
        Image.fromarray(mask).save(root / "masks" / f"p{number:02d}.png")
    return root


def words(root: Path) -> list[str]:
    """The settings that train on them in an instant."""
    return [
        "data=folder",
        f"data.root={root}",
        "data.bands=[0,1,2,3]",
        "data.display=[3]",
        "data.size=[24,28]",
        "data.batch_size=4",
        "augment=bands",
        "trainer.accelerator=cpu",
        "trainer.threads=1",
    ]

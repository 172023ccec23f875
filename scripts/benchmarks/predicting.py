"""The row on predictions, over a loop by hand.

Both read JPEGs, show the same network (U-Net, width 16) the same pixels, choose classes at the own size and write
palette PNGs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

import segbench
from scripts.benchmarks.measure import Pair, Row, timed
from segbench.commands.predict import Wanted, predict_images
from segbench.inference.load import TrainedRun, load_trained
from segbench.report.palette import palette

SIZE = (480, 640)
SEEN = (96, 128)


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of smooth noise, which take about as long to decode as photos."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(count):
        noise = Image.fromarray(draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        noise.filter(ImageFilter.GaussianBlur(2)).save(folder / f"{number:03d}.jpg", quality=90)
    return sorted(folder.iterdir())


def by_hand(trained: TrainedRun, files: list[Path], out: Path) -> None:
    """Predict as one would write it in a few lines."""
    out.mkdir()
    module, colours = trained.module.eval(), palette(11).tobytes()
    with torch.inference_mode():
        for file in files:
            with Image.open(file) as picture:
                small = picture.convert("RGB").resize(SEEN[::-1], Image.Resampling.BILINEAR)
            image = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None]
            logits = F.interpolate(module({"image": image})["mask"], SIZE, mode="bilinear", align_corners=False)
            ids = logits[0].argmax(dim=0).byte() if logits.shape[1] > 1 else (logits[0, 0] > 0).byte()
            mask = Image.fromarray(ids.numpy())
            mask.putpalette(colours)
            mask.save(out / f"{file.stem}_mask.png")


@contextmanager
def predicting(count: int = 40) -> Iterator[Pair]:
    """The further pictures of a folder over the loop by hand; what the command takes once does not count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_photos(folder / "photos", count)
        settings = ["data=synthetic", f"data.size={list(SEEN)}", "model.width=16", "trainer=debug", "trainer.threads=1"]
        run = segbench.train(*settings, f"hydra.run.dir={folder / 'run'}", quiet=True)
        trained = load_trained(run.path)

        def predict(pictures: Path) -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                predict_images(str(run.path), [str(pictures)], wanted=Wanted(Path(out) / "masks", device="cpu"))

        def ours() -> float:
            return (timed(lambda: predict(folder / "photos")) - timed(lambda: predict(photos[0]))) / (count - 1)

        def baseline() -> float:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                return timed(lambda: by_hand(trained, photos, Path(out) / "masks")) / count

        yield Pair(ours, baseline)


ROWS = [Row("predict", "predict over a loop by hand, a JPEG of 640 x 480", 1.2, predicting)]

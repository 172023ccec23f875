"""Measures `segbench predict` against a loop by hand: CPU seconds for each picture of 640 x 480.

    python scripts/benchmark_predict.py --pictures 60

Both read JPEGs, show the same network (U-Net, width 16) the same pixels, choose classes at the own size and write
palette PNGs; two rounds in turn, in one process with one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

import segbench
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


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of CPU and by the clock that a piece of work takes."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def main() -> None:
    """Print a line for each round."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pictures", type=int, default=60)
    count = arguments.parse_args().pictures
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_photos(folder / "photos", count)
        settings = ["data=synthetic", f"data.size={list(SEEN)}", "model.width=16", "trainer=debug", "trainer.threads=1"]
        run = segbench.train(*settings, f"hydra.run.dir={folder / 'run'}", quiet=True)
        trained = load_trained(run.path)

        def predict(pictures: Path, out: str) -> tuple[float, float]:
            return seconds(
                lambda: predict_images(str(run.path), [str(pictures)], wanted=Wanted(folder / out, device="cpu"))
            )

        predict(photos[0], "warm")
        for turn in range(2):
            hand = seconds(partial(by_hand, trained, photos, folder / f"hand{turn}"))
            start = predict(photos[0], f"one{turn}")
            ours = predict(folder / "photos", f"ours{turn}")
            cpu = (ours[0] - start[0]) / (count - 1), hand[0] / count
            clock = (ours[1] - start[1]) / (count - 1), hand[1] / count
            print(f"predict {cpu[0] * 1e3:.1f} ms of CPU a picture, by hand {cpu[1] * 1e3:.1f}: {cpu[0] / cpu[1]:.2f}")
            print(f"        {clock[0] * 1e3:.1f} ms by the clock,        by hand {clock[1] * 1e3:.1f}")


if __name__ == "__main__":
    main()

"""Rows on fgbg: a scene as tensors, over the same by Pillow, and over reading a picture and its mask from disk."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scripts.benchmarks.measure import Pair, Row
from segbench.config.compose import compose_config, run_config
from segbench.core.choices import Split
from segbench.data.loading.source import SplitDataset
from segbench.data.scenes.fgbg import FgBg
from segbench.data.scenes.sources import read_foregrounds
from segbench.training.parts import build_experiment

SCENES = 400
"""In a round; each round shows others, as epochs of training do, so that few cut-outs were scaled before."""


def prepared(side: int) -> FgBg:
    """Return the data set of a canvas, prepared."""
    data = build_experiment(run_config(compose_config([f"data.size=[{side},{side}]"]))).data
    assert isinstance(data, FgBg)
    data.prepare()
    return data


class ByPillow:
    """The scenes of a data set as one would write them: scaled, mirrored and pasted by Pillow, image and mask alone."""

    def __init__(self, data: FgBg) -> None:
        self.data = data
        longest = round(2 * data.scale[1] * min(data.size))
        self.cutouts = [image.copy() for image in read_foregrounds(None).images]
        for cutout in self.cutouts:
            cutout.thumbnail((longest, longest))
        self.opaque = [int(value >= data.threshold) for value in range(256)]
        self.backgrounds = [Image.fromarray(np.ascontiguousarray(one)) for one in data.backgrounds]

    def __call__(self, index: int) -> dict[str, Tensor]:
        """Return the tensors of a scene."""
        scene = self.data.scene(Split.TRAIN, epoch=0, index=index)
        height, width = self.data.size
        left, top = scene.background_x, scene.background_y
        image = self.backgrounds[scene.background].crop((left, top, left + width, top + height))
        if scene.background_flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        cutout = self.cutouts[scene.foreground].resize((scene.width, scene.height), Image.Resampling.BILINEAR)
        if scene.flip:
            cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.paste(cutout, (scene.x, scene.y), cutout)
        mask = Image.new("L", (width, height))
        mask.paste(cutout.getchannel("A").point(self.opaque), (scene.x, scene.y))
        return tensors(image, mask)


def tensors(image: Image.Image, mask: Image.Image) -> dict[str, Tensor]:
    """Return a picture and its mask as a loader collates them."""
    planes = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    return {"image": torch.from_numpy(planes), "mask": torch.from_numpy(np.array(mask))}


@contextmanager
def by_pillow(side: int) -> Iterator[Pair]:
    """Scenes over the same by Pillow."""
    data = prepared(side)
    dataset = SplitDataset(data, Split.TRAIN, augment=None, seed=0)
    pillow = ByPillow(data)
    ours, theirs = itertools.count(), itertools.count()
    yield Pair(
        lambda: [dataset[0, next(ours)] for _ in range(SCENES)], lambda: [pillow(next(theirs)) for _ in range(SCENES)]
    )


@contextmanager
def from_disk(side: int) -> Iterator[Pair]:
    """Scenes over reading them from JPEG and PNG."""
    data = prepared(side)
    dataset = SplitDataset(data, Split.TRAIN, augment=None, seed=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(SCENES):
            arrays = data.sample(Split.TRAIN, epoch=0, index=index)
            Image.fromarray(np.ascontiguousarray(arrays["image"])).save(folder / f"{index}.jpg", quality=90)
            Image.fromarray(arrays["mask"]).save(folder / f"{index}.png")

        def read(index: int) -> dict[str, Tensor]:
            with Image.open(folder / f"{index}.jpg") as image, Image.open(folder / f"{index}.png") as mask:
                return tensors(image, mask)

        ours = itertools.count()
        yield Pair(lambda: [dataset[0, next(ours)] for _ in range(SCENES)], lambda: [read(i) for i in range(SCENES)])


def _row(name: str, what: str, *, goal: float, prepare: Callable[[], AbstractContextManager[Pair]]) -> Row:
    return Row(name, f"{SCENES} fgbg scenes as tensors over {what}", goal, prepare)


ROWS = [
    _row("scene-96", "Pillow pasting, 96 x 96", goal=0.67, prepare=partial(by_pillow, 96)),
    _row("scene-192", "Pillow pasting, 192 x 192", goal=0.67, prepare=partial(by_pillow, 192)),
    _row("scene-files", "reading JPEG and PNG, 192 x 192", goal=0.4, prepare=partial(from_disk, 192)),
]

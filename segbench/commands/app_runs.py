"""What the page of `app` is told: what a trained network says of a picture, in one block of bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from segbench.commands.arguments import runs_and_settings
from segbench.commands.predict import MAX_SIDE, given, pick_device, read_background
from segbench.core.errors import ConfigError, DataError
from segbench.core.plain import Plain
from segbench.core.text import printable
from segbench.data.problems import FileError
from segbench.data.rasters import Raster, read_raster
from segbench.report.palette import palette

if TYPE_CHECKING:
    from segbench.inference.prediction import Predictor

MOST_VALUES = 1 << 28
"""Values of all maps of a picture that a browser is sent: 134 million pixels of two classes, 12 of 19."""

LONGEST_SIDE = 32_767
"""Pixels of a side that every browser can draw."""

LEVEL = 1
"""Of compression; higher ones take longer than this machine's own address takes to carry the bytes."""


class AppRun:
    """A trained network and how it is shown.

    Args:
        name: What the page calls it.
        predictor: The network.
    """

    def __init__(self, name: str, predictor: Predictor) -> None:
        self.name = name
        self.predictor = predictor
        self.data = predictor.trained.parts.data

    @property
    def facts(self) -> Plain:
        """What the page has to know: name, classes, their colours, and whether it is also given a background."""
        classes = self.data.classes
        return {
            "name": printable(self.name, 120),
            "classes": [printable(word, 80) for word in classes],
            "colours": palette(len(classes))[: len(classes)].tolist(),
            "background": self.predictor.needs_background,
            "heads": [head.value for head in self.predictor.trained.config.task.heads],
        }

    def answer(self, file: Path, background: Path | None, *, lock: Lock) -> bytes:
        """Return the picture and what the network says of it, packed as `pack` does.

        `picture` is uint8 `[H,W,3]`; `mask` (class ids), `entropy` and `class0`, `class1`, ... (probabilities) uint8
        `[H,W]`, of which 255 is 1; `depth` float32 `[H,W]`: those of the network's heads.

        Args:
            file: The picture.
            background: The scene without its foreground, for a network that is given one.
            lock: Held while the network works.

        Raises:
            DataError: for a picture that cannot be read, or is too large for a browser.
        """
        if self.predictor.needs_background and background is None:
            raise DataError("this run is also given the scene without its foreground: choose its background as well")
        image = read_raster(file).upright()
        behind = None
        if background is not None and self.predictor.needs_background:
            behind = read_background(background, image)
        self._check_size(image)
        ((picture, scene),) = given(image, behind, sets=[self.data])
        maps = {"picture": self.data.channels.shown(picture)}
        with lock:
            maps.update(self._maps(picture, scene))
        height, width = picture.shape[:2]
        return pack(maps, {"width": width, "height": height, "clips": self.data.channels.clips(image)})

    def _maps(self, picture: np.ndarray, scene: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
        import torch

        from segbench.inference.ensemble import MeanAnswer
        from segbench.inference.prediction import arrays_of

        answer = self.predictor.answer(picture, scene)
        found = arrays_of(MeanAnswer([answer]), probabilities=False, entropy=True)
        for name, values in found.items():
            if name == "entropy":
                values = _as_bytes(values)
            yield name, values
        if "mask" in found:
            with torch.inference_mode():
                for number, probability in enumerate(answer.each_probability()):
                    yield f"class{number}", _as_bytes(probability.cpu().numpy())

    def _check_size(self, image: Raster) -> None:
        height, width = image.values.shape[:2]
        if max(height, width) > LONGEST_SIDE or height * width * len(self.data.classes) > MOST_VALUES:
            raise FileError(
                "{}, more than a browser holds",
                detail=f"{width:,} x {height:,} pixels in {len(self.data.classes)} classes",
                cure="segbench predict writes its mask",
            )


def load_runs(words: Sequence[str], *, side: int | None, device: str, plugins: Sequence[str]) -> list[AppRun]:
    """Return the runs among words of the command line, each with the settings among them.

    Args:
        words: Run folders, and settings as `key=value`.
        side: The shorter side in pixels that the networks see; None for the training's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        plugins: The user's own packages that the runs may name.

    Raises:
        SegbenchError: for no run, or one that cannot be loaded.
    """
    paths, changes = runs_and_settings(words)
    if not paths:
        raise ConfigError("app needs a run folder")
    if side is not None and side > MAX_SIDE:
        raise ConfigError(f"--side must be at most {MAX_SIDE:,} pixels, got {side:,}")
    torch_device = pick_device(device)
    from segbench.inference.load import load_trained
    from segbench.inference.prediction import Predictor

    runs = []
    for path in dict.fromkeys(paths):
        trained = load_trained(path, changes, plugins=plugins)
        name = "/".join(Path(path).parts[-2:])
        runs.append(AppRun(name, Predictor(trained, side, device=torch_device)))
    return runs


def pack(maps: Mapping[str, np.ndarray], facts: Plain) -> bytes:
    """Return a line of JSON, which has the facts and the bytes of each part, and the parts: maps, deflated."""
    parts = {name: zlib.compress(np.ascontiguousarray(values).data, LEVEL) for name, values in maps.items()}
    line = json.dumps({**facts, "parts": {name: len(part) for name, part in parts.items()}})
    return b"\n".join([line.encode(), b"".join(parts.values())])


def _as_bytes(shares: np.ndarray) -> np.ndarray:
    """Return shares of 1 as uint8, of 255."""
    levels: np.ndarray = (shares * 255).round().astype(np.uint8)
    return levels

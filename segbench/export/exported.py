"""An exported network that predicts as its runs did, without their folders; without torch where it looks once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from segbench.core.errors import ConfigError, DataError
from segbench.data.loading.views import Size
from segbench.export.description import KEY, Description
from segbench.export.interpolation import ids_of, interpolated, probabilities_of
from segbench.export.steps import Step
from segbench.inference.arrays import Picture, Prediction, as_image

Arrays = dict[str, np.ndarray]
"""Pictures or heads by name, `[B,C,H,W]`."""
Run = Callable[[Arrays], Arrays]
"""Maps what a file takes to what it gives."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""What ONNX Runtime calls a device."""


class ExportedModel:
    """A network from a file that is called with a picture; made by `segbench.load`.

    Args:
        description: What the file says of itself.
        run: Runs it.
    """

    def __init__(self, description: Description, run: Run) -> None:
        self.description = description
        self.classes: list[str] = list(description.classes)
        self._run = run
        self._given = description.given
        self._view = description.view

    def __call__(self, image: Picture, background: Picture | None = None) -> Prediction:
        """Return the prediction for a picture of any size.

        Args:
            image: A path, a PIL picture, or an array, as for a `TrainedModel`.
            background: The scene without its foreground, for a network that is given one.

        Raises:
            DataError: for a picture that cannot be read.
            ConfigError: for a background that is missing or not wanted, or a file that cannot say it at this size.
        """
        pictures = [image] if background is None else [image, background]
        if len(pictures) != len(self.description.inputs):
            raise ConfigError(f"this network takes {' and '.join(self.description.inputs)}, got {len(pictures)}")
        given = self._given
        return self.predict([as_image(picture, given.channels, convert=given.image_of) for picture in pictures])

    def predict(self, pictures: Sequence[np.ndarray]) -> Prediction:
        """Return the prediction for pictures `[H,W,C]` as the network is given them, uint8 or float32 in 0..1."""
        first = pictures[0]
        if first.shape != pictures[-1].shape:
            raise DataError(f"the background has another size than the image: {pictures[-1].shape} and {first.shape}")
        size = (first.shape[0], first.shape[1])
        if self.description.has(Step.RESIZE):
            heads = self.said(dict(zip(self.description.inputs, map(batch_of, pictures), strict=True)))
        else:
            seen = [batch_of(self._view.image(picture)) for picture in pictures]
            heads = self._looked(dict(zip(self.description.inputs, seen, strict=True)), size)
        return self._prediction(heads, size)

    def said(self, pictures: Mapping[str, np.ndarray]) -> Arrays:
        """Return what the file says of pictures `[B,C,H,W]`, uint8 or float32 in 0..1, by head."""
        return self._run({name: self.taken(picture) for name, picture in pictures.items()})

    def taken(self, picture: np.ndarray) -> np.ndarray:
        """Return pictures as the file takes them: with the values of files, or normalised."""
        if not self.description.has(Step.NORMALISATION):
            unit = picture.astype(np.float32) / np.float32(255 if picture.dtype == np.uint8 else 1)
            mean, std = (_by_channel(values) for values in (self.description.mean, self.description.std))
            normalised: np.ndarray = (unit - mean) / std
            return normalised
        levels = self._given.channels.levels
        if levels is None:
            return picture
        low, high = (_by_channel(level) for level in levels)
        values: np.ndarray = picture * (high - low) + low
        return values

    def _looked(self, seen: Arrays, size: Size) -> Arrays:
        """Return what the network says of what it sees, in tiles and with further looks where its run has them."""
        height, width = next(iter(seen.values())).shape[-2:]
        settings = self.description.settings
        one_look = not settings.looks and not (
            self._view.own_scale and max(height, width) > settings.tile_for(self._view.size)
        )
        if self.description.has(Step.ARGMAX) or one_look:
            heads = self.said(seen)
        else:
            from segbench.export.looks import looked_at

            heads = looked_at(self.said, self.description, seen=seen)
        if (height, width) == size:
            return heads
        if self.description.has(Step.ARGMAX):
            raise ConfigError(
                f"a picture of {size[0]} x {size[1]} pixels: this file gives class ids of {height} x {width}, which"
                " cannot become finer; export it --with normalisation,resize,argmax"
            )
        rows, columns = self._view.place(*size).window
        return {name: interpolated(values[..., rows, columns], size) for name, values in heads.items()}

    def _prediction(self, heads: Arrays, size: Size) -> Prediction:
        mask = None
        probabilities = None
        depth = None
        if "mask" in heads and self.description.has(Step.ARGMAX):
            mask = heads["mask"][0]
        elif "mask" in heads:
            mask = ids_of(heads["mask"][0])
            probabilities = probabilities_of(heads["mask"][0])
        if "depth" in heads:
            depth = heads["depth"][0, 0]
        return Prediction(mask, probabilities, depth)


def load_onnx(path: Path, device: str = "auto") -> ExportedModel:
    """Return the network in a file that `segbench export` wrote.

    Args:
        path: The file.
        device: `auto` (CUDA where ONNX Runtime has it), `cpu` or `cuda`.

    Raises:
        ConfigError: for a file of another program, a device that is not there, or without ONNX Runtime.
    """
    runtime = onnx_runtime(path.name)
    if not path.is_file():
        raise ConfigError(f"{path} is not there; give the path of a file that segbench export wrote")
    if device not in ("auto", *PROVIDERS):
        raise ConfigError(f"there is no device '{device}' for {path.name}; choose from auto, {', '.join(PROVIDERS)}")
    there = runtime.get_available_providers()
    wanted = [PROVIDERS[device]] if device != "auto" else [one for one in PROVIDERS.values() if one in there][::-1]
    if wanted[0] not in there:
        raise ConfigError(f"ONNX Runtime has no {device} device here; use device=cpu, or pip install onnxruntime-gpu")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # of many kinds, all of its own
        raise ConfigError(f"{path} cannot be read as ONNX: {' '.join(str(error).split())[:200]}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    description = Description.of_text(metadata.get(KEY), str(path))
    names = [output.name for output in session.get_outputs()]

    def run(pictures: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, pictures), strict=True))

    return ExportedModel(description, run)


def onnx_runtime(what: str) -> ModuleType:
    """Return the package onnxruntime; raises ConfigError where it is not installed.

    Args:
        what: What needs it, for the message.
    """
    try:
        return import_module("onnxruntime")
    except ImportError:
        raise ConfigError(f"{what} needs the package onnxruntime: pip install onnxruntime") from None


def batch_of(picture: np.ndarray) -> np.ndarray:
    """Return a picture `[H,W,C]` as a batch of one, `[1,C,H,W]`."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))[None]


def _by_channel(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float32).reshape(1, -1, 1, 1)

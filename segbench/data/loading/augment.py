"""albumentations behind a thin adapter: every sample's augmentation is keyed by (seed, split, epoch, index).

albumentations 2.0.8 draws from one generator a pipeline, which workers copy: they all draw the same numbers, and every
epoch repeats them. Here the generator is set anew for each sample instead.
"""

from __future__ import annotations

import copy
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from segbench.core.errors import ConfigError
from segbench.core.rng import key64
from segbench.core.tasks import IGNORE_INDEX

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a server for newer versions when imported

INSIDE = "inside"
"""An array of ones that is moved along with the mask: where it is no longer one, something came in from outside."""

TARGETS = {"background": "image", "depth": "mask", INSIDE: "mask"}
FILLS = ("fill_mask", "mask_drop_value")
"""What albumentations calls the value that masks are filled with."""

NORMALISED = (
    "leave it out: samples stay as they are, in 0..255, and the network normalises its input by itself (data.mean,"
    " data.std)"
)


class Augment:
    """A pipeline of albumentations transforms for image, mask, background and depth together.

    What comes in from outside, or is dropped from the mask, is class 255 (ignored) in masks and NaN (unknown) in depth,
    whatever fill a transform asks for. A transform that drops only from the image (`fill_mask` null) keeps the labels.

    Args:
        transforms: albumentations transforms, applied in order; an empty list changes nothing.
    """

    def __init__(self, transforms: list[Any]) -> None:
        self.pipeline: Any = None
        self.transforms = transforms
        if not transforms:
            return  # the import alone takes seconds
        import albumentations

        for transform in transforms:
            if not isinstance(transform, albumentations.BasicTransform | albumentations.BaseCompose):
                raise ConfigError(f"augment.transforms: {type(transform).__name__} is no albumentations transform")
        for transform in _leaves(transforms):
            for name in FILLS:
                if getattr(transform, name, None) is not None:
                    setattr(transform, name, IGNORE_INDEX)
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._python = random.Random(0)
        self.pipeline = albumentations.Compose(transforms, additional_targets=TARGETS)
        self.pipeline.set_random_state(self._generator, self._python)

    def __call__(self, arrays: dict[str, np.ndarray], seed: int, epoch: int, index: int, /) -> dict[str, np.ndarray]:
        """Return the augmented arrays of a training sample, the same for the same (seed, epoch, index).

        Raises:
            ConfigError: where the transforms leave the type of the arrays, or give them different sizes.
        """
        if self.pipeline is None:
            return arrays
        self._set_generators(key64("augment", seed, epoch, index))
        inside = np.ones(arrays["image"].shape[:2], np.uint8)
        # row by row, as libraries of pictures want them
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        result = self.pipeline(**whole, **{INSIDE: inside})
        outside = np.asarray(result[INSIDE]) != 1
        found = {name: result[name] for name in arrays}
        for name, array in found.items():
            _check_array(name, array, before=arrays[name], size=outside.shape)
        if outside.any():
            _forget(found, outside)
        return found

    def check_bands(self, bands: int) -> None:
        """Raise a ConfigError that names the transforms which work on red, green and blue alone, for other bands."""
        if bands == 3:
            return
        picture = np.random.default_rng(0).integers(0, 256, (64, 64, max(bands, 3))).astype(np.uint8)
        wrong = {
            name: None
            for name, alone in self.parts()
            if alone.works(picture[..., :3]) and not alone.works(picture[..., :bands])
        }
        if wrong:
            raise ConfigError(
                f"augment: {', '.join(wrong)} cannot work on {bands} bands, only on red, green and blue; leave it out,"
                " or use augment=bands, whose jitter takes any number"
            )

    def works(self, picture: np.ndarray) -> bool:
        """Whether a picture uint8 `[H,W,C]` can be augmented."""
        with warnings.catch_warnings(action="ignore"):
            try:
                self({"image": picture, "mask": np.zeros(picture.shape[:2], np.uint8)}, 0, 0, 0)
            except Exception:  # each of a hundred transforms has its own way to refuse
                return False
        return True

    def parts(self) -> Iterator[tuple[str, Augment]]:
        """Yield the name of each transform, also of nested ones, and an augmentation that always applies it alone."""
        for transform in _leaves(self.transforms):
            alone = copy.deepcopy(transform)
            alone.p = 1.0
            yield type(transform).__name__, Augment([alone])

    def _set_generators(self, key: int) -> None:
        state = self._bits.state
        state["state"] = {"counter": np.zeros(4, np.uint64), "key": np.array([key, 0], np.uint64)}
        state["buffer_pos"] = 4
        state["has_uint32"] = 0
        state["uinteger"] = 0
        self._bits.state = state
        self._python.seed(key)


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    """Yield the transforms that do something themselves, also those in OneOf, Sequential and the like."""
    import albumentations

    for transform in transforms:
        if isinstance(transform, albumentations.BaseCompose):
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _check_array(name: str, found: object, *, before: np.ndarray, size: tuple[int, ...]) -> None:
    if not isinstance(found, np.ndarray):
        raise ConfigError(f"augment gives {name} as {type(found).__name__}, not as an array; {NORMALISED}")
    if found.dtype != before.dtype:
        raise ConfigError(f"augment gives {name} as {found.dtype}, not as {before.dtype}; {NORMALISED}")
    wanted = (*size, *before.shape[2:])
    if found.shape != wanted:
        raise ConfigError(
            f"augment gives {name} of shape {list(found.shape)} beside a mask of {size[0]} x {size[1]} pixels; every"
            " transform must move image, mask, background and depth alike"
        )


def _forget(arrays: dict[str, np.ndarray], outside: np.ndarray) -> None:
    """Mark the pixels that came in from outside as ignored in the mask and as unknown in the depth."""
    for name, unknown in (("mask", IGNORE_INDEX), ("depth", np.nan)):
        if name in arrays:
            arrays[name] = np.where(outside, arrays[name].dtype.type(unknown), arrays[name])

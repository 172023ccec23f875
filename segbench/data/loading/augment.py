"""albumentations behind a thin adapter: every sample's augmentation is keyed by (seed, split, epoch, index).

albumentations 2.0.8 draws from one generator a pipeline, which workers copy: they all draw the same numbers, and every
epoch repeats them. Here the generator is set anew for each sample instead.
"""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from segbench.core.errors import ConfigError
from segbench.core.rng import key64

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a server for newer versions when imported

TARGETS = {"background": "image", "depth": "mask"}


class Augment:
    """A pipeline of albumentations transforms for image, mask, background and depth together.

    Masks and depth are moved with nearest neighbours only; what comes in from outside is class 255 (ignored) in masks
    and NaN (unknown) in depth, where the transform takes a `fill_mask`.

    Args:
        transforms: albumentations transforms, applied in order; an empty list changes nothing.
    """

    def __init__(self, transforms: list[Any]) -> None:
        self.pipeline: Any = None
        if not transforms:
            return  # the import alone takes seconds
        import albumentations

        for transform in transforms:
            if not isinstance(transform, albumentations.BasicTransform | albumentations.BaseCompose):
                raise ConfigError(f"augment.transforms: {type(transform).__name__} is no albumentations transform")
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._python = random.Random(0)
        self.pipeline = albumentations.Compose(transforms, additional_targets=TARGETS)
        self.pipeline.set_random_state(self._generator, self._python)

    def __call__(self, arrays: dict[str, np.ndarray], seed: int, epoch: int, index: int) -> dict[str, np.ndarray]:
        """Return the augmented arrays of a training sample, the same for the same (seed, epoch, index)."""
        if self.pipeline is None:
            return arrays
        key = key64("augment", seed, epoch, index)
        state = self._bits.state
        state["state"] = {"counter": np.zeros(4, np.uint64), "key": np.array([key, 0], np.uint64)}
        state["buffer_pos"], state["has_uint32"], state["uinteger"] = 4, 0, 0
        self._bits.state = state
        self._python.seed(key)
        result = self.pipeline(**arrays)
        return {name: result[name] for name in arrays}

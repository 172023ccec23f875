"""The base of the generated data sets that compose cut-outs on backgrounds by their alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from segbench.core.choices import Split
from segbench.core.errors import ConfigError
from segbench.data.scenes.depth import DepthModel
from segbench.data.scenes.planned import PlannedData
from segbench.data.scenes.sources import MOST_MARGIN, Pictures, split_sources
from segbench.data.scenes.textures import in_planes, make_background

Plan_co = TypeVar("Plan_co", covariant=True)


class CutOutData(PlannedData[Plan_co]):
    """Cut-outs composed on backgrounds by their alpha, with depth.

    Args:
        foregrounds: Folder of transparent PNG or WebP cut-outs of any sizes; None uses the shipped ones.
        backgrounds: Folder of PNG, JPEG or WebP photographs of any sizes; None uses the shipped ones.
        split: `by_source`: val and test use foregrounds and backgrounds that training never sees. `random`: all splits
            use all pictures, in different scenes.
        val_share: Share of the pictures kept for val, for `by_source`.
        test_share: Share of the pictures kept for test, for `by_source`.
        scale: Smallest and largest longer side of a foreground, as a share of the canvas's shorter side.
        background_margin: How much larger than the canvas a background is kept, as a share; the canvas is placed on it
            at random and mirrored at random. 0 always shows the same part, unmirrored.
        mask_threshold: Share of opacity from which a pixel belongs to the foreground.
        depth: `horizon`, `far`, `object_height` of the depth model.
        **common: As for every generated data set: `PlannedData`.
    """

    entries = ("image", "mask", "depth", "background")

    def __init__(
        self,
        foregrounds: str | None = None,
        backgrounds: str | None = None,
        *,
        split: str = "by_source",
        val_share: float = 0.15,
        test_share: float = 0.15,
        scale: Sequence[float],
        background_margin: float = 0.25,
        mask_threshold: float = 0.5,
        depth: Mapping[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not 0 < mask_threshold <= 1:
            raise ConfigError(f"data.mask_threshold must be above 0 and at most 1, got {mask_threshold}")
        if not 0 <= background_margin <= MOST_MARGIN:
            raise ConfigError(f"data.background_margin must be from 0 to {MOST_MARGIN:g}, got {background_margin}")
        if len(scale) != 2:
            raise ConfigError(f"data.scale must be two numbers, got {list(scale)}")
        self.folders = (foregrounds, backgrounds)
        self.split = split
        self.shares = (val_share, test_share)
        self.scale = (float(scale[0]), float(scale[1]))
        self.margin = (round(self.size[0] * background_margin), round(self.size[1] * background_margin))
        self.threshold = int(np.ceil(mask_threshold * 255))
        self.depth_model = DepthModel(**(depth or {}))
        self.divided(3, "foregrounds")  # a wrong rule shows before anything is read

    def digest(self, split: Split, settings: Mapping[str, object]) -> str:
        """Return a digest of what decides the scenes of a split: what all sets of cut-outs have, and `settings`."""
        common = {"threshold": self.threshold, "depth": asdict(self.depth_model)}
        return super().digest(split, {**common, **settings})

    def divided(self, count: int, what: str) -> dict[Split, list[int]]:
        """Return the numbers of `count` pictures that each split may use; `what` they are keys the choice."""
        return split_sources(count, self.split, shares=self.shares, seed=self.seed, what=what)

    def on_canvas(self, pictures: Pictures) -> np.ndarray:
        """Return backgrounds at the size of the canvas and its margin, uint8 `[N,H,W,3]`, in planes."""
        height = self.size[0] + self.margin[0]
        width = self.size[1] + self.margin[1]
        each = [in_planes(make_background(image, height=height, width=width)) for image in pictures.images]
        return np.stack(each).transpose(0, 2, 3, 1)

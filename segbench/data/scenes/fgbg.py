"""fgbg: one foreground on one background, with its exact mask and depth, rendered as it is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import Arrays
from segbench.data.pictures import together
from segbench.data.scenes.depth import DepthModel, compose_depth
from segbench.data.scenes.plan import Layout, Planner, Scene
from segbench.data.scenes.render import render
from segbench.data.scenes.sources import (
    MOST_MARGIN,
    check_opacity,
    read_backgrounds,
    read_depth_maps,
    read_foregrounds,
    split_sources,
)
from segbench.data.scenes.textures import Texture, make_background, make_texture


class FgBg(SegmentationData):
    """Foregrounds composed on backgrounds by their alpha.

    Args:
        foregrounds: Folder of transparent PNG or WebP cut-outs of any sizes; None uses the shipped ones.
        backgrounds: Folder of PNG, JPEG or WebP photographs of any sizes; None uses the shipped ones.
        train_size: Scenes in an epoch of training.
        val_size: Scenes for validation.
        test_size: Scenes for the test.
        split: `by_source`: val and test use foregrounds and backgrounds that training never sees. `random`: all splits
            use all pictures, in different scenes.
        val_share: Share of the pictures kept for val, for `by_source`.
        test_share: Share of the pictures kept for test, for `by_source`.
        position: `random`, or `grid` for the older projects' 5 x 4 places.
        scale: Smallest and largest longer side of a foreground, as a share of the canvas's shorter side.
        flip: Also use mirrored foregrounds.
        background_margin: How much larger than the canvas a background is kept, as a share; the canvas is placed on it
            at random and mirrored at random. 0 always shows the same part, unmirrored.
        fresh: New training scenes in every epoch; otherwise every epoch shows the same ones.
        mask_threshold: Share of opacity from which a pixel belongs to the foreground.
        depth: `horizon`, `far`, `object_height` of the depth model, and `from_folder` for background depth made
            elsewhere.
        **common: As for every data set: `SegmentationData`.
    """

    entries = ("image", "mask", "depth", "background")

    def __init__(
        self,
        foregrounds: str | None = None,
        backgrounds: str | None = None,
        *,
        train_size: int = 1280,
        val_size: int = 200,
        test_size: int = 400,
        split: str = "by_source",
        val_share: float = 0.15,
        test_share: float = 0.15,
        position: str = "random",
        scale: Sequence[float] = (0.35, 0.75),
        flip: bool = True,
        background_margin: float = 0.25,
        fresh: bool = True,
        mask_threshold: float = 0.5,
        depth: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if len(self.classes) != 2:
            raise ConfigError(
                f"data.classes must be 2 names (background and foreground), got {len(self.classes)}:"
                f" {', '.join(self.classes)}; a class for each kind of foreground is what data=synthetic has"
            )
        if not 0 < mask_threshold <= 1 or not 0 <= background_margin <= MOST_MARGIN or len(scale) != 2:
            raise ConfigError(
                f"data.mask_threshold must be in (0, 1], data.background_margin in [0, {MOST_MARGIN:g}] and"
                f" data.scale two numbers, got {mask_threshold}, {background_margin} and {list(scale)}"
            )
        self.folders = (foregrounds, backgrounds)
        self.sizes = {Split.TRAIN: train_size, Split.VAL: val_size, Split.TEST: test_size}
        self.split = split
        self.shares = (val_share, test_share)
        self.fresh = fresh
        margin = (round(self.size[0] * background_margin), round(self.size[1] * background_margin))
        self.layout = Layout(self.size, (float(scale[0]), float(scale[1])), position, flip, margin)
        self.threshold = int(np.ceil(mask_threshold * 255))
        settings = dict(depth or {})
        self.depth_folder = settings.pop("from_folder", None)
        self.depth_model = DepthModel(**settings)
        split_sources(
            3, split, shares=self.shares, seed=self.seed, what="foregrounds"
        )  # a wrong rule shows before anything is read
        self.planners: dict[Split, Planner] = {}

    def prepare(self) -> None:
        """Read and check the pictures, split them and set up the plans."""
        foregrounds, backgrounds = together(
            lambda: read_foregrounds(self.folders[0]), lambda: read_backgrounds(self.folders[1])
        )
        check_opacity(foregrounds, self.threshold)
        height = self.size[0] + self.layout.margin[0]
        width = self.size[1] + self.layout.margin[1]
        # twice the largest box, so that even the largest copy of a cut-out is shrunk, never blown up
        longest = round(2 * self.layout.scale[1] * min(self.size))
        self.textures: list[Texture] = [make_texture(image, longest) for image in foregrounds.images]
        self.backgrounds = np.stack(
            [make_background(image, height=height, width=width) for image in backgrounds.images]
        )
        self.names = (foregrounds.names, backgrounds.names)
        self.ground = self._ground(backgrounds.names, (height, width))
        self._digest = f"{foregrounds.digest}:{backgrounds.digest}"
        sizes = [(image.height, image.width) for image in foregrounds.images]
        fore = split_sources(len(foregrounds), self.split, shares=self.shares, seed=self.seed, what="foregrounds")
        back = split_sources(len(backgrounds), self.split, shares=self.shares, seed=self.seed, what="backgrounds")
        offset = 0
        for split in SPLITS:
            self.planners[split] = Planner(
                self.seed,
                split,
                layout=self.layout,
                foregrounds=fore[split],
                backgrounds=back[split],
                sizes=sizes,
                offset=offset,
            )
            offset += self.sizes[split] if self.split == "random" else 0
        self._check_grid()
        self.check_splits()

    def _ground(self, names: list[str], size: tuple[int, int]) -> np.ndarray | None:
        if self.depth_folder is None:
            self._rows = self.depth_model.ground_rows(self.size[0])
            return None
        return read_depth_maps(self.depth_folder, names, size=size, far=self.depth_model.far)

    def _check_grid(self) -> None:
        if self.layout.position != "grid":
            return
        for split, planner in self.planners.items():
            if planner.offset + self.sizes[split] > planner.combinations:
                raise DataError(
                    f"data.position=grid has {planner.combinations:,} different scenes for {split}, but"
                    f" {planner.offset + self.sizes[split]:,} are asked for; lower data.train_size, data.val_size or"
                    " data.test_size"
                )

    def num_samples(self, split: Split) -> int:
        """Return the number of scenes of a split."""
        return self.sizes[split]

    def scene(self, split: Split, *, epoch: int, index: int) -> Scene:
        """Return the plan of a scene."""
        return self.planners[split].scene(epoch if self.fresh and split == Split.TRAIN else 0, index)

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return image, mask, depth and background of a scene."""
        scene = self.scene(split, epoch=epoch, index=index)
        image, alpha, background = render(scene, self.textures, backgrounds=self.backgrounds, canvas=self.size)
        mask = alpha >= self.threshold
        depth = compose_depth(self.ground_of(scene), mask, foreground=self.depth_model.foreground(scene, self.size[0]))
        return {"image": image, "mask": mask.astype(np.uint8), "depth": depth, "background": background}

    def ground_of(self, scene: Scene) -> np.ndarray:
        """Return the depth of a scene's background, float32 `[H, W]`."""
        height, width = self.size
        if self.ground is None:
            return np.broadcast_to(self._rows[:, None], (height, width))
        top = scene.background_y
        left = scene.background_x
        cut = self.ground[scene.background, top : top + height, left : left + width]
        if not scene.background_flip:
            return cut
        return cut[:, ::-1]

    def image_name(self, split: Split, index: int) -> str:
        """Return the files of foreground and background."""
        return " + ".join(self.units(split, index).values())

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the files of foreground and background."""
        scene = self.scene(split, epoch=0, index=index)
        return {"foreground": self.names[0][scene.foreground], "background": self.names[1][scene.background]}

    def fingerprint(self, split: Split) -> str:
        """Return a digest of the pictures and of every setting that decides the scenes of a split."""
        planner = self.planners[split]
        settings = {
            "layout": asdict(self.layout),
            "threshold": self.threshold,
            "depth": asdict(self.depth_model),
            "depth_folder": self.ground is not None and hashlib.sha256(self.ground.tobytes()).hexdigest(),
            "seed": self.seed,
            "split": split,
            "offset": planner.offset,
            "size": self.sizes[split],
            "fresh": self.fresh,
            "foregrounds": planner.foregrounds,
            "backgrounds": planner.backgrounds,
            "classes": self.classes,
            "pictures": self._digest,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def describe(self, split: Split) -> str:
        """Return how many scenes of how many pictures."""
        planner = self.planners[split]
        return (
            f"{self.sizes[split]:,} scenes of {len(planner.foregrounds)} foregrounds"
            f" on {len(planner.backgrounds)} backgrounds"
        )

"""fgbg: one foreground on one background, with its exact mask and depth, rendered as it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError
from segbench.data.folders import together
from segbench.data.loading.source import Arrays
from segbench.data.scenes.cutouts import CutOutData
from segbench.data.scenes.depth import compose_depth
from segbench.data.scenes.plan import Layout, Planner, Scene
from segbench.data.scenes.render import covered, render
from segbench.data.scenes.sources import check_opacity, read_backgrounds, read_depth_maps, read_foregrounds
from segbench.data.scenes.textures import Kept, Texture, make_texture


class FgBg(CutOutData[Scene]):
    """One foreground on one background.

    Args:
        foregrounds: Folder of transparent PNG or WebP cut-outs of any sizes; None uses the shipped ones.
        backgrounds: Folder of PNG, JPEG or WebP photographs of any sizes; None uses the shipped ones.
        position: `random`, or `grid` for the older projects' 5 x 4 places.
        scale: Smallest and largest longer side of a foreground, as a share of the canvas's shorter side.
        flip: Also use mirrored foregrounds.
        depth: `horizon`, `far`, `object_height` of the depth model, and `from_folder` for background depth made
            elsewhere.
        **common: As for every data set of cut-outs: `CutOutData`.
    """

    planners: dict[Split, Planner]

    def __init__(
        self,
        foregrounds: str | None = None,
        backgrounds: str | None = None,
        *,
        position: str = "random",
        scale: Sequence[float] = (0.35, 0.75),
        flip: bool = True,
        depth: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        settings = dict(depth or {})
        self.depth_folder = settings.pop("from_folder", None)
        super().__init__(foregrounds, backgrounds, scale=scale, depth=settings, **common)
        if len(self.classes) != 2:
            raise ConfigError(
                f"data.classes must be 2 names (background and foreground), got {len(self.classes)}:"
                f" {', '.join(self.classes)}; a class for each kind of foreground is what data=synthetic has"
            )
        self.layout = Layout(self.size, self.scale, position, flip, self.margin)

    def prepare(self) -> None:
        """Read and check the pictures, split them and set up the plans."""
        foregrounds, backgrounds = together(
            lambda: read_foregrounds(self.folders[0]), lambda: read_backgrounds(self.folders[1])
        )
        check_opacity(foregrounds, self.threshold)
        # twice the largest box, so that even the largest copy of a cut-out is shrunk, never blown up
        longest = round(2 * self.scale[1] * min(self.size))
        kept = Kept()
        self.textures: list[Texture] = [make_texture(image, longest, kept=kept) for image in foregrounds.images]
        self.backgrounds = self.on_canvas(backgrounds)
        self.names = (foregrounds.names, backgrounds.names)
        self.ground = self._ground(backgrounds.names, self.backgrounds.shape[1:3])
        self._digest = f"{foregrounds.digest}:{backgrounds.digest}"
        sizes = [(image.height, image.width) for image in foregrounds.images]
        fore = self.divided(len(foregrounds), "foregrounds")
        back = self.divided(len(backgrounds), "backgrounds")
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
            if self.split == "random":
                offset += self.sizes[split]
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

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return image, mask, depth and background of a scene."""
        scene = self.scene(split, epoch=epoch, index=index)
        image, alpha, background = render(scene, self.textures, backgrounds=self.backgrounds, canvas=self.size)
        mask = alpha >= self.threshold
        depth = self.ground_of(scene).copy(order="C")
        box = covered(scene, self.size)
        compose_depth(depth[box], mask[box], foreground=self.depth_model.foreground(scene, self.size[0]))
        return {"image": image, "mask": mask.view(np.uint8), "depth": depth, "background": background}

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
            "depth_folder": self.ground is not None and hashlib.sha256(self.ground.tobytes()).hexdigest(),
            "offset": planner.offset,
            "foregrounds": planner.foregrounds,
            "backgrounds": planner.backgrounds,
            "pictures": self._digest,
        }
        return self.digest(split, settings)

    def describe(self, split: Split) -> str:
        """Return how many scenes of how many pictures."""
        planner = self.planners[split]
        return (
            f"{self.sizes[split]:,} scenes of {len(planner.foregrounds)} foregrounds"
            f" on {len(planner.backgrounds)} backgrounds"
        )

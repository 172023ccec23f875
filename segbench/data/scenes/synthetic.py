"""synthetic: several cut-outs in painter's order on a plain backdrop or a photograph, one class for each species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError
from segbench.data.folders import together
from segbench.data.loading.source import Arrays
from segbench.data.scenes.cutouts import CutOutData
from segbench.data.scenes.sources import check_opacity, read_backgrounds
from segbench.data.scenes.synthetic_plan import Painting, PaintingLayout, PaintingPlanner, layer_depths
from segbench.data.scenes.synthetic_render import paint, render_backdrop
from segbench.data.scenes.synthetic_sources import read_species
from segbench.data.scenes.textures import Kept, Texture, make_texture

FLAT_COLOURS = ((100, 100, 100), (120, 0, 0), (0, 120, 0), (0, 0, 120))


class Synthetic(CutOutData[Painting]):
    """Cut-outs of several species that hide one another, with exact masks, instances and depth.

    The idea, and the rule of `placement=original`, are gnouhp/Synthetic-Segmentation's.

    Args:
        foregrounds: Folder of transparent PNG or WebP cut-outs, `<class>_<anything>.png` or `<class>/<anything>.png`;
            None uses the shipped ones.
        backgrounds: Folder of photographs for `background=photo`; None uses the shipped ones.
        split: `by_source`: of every class, val and test use pictures that training never sees (and photographs
            likewise). `random`: all splits use all pictures, in different scenes.
        placement: `random`, or `original` for the older project's rule, its canvas of 256 scaled to `size`.
        objects: Fewest and most cut-outs in a scene.
        scale: Smallest and largest longer side of a cut-out as a share of the canvas's shorter side; `random` only.
        flip: Also use mirrored cut-outs; `random` only.
        background: `flat`, `gradient`, `noise` (on a flat colour) or `photo`.
        colours: List of [red, green, blue] that backdrops are drawn from; None for any colour.
        mask_threshold: Share of opacity from which a pixel belongs to a cut-out; 0.003 is the older project's rule,
            any opacity at all.
        depth: `horizon`, `far`, `object_height` of the depth model. A photograph is its ground, any other backdrop a
            wall at `far`; how cut-outs stand before it is stated at `layer_depths`.
        **common: As for every data set of cut-outs: `CutOutData`.
    """

    planners: dict[Split, PaintingPlanner]

    def __init__(
        self,
        foregrounds: str | None = None,
        backgrounds: str | None = None,
        *,
        placement: str = "random",
        objects: Sequence[int] = (3, 4),
        scale: Sequence[float] = (0.3, 0.7),
        flip: bool = True,
        background: str = "flat",
        colours: Sequence[Sequence[int]] | None = FLAT_COLOURS,
        **common: Any,
    ) -> None:
        super().__init__(foregrounds, backgrounds, scale=scale, **common)
        if len(objects) != 2:
            raise ConfigError(f"data.objects must be two numbers, got {list(objects)}")
        self.layout = PaintingLayout(
            canvas=self.size,
            placement=placement,
            objects=(objects[0], objects[1]),
            scale=self.scale,
            flip=flip,
            background=background,
            colours=None if colours is None else tuple(tuple(colour) for colour in colours),  # type: ignore[misc]
            margin=self.margin,
        )

    def prepare(self) -> None:
        """Read and check the pictures, split them class by class and set up the plans."""
        original = self.layout.placement == "original"
        species, photos = together(  # its boxes hold whole pictures
            lambda: read_species(self.folders[0], self.classes, crop=not original), self._read_photos
        )
        check_opacity(species.pictures, self.threshold)
        images = species.pictures.images
        # twice the largest box, so that even the largest copy of a cut-out is shrunk, never blown up
        largest = max(self.size) if original else self.scale[1] * min(self.size)
        kept = Kept()
        self.textures: list[Texture] = [make_texture(image, round(2 * largest), kept=kept) for image in images]
        self.labels = np.array(species.labels, dtype=np.uint8)
        self.names = species.pictures.names
        self._digest = f"{species.pictures.digest}:{photos}:{species.labels}"
        sizes = [(image.height, image.width) for image in images]
        chosen: dict[Split, dict[str, list[int]]] = {split: {} for split in SPLITS}
        for label, name in enumerate(self.classes[1:], start=1):
            numbers = species.of(label)
            for split, places in self.divided(len(numbers), f"foregrounds: class {name}").items():
                chosen[split][name] = [numbers[place] for place in places]
        back = {}
        if self.photos is not None:
            back = self.divided(len(self.photos), "backgrounds")
        for split in SPLITS:
            self.planners[split] = PaintingPlanner(
                self.seed,
                split,
                layout=self.layout,
                species=chosen[split],
                backgrounds=back.get(split, []),
                sizes=sizes,
                depth=self.depth_model,
            )
        self.check_splits()

    def _read_photos(self) -> str:
        self.photos: np.ndarray | None = None
        self.photo_names: list[str] = []
        if self.layout.background != "photo":
            return ""
        pictures = read_backgrounds(self.folders[1])
        self.photo_names = pictures.names
        self.photos = self.on_canvas(pictures)
        return pictures.digest

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return image, mask, depth and background of a scene."""
        scene = self.scene(split, epoch=epoch, index=index)
        background = render_backdrop(scene.backdrop, self.layout.background, photos=self.photos, canvas=self.size)
        image, instances = paint(scene, self.textures, background=background, threshold=self.threshold)
        depths = np.concatenate([[np.float32(0)], layer_depths(scene, self.depth_model, height=self.size[0])])
        depth = np.where(instances > 0, depths[instances], self.backdrop_depth())
        return {"image": image, "mask": self.layer_labels(scene)[instances], "depth": depth, "background": background}

    def layer_labels(self, scene: Painting) -> np.ndarray:
        """Return the class id of every instance of a scene, uint8 `[1 + layers]`; the background is instance 0."""
        return np.array([0, *(self.labels[layer.foreground] for layer in scene.layers)], dtype=np.uint8)

    def backdrop_depth(self) -> np.ndarray:
        """Return the depth behind all cut-outs, float32 `[H, 1]`: a photograph is ground, all else a wall at `far`."""
        if self.layout.background == "photo":
            return self.depth_model.ground_rows(self.size[0])[:, None]
        return np.full((self.size[0], 1), self.depth_model.far, dtype=np.float32)

    def fingerprint(self, split: Split) -> str:
        """Return a digest of the pictures and of every setting that decides the scenes of a split."""
        planner = self.planners[split]
        settings = {
            "layout": asdict(self.layout),
            "foregrounds": planner.species,
            "backgrounds": planner.backgrounds,
            "pictures": self._digest,
        }
        return self.digest(split, settings)

    def describe(self, split: Split) -> str:
        """Return how many scenes of how many pictures."""
        planner = self.planners[split]
        pictures = ", ".join(f"{len(numbers)} {name}" for name, numbers in planner.species)
        if planner.backgrounds:
            on = f"{len(planner.backgrounds)} photos"
        else:
            on = f"{self.layout.background} backdrops"
        return f"{self.sizes[split]:,} scenes of {pictures} on {on}"

    def image_name(self, split: Split, index: int) -> str:
        """Return the files of the cut-outs, back to front, and of the photograph behind them, where there is one."""
        scene = self.scene(split, epoch=0, index=index)
        photo = []
        if self.photo_names:
            photo = [self.photo_names[scene.backdrop.background]]
        return " + ".join([*(self.names[layer.foreground] for layer in scene.layers), *photo])

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return for each class the files that a scene shows of it ("" for none), and the photograph behind them.

        A backdrop of another kind is made anew for every scene.
        """
        scene = self.scene(split, epoch=0, index=index)
        shown = sorted({layer.foreground for layer in scene.layers})
        units = {
            name: " + ".join(self.names[number] for number in shown if self.labels[number] == label)
            for label, name in enumerate(self.classes[1:], start=1)
        }
        if self.photo_names:
            units["background"] = self.photo_names[scene.backdrop.background]
        return units

    def describe_sample(self, split: Split, index: int) -> str:
        """Return the pictures of a scene, back to front."""
        layers = self.scene(split, epoch=0, index=index).layers
        return f"{split} {index}: {', '.join(self.names[layer.foreground] for layer in layers)}"

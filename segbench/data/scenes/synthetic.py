"""synthetic: several cut-outs in painter's order on a plain backdrop or a photograph, one class for each species."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import Arrays
from segbench.data.pictures import together
from segbench.data.scenes.depth import DepthModel
from segbench.data.scenes.sources import MOST_MARGIN, check_opacity, read_backgrounds, split_sources
from segbench.data.scenes.synthetic_plan import Painting, PaintingLayout, PaintingPlanner, layer_depths
from segbench.data.scenes.synthetic_render import paint, render_backdrop
from segbench.data.scenes.synthetic_sources import read_species
from segbench.data.scenes.textures import Texture, make_background, make_texture

FLAT_COLOURS = ((100, 100, 100), (120, 0, 0), (0, 120, 0), (0, 0, 120))


class Synthetic(SegmentationData):
    """Cut-outs of several species that hide one another, with exact masks, instances and depth.

    The idea, and the rule of `placement=original`, are gnouhp/Synthetic-Segmentation's.

    Args:
        foregrounds: Folder of transparent PNG or WebP cut-outs, `<class>_<anything>.png` or `<class>/<anything>.png`;
            None uses the shipped ones.
        backgrounds: Folder of photographs for `background=photo`; None uses the shipped ones.
        train_size: Scenes in an epoch of training.
        val_size: Scenes for validation.
        test_size: Scenes for the test.
        split: `by_source`: of every class, val and test use pictures that training never sees (and photographs
            likewise). `random`: all splits use all pictures, in different scenes.
        val_share: Share of the pictures kept for val, for `by_source`.
        test_share: Share of the pictures kept for test, for `by_source`.
        placement: `random`, or `original` for the older project's rule, its canvas of 256 scaled to `size`.
        objects: Fewest and most cut-outs in a scene.
        scale: Smallest and largest longer side of a cut-out as a share of the canvas's shorter side; `random` only.
        flip: Also use mirrored cut-outs; `random` only.
        background: `flat`, `gradient`, `noise` (on a flat colour) or `photo`.
        colours: List of [red, green, blue] that backdrops are drawn from; None for any colour.
        background_margin: How much larger than the canvas a photograph is kept, as a share, as for `FgBg`.
        fresh: New training scenes in every epoch; otherwise every epoch shows the same ones.
        mask_threshold: Share of opacity from which a pixel belongs to a cut-out; 0.003 is the older project's rule,
            any opacity at all.
        depth: `horizon`, `far`, `object_height` of the depth model. A photograph is its ground, any other backdrop a
            wall at `far`; how cut-outs stand before it is stated at `layer_depths`.
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
        placement: str = "random",
        objects: Sequence[int] = (3, 4),
        scale: Sequence[float] = (0.3, 0.7),
        flip: bool = True,
        background: str = "flat",
        colours: Sequence[Sequence[int]] | None = FLAT_COLOURS,
        background_margin: float = 0.25,
        fresh: bool = True,
        mask_threshold: float = 0.5,
        depth: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if (
            not 0 < mask_threshold <= 1
            or not 0 <= background_margin <= MOST_MARGIN
            or len(scale) != 2
            or len(objects) != 2
        ):
            raise ConfigError(
                f"data.mask_threshold must be in (0, 1], data.background_margin in [0, {MOST_MARGIN:g}], data.scale and"
                f" data.objects two numbers each, got {mask_threshold}, {background_margin}, {list(scale)} and"
                f" {list(objects)}"
            )
        self.folders = (foregrounds, backgrounds)
        self.sizes = {Split.TRAIN: train_size, Split.VAL: val_size, Split.TEST: test_size}
        self.split = split
        self.shares = (val_share, test_share)
        self.fresh = fresh
        self.layout = PaintingLayout(
            canvas=self.size,
            placement=placement,
            objects=(objects[0], objects[1]),
            scale=(float(scale[0]), float(scale[1])),
            flip=flip,
            background=background,
            colours=None if colours is None else tuple(tuple(colour) for colour in colours),  # type: ignore[misc]
            margin=(round(self.size[0] * background_margin), round(self.size[1] * background_margin)),
        )
        self.threshold = int(np.ceil(mask_threshold * 255))
        self.depth_model = DepthModel(**(depth or {}))
        split_sources(
            3, split, shares=self.shares, seed=self.seed, what="foregrounds"
        )  # a wrong rule shows before anything is read
        self.planners: dict[Split, PaintingPlanner] = {}

    def prepare(self) -> None:
        """Read and check the pictures, split them class by class and set up the plans."""
        original = self.layout.placement == "original"
        species, photos = together(  # its boxes hold whole pictures
            lambda: read_species(self.folders[0], self.classes, crop=not original), self._read_photos
        )
        check_opacity(species.pictures, self.threshold)
        images = species.pictures.images
        # twice the largest box, so that even the largest copy of a cut-out is shrunk, never blown up
        largest = max(self.size) if original else self.layout.scale[1] * min(self.size)
        self.textures: list[Texture] = [make_texture(image, round(2 * largest)) for image in images]
        self.labels = np.array(species.labels, dtype=np.uint8)
        self.names = species.pictures.names
        self._digest = f"{species.pictures.digest}:{photos}:{species.labels}"
        sizes = [(image.height, image.width) for image in images]
        chosen: dict[Split, dict[str, list[int]]] = {split: {} for split in SPLITS}
        for label, name in enumerate(self.classes[1:], start=1):
            numbers = species.of(label)
            what = f"foregrounds: class {name}"
            for split, places in split_sources(
                len(numbers), self.split, shares=self.shares, seed=self.seed, what=what
            ).items():
                chosen[split][name] = [numbers[place] for place in places]
        count = 0 if self.photos is None else len(self.photos)
        back = {}
        if count:
            back = split_sources(count, self.split, shares=self.shares, seed=self.seed, what="backgrounds")
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
        height = self.size[0] + self.layout.margin[0]
        width = self.size[1] + self.layout.margin[1]
        self.photo_names = pictures.names
        self.photos = np.stack([make_background(image, height=height, width=width) for image in pictures.images])
        return pictures.digest

    def num_samples(self, split: Split) -> int:
        """Return the number of scenes of a split."""
        return self.sizes[split]

    def scene(self, split: Split, *, epoch: int, index: int) -> Painting:
        """Return the plan of a scene."""
        return self.planners[split].scene(epoch if self.fresh and split == Split.TRAIN else 0, index)

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
            "threshold": self.threshold,
            "depth": asdict(self.depth_model),
            "seed": self.seed,
            "split": split,
            "size": self.sizes[split],
            "fresh": self.fresh,
            "foregrounds": planner.species,
            "backgrounds": planner.backgrounds,
            "classes": self.classes,
            "pictures": self._digest,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

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
        return units | ({"background": self.photo_names[scene.backdrop.background]} if self.photo_names else {})

    def describe_sample(self, split: Split, index: int) -> str:
        """Return the pictures of a scene, back to front."""
        layers = self.scene(split, epoch=0, index=index).layers
        return f"{split} {index}: {', '.join(self.names[layer.foreground] for layer in layers)}"

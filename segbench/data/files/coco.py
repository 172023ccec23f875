"""coco: chosen categories of any COCO-format instances or panoptic file (Lin et al., "Microsoft COCO", 2014)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import Split, check_word
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.coco_index import Choice, CocoFile, category_ids, notes_on, read_items, read_json
from segbench.data.files.coco_masks import draw, draw_panoptic
from segbench.data.files.divided import DividedFiles
from segbench.data.files.items import Item, Splits, share_settings
from segbench.data.files.pairs import read_image
from segbench.data.problems import Problems
from segbench.data.rasters import Raster


class Coco(DividedFiles):
    """Objects of chosen categories as classes; everything else is background.

    Without `val_annotations` the pictures are split by `val_share` and `test_share`, each by its own id. With it, and
    without `test_annotations`, there is no test split: see `missing_test`.

    Args:
        annotations: Instances (or panoptic) JSON, absolute or within root.
        images: Folder of the pictures, likewise.
        panoptic: Folder of the panoptic PNGs; None for an instances file. With files for val and test of their own,
            their PNGs are looked for in it as well.
        val_annotations: JSON of the val split; None splits `annotations`.
        val_images: Its pictures; None for `images`.
        test_annotations: JSON of the test split; needs `val_annotations`.
        test_images: Its pictures; None for `images`.
        categories: Names in the JSON; None for `classes` without the first.
        mode: `binary`: all chosen categories are class 1. `multi`: each is a class, in their order.
        min_area: Smallest area of an object by the file's `area`, in pixels; smaller ones become 255.
        overlap: `ignore`: 255 wherever two objects overlap. `class`: 255 only where their classes differ.
        keep_empty: Keep pictures without any chosen object.
        crowd: What annotations with `iscrowd` are: `ignore` (255), or `object`, as those of CVAT's brush.
        boxes: Annotations without an outline: `refuse`, or `skip`, whose boxes become 255.
        **common: As for all that are divided: `DividedFiles`.
    """

    def __init__(
        self,
        annotations: str = "annotations/instances_train2017.json",
        images: str = "train2017",
        *,
        panoptic: str | None = None,
        val_annotations: str | None = None,
        val_images: str | None = None,
        test_annotations: str | None = None,
        test_images: str | None = None,
        categories: Sequence[str] | None = None,
        mode: str = "binary",
        min_area: float = 0.0,
        overlap: str = "ignore",
        keep_empty: bool = False,
        crowd: str = "ignore",
        boxes: str = "refuse",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_word("data.mode", mode, valid=("binary", "multi"))
        check_word("data.overlap", overlap, valid=("ignore", "class"))
        check_word("data.crowd", crowd, valid=("ignore", "object"))
        check_word("data.boxes", boxes, valid=("refuse", "skip"))
        if min_area < 0:
            raise ConfigError(f"data.min_area must be at least 0, got {min_area}")
        if test_annotations and not val_annotations:
            raise ConfigError("data.test_annotations needs data.val_annotations as well")
        self.categories = tuple(categories if categories is not None else self.classes[1:])
        self._check_classes(mode)
        self.files: dict[Split, tuple[str, str]] = {Split.TRAIN: (annotations, images)}
        if val_annotations:
            self.files[Split.VAL] = (val_annotations, val_images or images)
        if test_annotations:
            self.files[Split.TEST] = (test_annotations, test_images or images)
        self.panoptic = panoptic
        self.mode = mode
        self.overlap = overlap
        self.choice = Choice(self.categories, float(min_area), keep_empty, crowd, boxes)
        self.class_of: dict[str, dict[int, int]] = {}

    def _check_classes(self, mode: str) -> None:
        names = list(self.categories)
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"data.categories must be different names, got {names}")
        wanted = [self.classes[0], *names]
        if mode == "multi" and self.classes != wanted:
            raise ConfigError(f"data.mode=multi has a class for each category; give data.classes=[{','.join(wanted)}]")
        if mode == "binary" and len(self.classes) != 2:
            raise ConfigError(
                f"data.mode=binary has two classes, but data.classes names {len(self.classes)}; give data.mode=multi"
            )
        if mode == "binary" and len(names) == 1 and self.classes[1] != names[0]:
            raise ConfigError(
                f"data.categories=[{names[0]}] but data.classes calls it '{self.classes[1]}'; give"
                f" data.classes=[{self.classes[0]},{names[0]}]"
            )

    def find(self, problems: Problems) -> Splits:
        """Return the pictures of each split that have a chosen object."""
        train = self._read(Split.TRAIN, problems, prefix="")
        if Split.VAL not in self.files:
            return self.divided({"": train}, self.folder(), problems=problems)
        splits: Splits = {Split.TRAIN: train, Split.VAL: self._read(Split.VAL, problems, prefix="val:")}
        if Split.TEST in self.files:
            splits[Split.TEST] = self._read(Split.TEST, problems, prefix="test:")
        return self.divided(splits, self.folder(), problems=problems)

    def _read(self, split: Split, problems: Problems, *, prefix: str) -> list[Item]:
        file, folder = self.files[split]
        content = read_json(self.folder() / file, "annotations" if split == Split.TRAIN else f"{split}_annotations")
        panoptic = None
        if self.panoptic:
            panoptic = self.folder() / self.panoptic
        if panoptic is None and content["annotations"] and "segments_info" in content["annotations"][0]:
            raise DataError(f"{file} is a panoptic file; give data.panoptic=DIR, the folder of its PNGs")
        if panoptic is not None and any("segments_info" not in item for item in content["annotations"]):
            raise DataError(f"{file} is no panoptic file; give data.panoptic=null")
        ids = category_ids(content, self.categories)
        self._check_name(content)
        places = {name: 1 if self.mode == "binary" else k for k, name in enumerate(self.categories, start=1)}
        self.class_of[prefix] = {number: places[name] for name in self.categories for number in ids[name]}
        items = read_items(
            content, self.folder() / folder, choice=self.choice, problems=problems, panoptic=panoptic, prefix=prefix
        )
        if panoptic is None:
            self.notes += notes_on(content, self.choice, taken=len(items), where=Path(file).name)
        return items

    def _check_name(self, content: CocoFile) -> None:
        others = {category["name"] for category in content["categories"]} - set(self.categories)
        if self.classes[1] in others:
            raise ConfigError(
                f"data.classes calls the foreground '{self.classes[1]}', a category that data.categories does not"
                f" choose; give data.classes=[{self.classes[0]},object]"
            )

    def _classes_of(self, item: Item) -> dict[int, int]:
        return self.class_of[item.name[: item.name.find(":") + 1]]

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the mask that is drawn from its annotations."""
        labels = item.label
        class_of = self._classes_of(item)
        if labels.panoptic is not None:
            mask = draw_panoptic(
                labels.panoptic, labels.annotations, class_of=class_of, size=labels.size, min_area=self.choice.min_area
            )
        else:
            mask = draw(
                labels.annotations,
                class_of,
                size=labels.size,
                min_area=self.choice.min_area,
                overlap=self.overlap,
                crowd=self.choice.crowd,
                boxes=self.choice.boxes,
            )
        return read_image(item.image, labels.size), mask

    def files_of(self, item: Item) -> list[Path]:
        """Return the picture and the panoptic PNG, if there is one; the annotations were read once."""
        return [item.image, *([] if item.label.panoptic is None else [item.label.panoptic])]

    def shared_files(self) -> list[Path]:
        """Return the annotation files."""
        return [self.folder() / file for file, _ in self.files.values() if file]

    def label_bytes(self, item: Item) -> bytes:
        """Return the annotations that the mask is drawn from, and the content of the panoptic PNG."""
        labels = item.label
        classes = sorted(self._classes_of(item).items())
        text = json.dumps([labels.size, labels.annotations, classes], sort_keys=True).encode()
        return text + (Path(labels.panoptic).read_bytes() if labels.panoptic is not None else b"")

    def describe(self, split: Split) -> str:
        """Return how many pictures, and of which categories."""
        return f"{super().describe(split)} with {', '.join(self.categories)}"

    def empty_advice(self, split: Split) -> str:
        """Return what would fill a split that has no pictures."""
        smallest = ""
        if self.choice.min_area:
            smallest = f" of at least data.min_area={self.choice.min_area:g}"
        return (
            f"no picture has one of {', '.join(self.categories)}{smallest}, or"
            f" {share_settings(split)} leave none of them"
        )

    def settings(self) -> dict[str, object]:
        """Return how masks are drawn."""
        return {
            "categories": self.categories,
            "mode": self.mode,
            "min_area": self.choice.min_area,
            "overlap": self.overlap,
            "crowd": self.choice.crowd,
            "boxes": self.choice.boxes,
        }

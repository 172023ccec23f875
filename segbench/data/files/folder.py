"""folder: anybody's own pictures and masks, `images/` and `masks/`, paired by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.files.dataset import FileData, Splits
from segbench.data.files.items import (
    Item,
    by_name,
    check_disjoint,
    check_shares,
    pair,
    share_settings,
    split_by_share,
)
from segbench.data.files.lists import read_list, resolve
from segbench.data.files.masks import MaskReader
from segbench.data.files.pairs import read_pair
from segbench.data.loading.source import SPLITS
from segbench.data.problems import Problems

RULES = ("auto", "files", "folders", "shares")


class Folder(FileData):
    """Pictures in `root/images` and masks of the same names in `root/masks`, of any format that is read.

    Args:
        masks: Kind of the masks: `auto`, `index`, `palette`, `rgb` or `binary` (see `MaskReader`).
        ignore: Ids (or, for rgb, names) that are unlabelled and become 255.
        class_dict: CSV file of colours, name,r,g,b, absolute or within root; for rgb.
        threshold: Smallest foreground value for binary masks; None for 1.
        mask_suffixes: What the names of masks end in beside the image's name, such as `[_L]`.
        split: `files`: root/train.txt, val.txt, test.txt, a name or an image and its mask a line. `folders`:
            root/images/train, root/masks/train and so on, or root/train/images, root/train/masks. `shares`: by
            `val_share` and `test_share`, each picture by its name. `auto`: the first of these that is there.
        val_share: Share of the pictures for val, where they are split by share.
        test_share: Likewise for test.
        **common: As for all file sets: `FileData`.
    """

    def __init__(
        self,
        masks: str = "auto",
        ignore: Sequence[int | str] = (),
        class_dict: str | None = None,
        threshold: int | None = None,
        mask_suffixes: Sequence[str] = (),
        split: str = "auto",
        val_share: float = 0.15,
        test_share: float = 0.15,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.shares = check_shares(val_share, test_share)
        if split not in RULES:
            raise ConfigError(f"data.split={split} is no rule to split by{nearest(split, RULES)}")
        colours = (self.root or Path()) / class_dict if class_dict else None
        self.reader = MaskReader(masks, self.classes, ignore, colours, threshold)
        self.split, self.suffixes = split, tuple(mask_suffixes)

    def find(self, problems: Problems) -> Splits:
        """Return the items of each split by the rule."""
        self.reader.prepare()
        self.rule = self.split if self.split != "auto" else self._rule()
        if self.rule == "folders":
            return self._from_folders(problems)
        images, masks = self._pictures(self.root / "images", self.root / "masks", problems)
        if self.rule == "files":
            return self._from_lists(images, masks, problems)
        return split_by_share(pair(images, masks, problems, suffixes=not self.suffixes), *self.shares, self.seed)

    def _rule(self) -> str:
        if (self.root / "train.txt").is_file():
            return "files"
        return "folders" if (self.root / "train").is_dir() or (self.root / "images" / "train").is_dir() else "shares"

    def _pictures(self, images: Path, masks: Path, problems: Problems) -> tuple[dict[str, Path], dict[str, Path]]:
        for folder in (images, masks):
            if not folder.is_dir():
                raise DataError(f"{self.place()}: there is no folder {folder}; put images and masks into two folders")
        found = by_name(images, (), problems)
        if not found:
            raise DataError(f"{self.place()}: {images} holds no pictures")
        return found, by_name(masks, self.suffixes, problems)

    def _from_folders(self, problems: Problems) -> Splits:
        splits = {}
        for split in SPLITS:
            inside = self.root / split
            places = (inside / "images", inside / "masks")
            if not inside.is_dir():
                places = (self.root / "images" / split, self.root / "masks" / split)
            if split == "test" and not places[0].is_dir():
                continue
            items = pair(*self._pictures(*places, problems), problems, suffixes=not self.suffixes)
            splits[split] = [Item(f"{split}/{item.name}", item.image, item.label) for item in items]
        return splits

    def _from_lists(self, images: dict[str, Path], masks: dict[str, Path], problems: Problems) -> Splits:
        splits = {}
        for split in SPLITS:
            path = self.root / f"{split}.txt"
            if split == "test" and not path.is_file():
                continue
            lines = read_list(path, images.keys())
            splits[split] = resolve(lines, images, masks, self.suffixes, problems, path.name)
        check_disjoint(splits, problems)
        return splits

    def read(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture and the class ids of its mask."""
        return read_pair(item, self.reader)

    def check_ids(self, pixels: np.ndarray, problems: Problems) -> None:
        """Note masks of nothing but 0 and 255, of which 255 would silently be ignored, and binary ones of only 0."""
        if self.reader.mode == "binary" and pixels[0] and not pixels[1]:
            problems.add(
                "label",
                f"no mask has a value of at least data.threshold={self.reader.threshold or 1}, so that nothing is"
                " foreground; give a smaller threshold, or masks that are drawn in their values",
            )
        if self.reader.mode != "binary" and pixels[255] and pixels[0] and not pixels[1:255].any():
            problems.add(
                "label",
                "all masks hold nothing but 0 and 255, and 255 means unlabelled; give data.masks=binary if it is the"
                " foreground",
            )

    def empty_advice(self, split: str) -> str:
        """Return what would fill a split that has no pictures."""
        if self.rule == "shares":
            return f"with few pictures, chance may leave none: change {share_settings(split)}, data.seed, or list them"
        return "put pictures into it, or list them"

    def settings(self) -> dict[str, Any]:
        """Return how masks are read."""
        return self.reader.settings()

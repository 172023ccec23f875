"""folder: pictures and masks in files, wherever they lie, paired by name. Most layouts are a YAML file on this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.items import Item, Splits, check_disjoint, share_settings
from segbench.data.files.layouts import Found, Layout, first_fitting, known
from segbench.data.files.lists import read_list, resolve
from segbench.data.files.masked import MaskedFiles
from segbench.data.files.masks import MaskReader
from segbench.data.files.outlines import READERS, OutlineReader
from segbench.data.files.pairs import read_pair
from segbench.data.files.patterns import ALL_SPLIT_WORDS, Pattern, split_of
from segbench.data.problems import Problems
from segbench.data.rasters import Raster

RULES = ("auto", "files", "folders", "shares")
WITHOUT_MASK = ("refuse", "skip", "empty")


class Folder(MaskedFiles):
    """Pictures and masks that belong together by their names, of any format that is read.

    Without patterns, the layouts of `layouts.known` are looked for: `images/` and `masks/` with or without folders of
    splits, or masks beside their pictures.

    Args:
        images: Pattern of the pictures, such as `leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png` (see `Pattern`).
        mask_files: Pattern of the masks, of the same fields.
        lists: Pattern of the lists of names, such as `ImageSets/{split}.txt`, or a path for each split; None for none.
        splits: Which split of the data is which of ours, such as `{train: train, test: val}`; None for the same names.
        masks: Kind of the masks: `auto`, `index`, `palette`, `rgb` or `binary` (see `MaskReader`), or outlines as
            `labelme` or `yolo` write them.
        mask_suffixes: What the names of masks end in beside the image's name, such as `[_L]`; without `mask_files`.
        without_mask: Pictures without a mask: `refuse`, `skip`, or `empty` for all background.
        boxes: Outlines that are boxes or lines alone: `refuse`, or `skip`, whose boxes become 255.
        split: `files`: by lists, a name or an image and its mask a line. `folders`: by the place of the pictures.
            `shares`: by `val_share` and `test_share`. `auto`: the first of these that is there.
        **common: As for all with a mask each: `MaskedFiles`.
    """

    def __init__(
        self,
        images: str | None = None,
        mask_files: str | None = None,
        *,
        lists: str | Mapping[str, str] | None = "{split}.txt",
        splits: Mapping[str, str] | None = None,
        mask_suffixes: Sequence[str] = (),
        without_mask: str = "refuse",
        boxes: str = "refuse",
        split: str = "auto",
        **common: Any,
    ) -> None:
        self.boxes = boxes
        super().__init__(**common)
        check_word("data.split", split, valid=RULES)
        check_word("data.without_mask", without_mask, valid=WITHOUT_MASK)
        if (images is None) != (mask_files is None) or (images is not None and mask_suffixes):
            raise ConfigError(
                "data.images and data.mask_files go together, without data.mask_suffixes, got"
                f" {images}, {mask_files} and {list(mask_suffixes)}"
            )
        self.split = split
        self.suffixes = tuple(mask_suffixes)
        self.without_mask = without_mask
        self.patterns = None
        if images is not None and mask_files is not None:
            self.patterns = _layout(images, mask_files, files=self.reader.suffixes)
        self.lists = {split: _list_of(lists, split) for split in SPLITS}
        self.splits = {split: split for split in SPLITS} if splits is None else _known_splits(splits)

    def make_reader(
        self, masks: str, *, labels: Mapping[object, object] | None, **reading: Any
    ) -> MaskReader | OutlineReader:
        """Return the reader of masks or outlines of a kind."""
        if masks in READERS:
            return READERS[masks](self.classes, labels, boxes=self.boxes)
        return super().make_reader(masks, labels=labels, **reading)

    def find(self, problems: Problems) -> Splits:
        """Return the items of each split by the rule."""
        self.reader.prepare()
        root = self.folder()
        lists = self._lists(root)
        layouts = self._layouts(bool(lists))
        try:
            layout, found = first_fitting(layouts, root, problems=problems)
        except DataError as error:
            raise DataError(f"{self.place()}: {error}") from None
        self.rule = self._rule_of(layout, has_lists=bool(lists))
        if self.rule == "files":
            given, notes = self._from_lists(lists, found, problems=problems)
        else:
            given, notes = found.paired(problems, self.without_mask)
        if self.rule == "folders":
            self._check_folders(layout, given)
            given = {split: given[word] for split, word in self.splits.items() if word in given}
        elif self.rule == "shares":
            given = {"": [item for items in given.values() for item in items]}
        self.by_share = set()
        if "" in given:
            self.by_share = set(SPLITS)
        elif Split.VAL not in given:
            self.by_share = {Split.TRAIN, Split.VAL}
        self.notes += notes
        splits = self.divided(given, root, problems=problems)
        check_disjoint(splits, problems)
        return splits

    def _rule_of(self, layout: Layout, *, has_lists: bool) -> str:
        """Return what says which split a picture is in: lists (`files`), `folders`, or `shares`."""
        if has_lists and self.split in ("auto", "files"):
            return "files"
        if layout.has_splits and self.split != "shares":
            return "folders"
        return "shares"

    def _lists(self, root: Path) -> dict[str, Path]:
        """Return the lists that are there, by split."""
        paths: dict[str, Path] = {split: root / text for split, text in self.lists.items() if text}
        present = {split: path for split, path in paths.items() if path.exists()}
        if self.split == "files" and Split.TRAIN not in present:
            raise DataError(f"{self.place()}: data.split=files needs the list {paths.get('train', 'of train')}")
        if Split.TRAIN in present:
            return present
        return {}

    def _layouts(self, has_lists: bool) -> list[Layout]:
        if self.patterns is not None:
            return [self.patterns]
        wanted = {"folders": True, "shares": False}.get(self.split)
        layouts = known(self.suffixes, wanted, files=self.reader.suffixes)
        if not has_lists:
            return layouts
        return sorted(layouts, key=lambda layout: layout.has_splits)

    def _check_folders(self, layout: Layout, given: Splits) -> None:
        for split in SPLITS:
            pattern = layout.images.fill(split=split)
            is_there = False
            if "{" not in pattern.rpartition("/")[0]:
                is_there = (self.folder() / pattern).parent.is_dir()
            if not given.get(split) and split in self.splits.values() and (split == Split.TRAIN or is_there):
                raise DataError(f"{self.place()}: {pattern} holds no pictures")

    def _from_lists(self, lists: dict[str, Path], found: Found, *, problems: Problems) -> tuple[Splits, list[str]]:
        images, masks = found.by_name(problems)
        splits: Splits = {}
        for split, path in lists.items():
            splits[split] = resolve(
                read_list(path, images.keys()),
                images,
                masks=masks,
                suffixes=self.suffixes,
                problems=problems,
                where=path.name,
            )
        return splits, []

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the class ids of its mask."""
        return read_pair(item, self.reader)

    def files_of(self, item: Item) -> list[Path]:
        """Return the files that an item is read from: there may be no mask."""
        return [item.image] if item.label is None else [item.image, item.label]

    def label_bytes(self, item: Item) -> bytes:
        """Return the content of the mask's file."""
        if item.label is None:
            return b""
        return Path(item.label).read_bytes()

    def empty_advice(self, split: Split) -> str:
        """Return what would fill a split that has no pictures."""
        if split in self.by_share:
            return f"with few pictures, chance may leave none: change {share_settings(split)}, data.seed, or list them"
        return "put pictures into it, or list them"


def _layout(images: str, mask_files: str, *, files: tuple[str, ...]) -> Layout:
    return Layout(Pattern(images, "data.images"), Pattern(mask_files, "data.mask_files"), files)


def _list_of(lists: str | Mapping[str, str] | None, split: str) -> str:
    if lists is None:
        return ""
    if isinstance(lists, str):
        return lists.replace("{split}", split)
    return lists.get(split, "")


def _known_splits(splits: Mapping[str, str]) -> dict[str, str]:
    if "train" not in splits or not set(splits) <= set(SPLITS) or not set(splits.values()) <= set(ALL_SPLIT_WORDS):
        raise ConfigError(
            "data.splits must say which split of the data is train, val and test, such as {train:train,test:val}, got"
            f" {dict(splits)}"
        )
    return {split: split_of(word) for split, word in splits.items()}

"""What a data set of files consists of: items that are found, paired and split by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.core.rng import key64
from segbench.data.files.affixes import common_ending
from segbench.data.problems import NOT_UTF8, RENAME, Problems, is_utf8
from segbench.data.rasters import RASTER_SUFFIXES

SHARE_STEPS = 1 << 64

Packed = tuple[str, str, Any, bool, dict[str, str]]
"""What an item is pickled as: name, picture, label, whether that is a path, and units."""


@dataclass(frozen=True)
class Item:
    """One picture and where its mask comes from."""

    name: str
    """Unique within the data set; it decides the split and the subset, so it must not depend on other files."""

    image: Path
    """The picture."""

    label: Any
    """The mask's file, or whatever else the data set draws its mask from."""

    units: Mapping[str, str] = field(default_factory=dict)
    """What the picture was taken from, by factor; `group` is what splits keep whole."""

    def __reduce__(self) -> tuple[Callable[[Packed], Item], tuple[Packed]]:
        """Be pickled with texts for paths, which are made again much faster than what a Path is pickled as."""
        is_file = isinstance(self.label, Path)
        label = str(self.label) if is_file else self.label
        return _item, ((self.name, str(self.image), label, is_file, dict(self.units)),)

    @property
    def group(self) -> str:
        """What the picture's place in splits and folds follows from: its group, or its own name where it has none."""
        return self.units.get("group", self.name)


def _item(packed: Packed) -> Item:
    name, image, label, is_file, units = packed
    return Item(name, Path(image), Path(label) if is_file else label, units)


Splits = dict[str, list[Item]]
"""The items of each split by its word; by an empty word those whose split is not known yet."""


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures in a folder and its sub-folders, sorted by path; hidden files and folders are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in RASTER_SUFFIXES)
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def by_name(folder: Path, suffixes: tuple[str, ...], *, problems: Problems) -> dict[str, Path]:
    """Return the pictures below a folder by name: the path within the folder, without extension and suffix.

    Args:
        folder: The folder; one that does not exist has no pictures.
        suffixes: What names end in beside the extension, such as `_L`; empty for nothing. Pictures with none of them
            are left out.
        problems: Takes note of two files that have the same name.
    """
    found: dict[str, Path] = {}
    for path in pictures_below(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        name = without_suffix(stem, suffixes)
        if not is_utf8(stem):
            problems.add_file("unreadable", path, what=NOT_UTF8, cure=RENAME)
        elif name is None:
            problems.add_file(
                "unpaired", path, what=f"its name ends in none of data.mask_suffixes=[{','.join(suffixes)}]"
            )
        elif name in found:
            problems.add_file("duplicate", path, what="it has the name of another file, {}", detail=found[name].name)
        else:
            found[name] = path
    return found


def without_suffix(stem: str, suffixes: tuple[str, ...]) -> str | None:
    """Return a mask's name without the longest of the suffixes that it ends in; None if it ends in none of them."""
    if not suffixes:
        return stem
    fitting = [suffix for suffix in sorted(suffixes, key=len, reverse=True) if stem.endswith(suffix)]
    if not fitting:
        return None
    return stem[: len(stem) - len(fitting[0])]


def pair(images: dict[str, Path], masks: dict[str, Path], *, problems: Problems, suffixes: bool = False) -> list[Item]:
    """Return an item for every name that has both an image and a mask; what is left over is noted.

    The order of files plays no part: pairing sorted or shuffled lists is how masks come to belong to other pictures.

    Args:
        images: Images by name.
        masks: Masks by name.
        problems: Takes note of what is left over.
        suffixes: Whether `data.mask_suffixes` is a setting of the data, to be advised where it would help.
    """
    alone = {name: images[name] for name in sorted(images.keys() - masks.keys())}
    stray = {name: masks[name] for name in sorted(masks.keys() - images.keys())}
    cure = ""
    if suffixes and (ending := common_ending(alone, stray)):
        cure = f"data.mask_suffixes=[{ending}] would pair them"
    for path in alone.values():
        problems.add_file("unpaired", path, what="an image without a mask of its name", cure=cure)
    for path in stray.values():
        problems.add_file("unpaired", path, what="a mask without an image of its name", cure=cure)
    return [Item(name, images[name], masks[name]) for name in sorted(images.keys() & masks.keys())]


def share_settings(split: Split) -> str:
    """Return the settings that decide how many pictures a split gets by share; training gets what the others leave."""
    if split == Split.TRAIN:
        return "data.val_share and data.test_share"
    return f"data.{split}_share"


def split_by_share(items: list[Item], val_share: float, *, test_share: float, seed: int) -> Splits:
    """Return the items by split. Each group's place follows from its own name, so a new file moves no other."""
    splits: Splits = {Split.TRAIN: [], Split.VAL: [], Split.TEST: []}
    for item in items:
        place = key64("split", seed, item.group) / SHARE_STEPS
        if place < test_share:
            split = Split.TEST
        elif place < test_share + val_share:
            split = Split.VAL
        else:
            split = Split.TRAIN
        splits[split].append(item)
    return splits


def check_disjoint(splits: Splits, problems: Problems) -> None:
    """Note every name that is in more than one split."""
    home: dict[str, str] = {}
    for split, items in splits.items():
        for item in items:
            if item.name in home:
                what = f"it is in {home[item.name]} and in {split}"
                problems.add("duplicate", what, name=item.name, among="pictures")
            home.setdefault(item.name, split)


def subset(items: list[Item], size: int | None, *, seed: int) -> list[Item]:
    """Return `size` of the items (None: all), chosen by their names, in their order; a larger subset holds a smaller.

    Raises:
        DataError: if there are fewer.
    """
    if size is None:
        return items
    if size > len(items):
        raise DataError(f"{size} are asked for, but there are {len(items)}; give null for all of them")
    chosen = sorted(items, key=lambda item: (key64("subset", seed, item.name), item.name))[:size]
    names = {item.name for item in chosen}
    return [item for item in items if item.name in names]

"""Where pictures and masks lie: two patterns, given by the user or the first known pair that fits the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.core.choices import Split
from segbench.core.errors import ConfigError, DataError
from segbench.data.files.affixes import by_affixes, common_ending
from segbench.data.files.items import Item, Splits
from segbench.data.files.patterns import Pattern
from segbench.data.problems import NOT_UTF8, RENAME, Problems, is_utf8
from segbench.data.rasters import RASTER_SUFFIXES

IMAGES = "{images,image,imgs,img,photos,input,inputs,JPEGImages}"
MASKS = "{masks,mask,labels,label,annotations,annotation,annot,ann,gt,groundtruth,target,targets,SegmentationClass}"
BESIDE = tuple(
    f"{joint}{word}"
    for word in ("mask", "masks", "label", "labels", "seg", "segmentation", "gt", "L")
    for joint in "_-"
)
"""What names of masks end in where they lie beside their pictures."""


@dataclass(frozen=True)
class Layout:
    """A pattern of pictures and one of their masks; both have the same fields."""

    images: Pattern
    """Of the pictures."""

    masks: Pattern
    """Of their masks."""

    suffixes: tuple[str, ...] = RASTER_SUFFIXES
    """What files of masks end in."""

    def __post_init__(self) -> None:
        if not self.masks.fields or not set(self.masks.fields) <= set(self.images.fields):
            raise ConfigError(
                f"data.mask_files='{self.masks.text}' must have fields of data.images='{self.images.text}', and no"
                " other, by which a mask belongs to its picture"
            )

    @property
    def has_splits(self) -> bool:
        """Whether the place of a picture says which split it is of."""
        return "split" in self.images.fields

    def found(self, root: Path, problems: Problems) -> Found:
        """Return the pictures and masks below a folder; a file that is a mask is no picture, wherever both lie."""
        of_masks = Problems(problems.root)
        places = _Places()
        masks = self._by_key(self.masks, root, suffixes=self.suffixes, problems=of_masks, is_other=lambda text: False)
        taken = {places.of(str(path)) for path in masks.values()}
        images = self._by_key(
            self.images,
            root,
            suffixes=RASTER_SUFFIXES,
            problems=problems,
            is_other=lambda text: places.of(text) in taken,
        )
        problems.extend(of_masks)
        return Found(images, masks)

    def _by_key(
        self,
        pattern: Pattern,
        root: Path,
        *,
        suffixes: Collection[str],
        problems: Problems,
        is_other: Callable[[str], bool],
    ) -> dict[Key, Path]:
        files: dict[Key, Path] = {}
        read = frozenset(suffixes)
        names = [name for name in self.images.fields if name != "split" and name in self.masks.fields]
        for fields, folder, inside in pattern.find(root):
            if inside[inside.rfind(".") :].lower() not in read or is_other(f"{folder}/{inside}"):
                continue
            path = folder / inside
            key = (fields.get("split", ""), "/".join([fields[name] for name in names]))
            if not is_utf8(f"{key[1]}/{inside}"):
                problems.add_file("unreadable", path, what=NOT_UTF8, cure=RENAME)
            elif key in files:
                problems.add_file("duplicate", path, what="it has the name of another file, {}", detail=files[key].name)
            else:
                files[key] = path
        return files


Key = tuple[str, str]
"""Split, empty where the place says none, and name."""


@dataclass(frozen=True)
class Found:
    """Pictures and masks by split and name."""

    images: dict[Key, Path]
    """The pictures."""

    masks: dict[Key, Path]
    """The masks."""

    def by_name(self, problems: Problems) -> tuple[dict[str, Path], dict[str, Path]]:
        """Return pictures and masks by name alone, for lists that say which split each is of."""
        return _by_name(self.images, problems), _by_name(self.masks, problems)

    def paired(self, problems: Problems, without_mask: str) -> tuple[Splits, list[str]]:
        """Return an item for every picture with a mask, by split ("" where there is none), and what there is to say.

        Args:
            problems: Takes note of what is left over.
            without_mask: What becomes of pictures without a mask: `refuse`, `skip`, or `empty` for all background.
        """
        masks = self.masks
        notes: list[str] = []
        if len(self.images) > 1 and not self.images.keys() & masks.keys():
            masks, notes = by_affixes(self.images, masks)
        alone = sorted(self.images.keys() - masks.keys())
        stray = sorted(masks.keys() - self.images.keys())
        ending = common_ending({name for _, name in alone}, [name for _, name in stray])
        cure = ""
        if ending:
            cure = f"data.mask_suffixes=[{ending}] would pair them"
        if without_mask == "refuse":
            for key in alone:
                problems.add_file("unpaired", self.images[key], what="an image without a mask of its name", cure=cure)
        elif alone:
            meaning = "left out" if without_mask == "skip" else "all background"
            notes = [*notes, f"{len(alone):,} of {len(self.images):,} pictures have no mask and are {meaning}"]
        for key in stray:
            problems.add_file("unpaired", masks[key], what="a mask without an image of its name", cure=cure)
        splits: Splits = {}
        for key in sorted(self.images):
            if key in masks or without_mask == "empty":
                item = Item("/".join(filter(None, key)), self.images[key], masks.get(key))
                splits.setdefault(key[0], []).append(item)
            else:
                splits.setdefault(key[0], [])
        return splits, notes


def _by_name(files: dict[Key, Path], problems: Problems) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for (split, name), path in files.items():
        if name in found:
            what = f"it has the name of another file, {{}}, and lists know names alone, not the folder {split}"
            problems.add_file("duplicate", path, what=what, detail=found[name].name)
        found.setdefault(name, path)
    return found


class _Places:
    """Where files really lie, whatever links lead to their folders; each folder is asked for once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> tuple[str, str]:
        """Return the folder of a file without links, and its name."""
        folder, name = os.path.split(path)  # not a Path, which would take most of a start with many files
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder], name


def known(
    mask_suffixes: Sequence[str], has_splits: bool | None, *, files: tuple[str, ...] = RASTER_SUFFIXES
) -> list[Layout]:
    """Return the layouts that are looked for, in this order.

    Args:
        mask_suffixes: What names of masks end in beside the picture's name; empty for nothing.
        files: What the names of mask files end in; other files than pictures lie beside them under the same name.
        has_splits: Only those that have folders of splits, or only those that have none; None for all.
    """
    ending = _words(mask_suffixes)
    beside = _words(mask_suffixes or (BESIDE if files == RASTER_SUFFIXES else ()))
    pairs = [
        (f"{{split}}/{IMAGES}/{{path}}.*", f"{{split}}/{MASKS}/{{path}}{ending}.*"),
        (f"{IMAGES}/{{split}}/{{path}}.*", f"{MASKS}/{{split}}/{{path}}{ending}.*"),
        (f"{IMAGES}/{{path}}.*", f"{MASKS}/{{path}}{ending}.*"),
        (f"{{split}}_{IMAGES}/{{path}}.*", f"{{split}}_{MASKS}/{{path}}{ending}.*"),
        ("{split}/{path}.*", f"{{split}}_{MASKS}/{{path}}{ending}.*"),
        ("{split}/{path}.*", f"{{split}}/{{path}}{beside}.*"),
        ("{path}.*", f"{{path}}{beside}.*"),
    ]
    layouts = [
        Layout(Pattern(images, "data.images"), Pattern(masks, "data.mask_files"), files) for images, masks in pairs
    ]
    return [layout for layout in layouts if has_splits in (None, layout.has_splits)]


def _words(words: Sequence[str]) -> str:
    if len(words) > 1:
        return f"{{{','.join(words)}}}"
    return "".join(words)


def first_fitting(layouts: Sequence[Layout], root: Path, *, problems: Problems) -> tuple[Layout, Found]:
    """Return the first layout of which there are pictures and masks, with its files.

    Raises:
        DataError: if there is none, naming what is missing of the one that comes nearest.
    """
    pictures: Layout | None = None
    for layout in layouts:
        noted = Problems(problems.root)
        found = layout.found(root, noted)
        if found.images and found.masks:
            problems.extend(noted)
            return layout, found
        pictures = pictures or (layout if found.images else None)
    advice = "put images and masks into two folders, or say where they lie with data.images and data.mask_files"
    if pictures is None:
        raise DataError(f"there are no pictures that fit {_shown(layouts, 'images')}; {advice}")
    raise DataError(f"there are no masks that fit {pictures.masks.fill()}; {advice}")


def _shown(layouts: Sequence[Layout], kind: str) -> str:
    texts = [getattr(layout, kind).fill(split=Split.TRAIN) for layout in layouts]
    return " or ".join(dict.fromkeys(texts[:3]))

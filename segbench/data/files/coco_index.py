"""Reading a COCO annotation file: which pictures have which objects of the chosen categories."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.files.coco_masks import Annotation, counts, has_no_outline
from segbench.data.files.items import Item
from segbench.data.files.texts import read_text
from segbench.data.problems import Problems

MOST_PIXELS = 1 << 30
"""Of a picture by the file; whether there is memory for it is seen where it is read."""

MAX_JSON = 4 << 30
"""Bytes of an annotation file; the largest of COCO has half a gigabyte."""

KEYS = ("images", "annotations", "categories")
"""Lists that each file has."""

CocoFile = dict[str, list[Annotation]]
"""The lists of a file, of which `read_json` and `_require` have checked what is used."""

Picture = Annotation
"""An entry of `images`."""

Kinds = dict[str, type | tuple[type, ...]]


@dataclass(frozen=True)
class Labels:
    """What the mask of a picture is drawn from."""

    size: tuple[int, int]
    """Height and width of the picture by the file."""

    annotations: list[Annotation]
    """Its annotations of chosen categories, or all segments of a panoptic picture; sorted by id."""

    panoptic: Path | None = None
    """The panoptic PNG, if the file is a panoptic one."""


@dataclass(frozen=True)
class Choice:
    """What to take from a file."""

    names: tuple[str, ...]
    """Of the categories."""

    min_area: float
    """Smallest area of an object, in pixels; smaller ones are ignored."""

    keep_empty: bool
    """Whether pictures without an object are taken."""

    crowd: str = "ignore"
    """What annotations with `iscrowd` are: `ignore`, or an `object` like others."""

    boxes: str = "refuse"
    """What becomes of annotations without an outline: `refuse`, or `skip`: their boxes are ignored."""

    def takes(self, annotation: Annotation) -> bool:
        """Return whether an annotation is an object that gets its class."""
        is_skipped = self.boxes == "skip" and has_no_outline(annotation)
        return not is_skipped and counts(annotation, self.min_area, crowd=self.crowd)


def read_json(path: Path, key: str) -> CocoFile:
    """Return an annotation file; a DataError says that it is missing, broken or of another format."""
    text = read_text(path, f"data.{key}:", limit=MAX_JSON)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"data.{key}: {path} is no JSON: {error}") from None
    missing = [name for name in KEYS if not isinstance(content, dict) or name not in content]
    if missing or not isinstance(content, dict):
        raise DataError(f"data.{key}: {path} is no COCO instances or panoptic file; it has no {', '.join(missing)}")
    for name in KEYS:
        if not isinstance(content[name], list) or not all(isinstance(entry, dict) for entry in content[name]):
            raise DataError(f"data.{key}: {path} is no COCO file; its {name} are no list of objects")
    _require(content["categories"], {"id": int, "name": str}, where="categories")
    return content


def category_ids(content: CocoFile, names: tuple[str, ...]) -> dict[str, list[int]]:
    """Return the file's ids of each chosen category: the 80 of COCO lie between 1 and 90, with gaps.

    Some tools write one name under two ids, such as 0 and 1; both are the category.

    Raises:
        ConfigError: for a name that the file does not have, with the nearest one.
    """
    known: dict[str, list[int]] = {}
    for category in content["categories"]:
        ids = known.setdefault(category["name"], [])
        if category["id"] not in ids:
            ids.append(category["id"])
    for name in names:
        if name not in known:
            raise ConfigError(f"data.categories: there is no category '{name}'{nearest(name, known)}")
    return {name: known[name] for name in names}


def read_items(
    content: CocoFile,
    images: Path,
    *,
    choice: Choice,
    problems: Problems,
    panoptic: Path | None,
    prefix: str = "",
) -> list[Item]:
    """Return the pictures that have a chosen object (or all, if empty ones are kept), in the order of their ids.

    Args:
        content: As `read_json` returns it.
        images: Folder of the pictures.
        choice: What to take.
        problems: Takes note of annotations without picture and of pictures that come twice.
        panoptic: Folder of the panoptic PNGs; None for an instances file.
        prefix: Put before the picture's id to make the item's name.

    Raises:
        DataError: if an entry lacks what COCO's format has.
    """
    _check(content, choice, panoptic=panoptic is not None)
    chosen = {number for ids in category_ids(content, choice.names).values() for number in ids}
    entries = _entries(content["images"], problems)
    found = _by_picture(content["annotations"], entries, problems=problems)
    if panoptic is not None:
        for number in sorted(entries.keys() - found.keys()):
            problems.add("unpaired", "it has no panoptic annotation", name=f"picture {number}", among="pictures")
    items = []
    for number in sorted(entries if panoptic is None else entries.keys() & found.keys()):
        entry = entries[number]
        own = found.get(number, [])
        size = (entry["height"], entry["width"])
        if panoptic is None:
            objects = _objects(own, chosen)
            is_taken = choice.keep_empty or any(choice.takes(one) for one in objects)
            labels = Labels(size, objects, None)
        else:
            segments = own[0]["segments_info"]
            counted = (counts(one, choice.min_area) for one in _objects(segments, chosen))
            is_taken = choice.keep_empty or any(counted)
            labels = Labels(size, segments, panoptic / own[0]["file_name"])
        if is_taken:
            items.append(Item(f"{prefix}{number}", _file(images, entry["file_name"]), labels))
    return items


def _objects(found: Iterable[Annotation], chosen: Collection[int]) -> list[Annotation]:
    return sorted((one for one in found if one["category_id"] in chosen), key=lambda one: one["id"])


def _entries(images: Iterable[Picture], problems: Problems) -> dict[int, Picture]:
    entries: dict[int, Picture] = {}
    for entry in images:
        if entry["id"] in entries:
            what = "it comes more than once in the annotation file"
            problems.add("duplicate", what, name=f"picture {entry['id']}", among="pictures")
        entries[entry["id"]] = entry
    return entries


def _file(images: Path, name: str) -> Path:
    """Return a picture by its name in the file, which may come from Windows or begin with folders of the tool."""
    if (images / name).is_file() or not name:
        return images / name
    parts = name.replace("\\", "/").split("/")
    tails = (images.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((path for path in tails if path.is_file()), images.joinpath(*parts))


def notes_on(content: CocoFile, choice: Choice, *, taken: int, where: str) -> list[str]:
    """Return sentences on what of an instances file is ignored or left out.

    Args:
        content: As `read_json` returns it.
        choice: What is taken.
        taken: How many pictures are.
        where: The file's name.

    Raises:
        DataError: if all objects of the chosen categories are crowds.
    """
    chosen = {number for ids in category_ids(content, choice.names).values() for number in ids}
    objects = [annotation for annotation in content["annotations"] if annotation["category_id"] in chosen]
    crowds = sum(bool(annotation.get("iscrowd", 0)) for annotation in objects)
    boxes = sum(map(has_no_outline, objects))
    what = ", ".join(choice.names)
    if choice.crowd == "ignore" and crowds and crowds == len(objects):
        raise DataError(
            f"all {crowds:,} objects of {what} in {where} are crowds (iscrowd 1), as CVAT writes what its brush drew;"
            " give data.crowd=object if they are objects"
        )
    said = []
    if choice.crowd == "ignore" and crowds:
        said.append(f"{crowds:,} of {len(objects):,} objects are crowds and ignored; data.crowd=object takes them")
    if choice.boxes == "skip" and boxes:
        said.append(f"{boxes:,} of {len(objects):,} objects have no outline and their boxes are ignored")
    pictures = len({entry["id"] for entry in content["images"]})
    if not choice.keep_empty and taken < pictures:
        said.append(
            f"{pictures - taken:,} of {pictures:,} pictures have no object of {what} and are left out;"
            " data.keep_empty=true keeps them"
        )
    twice = [name for name, ids in category_ids(content, choice.names).items() if len(ids) > 1]
    if twice:
        said.append(f"the category {', '.join(twice)} has several ids, which are taken for one")
    return [f"{where}: {sentence}" for sentence in said]


def _check(content: CocoFile, choice: Choice, *, panoptic: bool) -> None:
    _require(content["images"], {"id": int, "file_name": str, "height": int, "width": int}, where="images")
    for place, entry in enumerate(content["images"]):
        if min(entry["height"], entry["width"]) < 1 or entry["height"] * entry["width"] > MOST_PIXELS:
            raise DataError(
                f"the annotation file says that images[{place}] has {entry['height']} x {entry['width']} pixels, and"
                f" {MOST_PIXELS:,} are the most"
            )
    area = {"area": (int, float)} if choice.min_area else {}
    if not panoptic:
        _require(content["annotations"], {"id": int, "image_id": int, "category_id": int, **area}, where="annotations")
        return
    _require(content["annotations"], {"image_id": int, "file_name": str, "segments_info": list}, where="annotations")
    for place, annotation in enumerate(content["annotations"]):
        where = f"annotations[{place}].segments_info"
        _require(annotation["segments_info"], {"id": int, "category_id": int, **area}, where=where)


def _require(entries: list[Annotation], kinds: Kinds, *, where: str) -> None:
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"the annotation file has no object in {where}[{place}]")
        if missing := [key for key in kinds if key not in entry]:
            raise DataError(f"the annotation file has no {', '.join(missing)} in {where}[{place}]")
        for key, kind in kinds.items():
            if not isinstance(entry[key], kind) or isinstance(entry[key], bool):
                raise DataError(f"the annotation file has {entry[key]!r:.50} as the {key} of {where}[{place}]")


def _by_picture(
    annotations: list[Annotation], entries: dict[int, Picture], *, problems: Problems
) -> dict[int, list[Annotation]]:
    found: dict[int, list[Annotation]] = {}
    for annotation in annotations:
        if annotation["image_id"] not in entries:
            name = f"annotation {annotation.get('id')}"
            detail = str(annotation["image_id"])
            problems.add("unpaired", "it belongs to no picture ({})", name=name, among="annotations", detail=detail)
        else:
            found.setdefault(annotation["image_id"], []).append(annotation)
    return found

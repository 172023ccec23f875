"""Reading a COCO annotation file: which pictures have which objects of the chosen categories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.files.coco_masks import counts
from segbench.data.files.items import Item
from segbench.data.files.texts import read_text
from segbench.data.pictures import MAX_PIXELS
from segbench.data.problems import Problems

MAX_JSON = 4 << 30
"""Bytes of an annotation file; the largest of COCO has half a gigabyte."""

Kinds = dict[str, type | tuple[type, ...]]


@dataclass(frozen=True)
class Labels:
    """What the mask of a picture is drawn from.

    Args:
        size: Height and width of the picture by the file.
        annotations: Its annotations of chosen categories, or all segments of a panoptic picture; sorted by id.
        panoptic: The panoptic PNG, if the file is a panoptic one.
    """

    size: tuple[int, int]
    annotations: list[dict[str, Any]]
    panoptic: Path | None = None


@dataclass(frozen=True)
class Choice:
    """What to take from a file: `names` of categories, the smallest `min_area`, and pictures without objects or not."""

    names: tuple[str, ...]
    min_area: float
    keep_empty: bool


def read_json(path: Path, key: str) -> dict[str, Any]:
    """Return an annotation file; a DataError says that it is missing, broken or of another format."""
    text = read_text(path, f"data.{key}:", MAX_JSON)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"data.{key}: {path} is no JSON: {error}") from None
    keys = content if isinstance(content, dict) else {}
    missing = [name for name in ("images", "annotations", "categories") if name not in keys]
    if missing:
        raise DataError(f"data.{key}: {path} is no COCO instances or panoptic file; it has no {', '.join(missing)}")
    for name in ("images", "annotations", "categories"):
        if not isinstance(content[name], list) or not all(isinstance(entry, dict) for entry in content[name]):
            raise DataError(f"data.{key}: {path} is no COCO file; its {name} are no list of objects")
    _require(content["categories"], {"id": int, "name": str}, "categories")
    return content


def category_ids(content: dict[str, Any], names: tuple[str, ...]) -> dict[str, int]:
    """Return the file's id of each chosen category: the 80 of COCO lie between 1 and 90, with gaps.

    Raises:
        ConfigError: for a name that the file does not have, with the nearest one.
    """
    known: dict[str, int] = {}
    for category in content["categories"]:
        if known.setdefault(category["name"], category["id"]) != category["id"]:
            raise DataError(f"the category '{category['name']}' comes twice in the annotation file")
    for name in names:
        if name not in known:
            raise ConfigError(f"data.categories: there is no category '{name}'{nearest(name, known)}")
    return {name: known[name] for name in names}


def read_items(
    content: dict[str, Any], images: Path, choice: Choice, problems: Problems, panoptic: Path | None, prefix: str = ""
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
    _check(content, choice, panoptic is not None)
    chosen = set(category_ids(content, choice.names).values())
    entries: dict[int, dict[str, Any]] = {}
    for entry in content["images"]:
        if entry["id"] in entries:
            what = "it comes more than once in the annotation file"
            problems.add("duplicate", what, name=f"picture {entry['id']}", among="pictures")
        entries[entry["id"]] = entry
    found = _by_picture(content["annotations"], entries, problems)
    if panoptic is not None:
        for number in sorted(entries.keys() - found.keys()):
            problems.add("unpaired", "it has no panoptic annotation", name=f"picture {number}", among="pictures")
    items = []
    for number in sorted(entries if panoptic is None else entries.keys() & found.keys()):
        entry, own = entries[number], found.get(number, [])
        segments = own[0]["segments_info"] if panoptic is not None else own
        objects = sorted((s for s in segments if s["category_id"] in chosen), key=lambda s: s["id"])
        if not choice.keep_empty and not any(counts(item, choice.min_area) for item in objects):
            continue
        labels = Labels(
            (entry["height"], entry["width"]),
            objects if panoptic is None else segments,
            None if panoptic is None else panoptic / own[0]["file_name"],
        )
        items.append(Item(f"{prefix}{number}", images / entry["file_name"], labels))
    return items


def _check(content: dict[str, Any], choice: Choice, panoptic: bool) -> None:
    _require(content["images"], {"id": int, "file_name": str, "height": int, "width": int}, "images")
    for place, entry in enumerate(content["images"]):
        if min(entry["height"], entry["width"]) < 1 or entry["height"] * entry["width"] > MAX_PIXELS:
            raise DataError(
                f"the annotation file says that images[{place}] has {entry['height']} x {entry['width']} pixels, and"
                f" {MAX_PIXELS:,} are the most"
            )
    area = {"area": (int, float)} if choice.min_area else {}
    if not panoptic:
        _require(content["annotations"], {"id": int, "image_id": int, "category_id": int, **area}, "annotations")
        return
    _require(content["annotations"], {"image_id": int, "file_name": str, "segments_info": list}, "annotations")
    for place, annotation in enumerate(content["annotations"]):
        where = f"annotations[{place}].segments_info"
        _require(annotation["segments_info"], {"id": int, "category_id": int, **area}, where)


def _require(entries: list[Any], kinds: Kinds, where: str) -> None:
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"the annotation file has no object in {where}[{place}]")
        if missing := [key for key in kinds if key not in entry]:
            raise DataError(f"the annotation file has no {', '.join(missing)} in {where}[{place}]")
        for key, kind in kinds.items():
            if not isinstance(entry[key], kind) or isinstance(entry[key], bool):
                raise DataError(f"the annotation file has {entry[key]!r:.50} as the {key} of {where}[{place}]")


def _by_picture(
    annotations: list[dict[str, Any]], entries: dict[int, Any], problems: Problems
) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for annotation in annotations:
        if annotation["image_id"] not in entries:
            name, detail = f"annotation {annotation.get('id')}", str(annotation["image_id"])
            problems.add("unpaired", "it belongs to no picture ({})", name=name, among="annotations", detail=detail)
        else:
            found.setdefault(annotation["image_id"], []).append(annotation)
    return found

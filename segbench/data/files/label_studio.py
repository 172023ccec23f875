"""Reading JSON as Label Studio writes it: polygons, brushes, ellipses and boxes (labelstud.io/guide/export)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from segbench.core.errors import DataError
from segbench.core.plain import Json
from segbench.data.files.shapes import Annotated, Shape, ellipse, runs_of, turned
from segbench.data.files.texts import read_text
from segbench.data.rasters import RASTER_SUFFIXES

MAX_JSON = 4 << 30
UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""Label Studio puts eight digits before the name of a file that is uploaded."""

UNLABELLED = {"polygon", "brush", "ellipse", "rectangle", "keypoint", "vector", "bitmask", "bitmasklabels", "labels"}
"""Parts of a picture whose label is kept apart from them, or whose outline is of another kind."""

LABELS = {"polygonlabels", "brushlabels", "ellipselabels", "rectanglelabels", "keypointlabels", "vectorlabels"}


def read_label_studio(path: Path) -> Iterator[Annotated]:
    """Yield the pictures that have been annotated, by their first annotation.

    Raises:
        DataError: if it is no such file, or a picture in it is turned.
    """
    try:
        tasks = json.loads(read_text(path, "data.annotations:", limit=MAX_JSON))
    except (ValueError, RecursionError) as error:
        raise DataError(f"data.annotations: {path} is no JSON: {error}") from None
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise DataError(f"data.annotations: {path} is no list of tasks; export JSON from Label Studio, not JSON-MIN")
    for task in tasks:
        try:
            found = _annotated(task)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: the task {task.get('id')} has no good {error}") from None
        if found is not None:
            yield found


def _annotated(task: Json) -> Annotated | None:
    done = [found for found in task.get("annotations", []) if not found.get("was_cancelled")]
    if not done:
        return None
    name = _picture_of(task["data"])
    others = sorted({found["type"] for found in done[0]["result"]} & UNLABELLED)
    if others:
        raise ValueError(
            f"labels: it has parts of the kind {', '.join(others)}; label with PolygonLabels or BrushLabels"
        )
    results = [found for found in done[0]["result"] if found["type"] in LABELS]
    sizes = {(int(found["original_height"]), int(found["original_width"])) for found in results}
    if any(found.get("image_rotation") for found in results) or len(sizes) > 1:
        raise ValueError("picture: it was turned in Label Studio; turn the file itself")
    size = sizes.pop() if sizes else (0, 0)
    return Annotated(_file_name(name), size, tuple(_shape(found, size) for found in results))


def _picture_of(data: Mapping[str, object]) -> str:
    """Return the text that names a picture; the first one where none ends like one."""
    texts = [value for value in data.values() if isinstance(value, str)]
    if not texts:
        raise ValueError("data: no text in it names a picture")
    named = (text for text in texts if _file_name(text).lower().endswith(RASTER_SUFFIXES))
    return next(named, texts[0])


def _file_name(address: str) -> str:
    path = unquote(address.partition("?d=")[2] or address.partition("?")[0]).replace("\\", "/")
    folder, _, name = path.rpartition("/")
    uploaded = None
    if "/upload/" in f"{folder}/":
        uploaded = UPLOADED.fullmatch(name)
    return f"{folder}/{uploaded[1] if uploaded else name}"


def _shape(result: Json, size: tuple[int, int]) -> Shape:
    value = result["value"]
    kind = result["type"].removesuffix("labels")
    (name,) = value[result["type"]]
    label = str(name)
    height, width = size
    if kind == "brush":
        return Shape(label, "runs", [(0, 0)], size, runs_of(unpacked(value["rle"], size)))
    if kind == "polygon":
        return Shape(label, "polygon", [(x * width / 100, y * height / 100) for x, y in value["points"]])
    corner = value["x"] * width / 100, value["y"] * height / 100
    if kind == "ellipse":
        radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
        return Shape(label, "polygon", ellipse(corner, radii, degrees=value.get("rotation", 0)))
    far = corner[0] + value.get("width", 0) * width / 100, corner[1] + value.get("height", 0) * height / 100
    corners = [corner, (far[0], corner[1]), far, (corner[0], far[1])]
    return Shape(label, kind, turned(corners, corner, degrees=value.get("rotation", 0)))


def unpacked(rle: list[int], size: tuple[int, int]) -> np.ndarray:
    """Return what a brush painted, bool `[H,W]`: the opacity of an RGBA picture that is packed bit by bit.

    The packing is that of thi.ng/rle-pack: 32 bits of count, 5 of the size of a word, four times 4 of sizes of runs;
    then runs of one word, or of as many words as they are long.

    Raises:
        ValueError: for bits that are of another picture, or end too soon.
    """
    bits = "".join(f"{byte:08b}" for byte in rle)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    height, width = size
    if read(32) != height * width * 4:
        raise ValueError("brush: it has another size than its picture")
    word = read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(height * width * 4, np.uint8)
    first = 0
    while first < len(values):
        is_run = read(1)
        last = min(len(values), first + 1 + read(lengths[read(2)]))
        values[first:last] = read(word) if is_run else [read(word) for _ in range(last - first)]
        first = last
    return values.reshape(height, width, 4)[..., 3] > 0

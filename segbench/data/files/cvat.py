"""Reading XML as CVAT writes it for images: polygons, masks, ellipses and boxes (docs.cvat.ai, "CVAT for images")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from segbench.core.errors import DataError
from segbench.data.files.outlines import Points
from segbench.data.files.shapes import Annotated, Shape, ellipse, turned

DRAWN = ("polygon", "mask", "ellipse", "box", "polyline", "points", "cuboid", "skeleton")


def read_cvat(path: Path) -> Iterator[Annotated]:
    """Yield the pictures of an XML file.

    Raises:
        DataError: if it is no such file, or a number is missing in it.
    """
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "track":
                raise DataError(f"{path} is CVAT's format for videos; export it as CVAT for images")
            if element.tag != "image":
                continue
            try:
                yield _annotated(element)
            except (KeyError, ValueError, OverflowError) as error:
                raise DataError(f"{path}: the image {element.get('name')!r:.80} has no good {error}") from None
            element.clear()  # what was read is not kept
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no XML: {error}") from None


def _annotated(element: ElementTree.Element) -> Annotated:
    drawn = [child for child in element if child.tag in DRAWN]
    drawn.sort(key=lambda child: int(child.get("z_order", 0)))
    size = int(element.attrib["height"]), int(element.attrib["width"])
    shapes = tuple(_shape(child) for child in drawn)
    return Annotated(element.attrib["name"], size, shapes, element.get("subset", ""))


def _shape(element: ElementTree.Element) -> Shape:
    found = element.attrib
    label = element.attrib["label"]
    if element.tag == "mask":
        left, top, width, height = (int(found[name]) for name in ("left", "top", "width", "height"))
        runs = tuple(int(word) for word in found["rle"].split(","))
        return Shape(label, "runs", [(left, top)], (height, width), runs)
    if element.tag == "ellipse":
        middle = _numbers(found, "cx", second="cy")
        radii = _numbers(found, "rx", second="ry")
        return Shape(label, "polygon", ellipse(middle, radii, degrees=float(found.get("rotation", 0))))
    if element.tag == "box":
        x, y = _numbers(found, "xtl", second="ytl")
        right, bottom = _numbers(found, "xbr", second="ybr")
        corners = [(x, y), (right, y), (right, bottom), (x, bottom)]
        middle = (x + right) / 2, (y + bottom) / 2
        return Shape(label, "box", turned(corners, middle, degrees=float(found.get("rotation", 0))))
    if element.tag == "cuboid":
        return Shape(
            label, "cuboid", [_numbers(found, name, second=f"y{name[1:]}") for name in found if name[0] == "x"]
        )
    if element.tag == "skeleton":
        return Shape(label, "skeleton", [point for part in element for point in _points(part.get("points", ""))])
    return Shape(label, element.tag, _points(found.get("points", "")))


def _numbers(found: Mapping[str, str], first: str, *, second: str) -> tuple[float, float]:
    return float(found[first]), float(found[second])


def _points(text: str) -> Points:
    pairs = [pair.split(",") for pair in text.split(";") if pair]
    return [(float(x), float(y)) for x, y in pairs]

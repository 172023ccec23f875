"""cvat, labelstudio: pictures, and one file in which an annotation tool says what is in all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import check_word
from segbench.core.errors import DataError
from segbench.data.files.cvat import read_cvat
from segbench.data.files.divided import DividedFiles
from segbench.data.files.histograms import rare_classes
from segbench.data.files.items import Item, Splits
from segbench.data.files.label_studio import read_label_studio
from segbench.data.files.pairs import read_image
from segbench.data.files.patterns import ALL_SPLIT_WORDS, split_of
from segbench.data.files.shapes import Annotated, ShapeReader, as_plain
from segbench.data.pictures import load_picture, upright
from segbench.data.problems import NOT_UTF8, RENAME, Problems, is_utf8
from segbench.data.rasters import Raster

TOOLS: dict[str, Callable[[Path], Iterator[Annotated]]] = {"cvat": read_cvat, "labelstudio": read_label_studio}


class AnnotatedPictures(DividedFiles):
    """Pictures with the outlines that a tool holds in one file: class 0 where nothing was drawn.

    Args:
        tool: `cvat` (XML, "CVAT for images") or `labelstudio` (JSON).
        annotations: The tool's file, absolute or within root.
        images: Folder of the pictures, likewise.
        labels: What the tool's labels mean (see `label_map`); None for classes of their names.
        boxes: What has a box, a line or points and no outline: `refuse`, or `skip`, whose box becomes 255.
        **common: As for all that are divided: `DividedFiles`.
    """

    def __init__(
        self,
        tool: str,
        annotations: str,
        *,
        images: str = ".",
        labels: Mapping[object, object] | None = None,
        boxes: str = "refuse",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_word("data.tool", tool, valid=TOOLS)
        self.tool = tool
        self.annotations = annotations
        self.images = images
        self.reader = ShapeReader(self.classes, labels, boxes=boxes)

    def find(self, problems: Problems) -> Splits:
        """Return the pictures of the file by split."""
        path = self.shared_files()[0]
        images = self.folder() / self.images
        if not path.is_file():
            raise DataError(f"{self.place()}: there is no file data.annotations={self.annotations}")
        given: Splits = {}
        seen: set[str] = set()
        files: set[Path] = set()
        for found in TOOLS[self.tool](path):
            item = Item(found.name.strip("/"), _file(images, found.name), found)
            if not is_utf8(item.name):
                problems.add_file("unreadable", item.image, what=NOT_UTF8, cure=RENAME)
                continue
            if item.name in seen:
                problems.add("duplicate", "it comes more than once in the file", name=item.name, among="pictures")
            elif item.image in files:
                what = "the file has another picture of that name in another folder, and here is one for both"
                problems.add_file("duplicate", item.image, what=what)
            seen.add(item.name)
            files.add(item.image)
            given.setdefault(found.split, []).append(item)
        if not given:
            raise DataError(f"{self.place()}: no picture is annotated in {path.name}")
        return self.divided(_by_our_splits(given), images, problems=problems)

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the mask that is drawn from its shapes."""
        if not item.label.shapes:
            picture = upright(load_picture(item.image))
            size = picture.height, picture.width
            return read_image(item.image, size), np.zeros(size, np.uint8)
        image = read_image(item.image, item.label.size)  # before a mask is made of a size that may be any number
        return image, self.reader.of(item)

    def files_of(self, item: Item) -> list[Path]:
        """Return the picture's file; the annotations are read once."""
        return [item.image]

    def shared_files(self) -> list[Path]:
        """Return the file of the tool."""
        return [self.folder() / self.annotations]

    def label_bytes(self, item: Item) -> bytes:
        """Return the shapes that the mask is drawn from."""
        return json.dumps(as_plain(item.label)).encode()

    def check_ids(self, problems: Problems) -> None:
        """Say which classes occur in hardly any mask."""
        self.notes += rare_classes(self.index.table, self.index.names.texts(), classes=self.classes)

    def settings(self) -> dict[str, object]:
        """Return how masks are drawn."""
        return self.reader.settings()


def _file(images: Path, name: str) -> Path:
    """Return a picture's file: tools put folders of their own before its path."""
    parts = name.replace("\\", "/").strip("/").split("/")
    tails = (images.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((path for path in tails if _is_file(path)), images.joinpath(*parts))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have, such as one that is too long
        return False


def _by_our_splits(given: Splits) -> Splits:
    """Return the pictures by our names of the tool's splits; all together where one has another name."""
    if not all(name.lower() in ALL_SPLIT_WORDS for name in given):
        return {"": [item for items in given.values() for item in items]}
    return {split_of(name): items for name, items in given.items()}

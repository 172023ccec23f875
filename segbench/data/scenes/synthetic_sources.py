"""The cut-outs of `synthetic`, each with the class that its file name or its folder says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from segbench.core.errors import DataError
from segbench.data.folders import CUTOUTS, SUFFIXES, list_pictures, read_all, unchanged
from segbench.data.pictures import open_picture, read_cutout
from segbench.data.problems import first_names
from segbench.data.scenes.sources import ASSETS, Pictures, digest_files

KEY = "data.foregrounds"


@dataclass(frozen=True)
class Species:
    """The cut-outs and the class id of each, 1 and up."""

    pictures: Pictures
    """The cut-outs."""

    labels: list[int]
    """The class id of each, 1 and up."""

    def of(self, label: int) -> list[int]:
        """Return the numbers of the pictures of a class."""
        return [number for number, other in enumerate(self.labels) if other == label]


def read_species(folder: str | None, classes: Sequence[str], *, crop: bool = True) -> Species:
    """Read cut-outs with alpha from `folder`, or the shipped ones where it is None.

    They are cropped to where they are not fully transparent, unless `crop` is false.

    A file belongs to the class `lion` if it is called `lion.png`, `lion7.png` or `lion_anything.png`, or lies in a
    sub-folder `lion`. Of the shipped pictures, those of other classes are left out.

    Raises:
        DataError: naming every file of an unknown class, every class without a file, every unreadable file.
    """
    root = Path(folder).expanduser() if folder else ASSETS / "foregrounds"
    files = _list(root)
    labels = [_label(file, root, classes=classes) for file in files]
    unknown = [str(file.relative_to(root)) for file, label in zip(files, labels, strict=True) if label is None]
    names = ", ".join(classes[1:])
    if unknown and folder:
        raise DataError(
            f"{KEY}: {len(unknown)} of {len(files)} pictures in {root} belong to none of the classes {names}:"
            f" {first_names(unknown)}; call them <class>_<anything>.png or <class>/<anything>.png, or add their class"
            " to data.classes"
        )
    empty = [name for label, name in enumerate(classes) if label and label not in labels]
    if empty:
        raise DataError(
            f"{KEY}: {root} has no picture of the class{'es' * (len(empty) > 1)} {', '.join(empty)}; add"
            f" {empty[0]}_<anything>.png, or take it out of data.classes"
        )
    kept = [(file, label) for file, label in zip(files, labels, strict=True) if label is not None]
    files = [file for file, _ in kept]
    with unchanged(files, KEY):
        images = read_all(files, read_cutout if crop else _read_whole, key=KEY)
        pictures = Pictures([file.relative_to(root).as_posix() for file in files], images, digest_files(files))
    return Species(pictures, [label for _, label in kept])


def _read_whole(path: Path) -> Image.Image:
    read_cutout(path)  # its checks
    return open_picture(path).convert("RGBA")


def _list(root: Path) -> list[Path]:
    folders = []
    if root.is_dir():
        folders = sorted(item for item in root.iterdir() if item.is_dir())
    inside = [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES]
    if not inside:
        return list_pictures(root, KEY, useful=CUTOUTS)
    return sorted(file for file in root.iterdir() if not file.is_dir() and file.suffix.lower() in SUFFIXES) + inside


def _label(file: Path, root: Path, *, classes: Sequence[str]) -> int | None:
    if file.parent != root:
        if file.parent.name not in classes[1:]:
            return None
        return classes.index(file.parent.name)
    fitting = [name for name in classes[1:] if re.fullmatch(rf"{re.escape(name)}(_.*|\d*)", file.stem)]
    if not fitting:
        return None
    return classes.index(max(fitting, key=len))  # polar_bear_1 is a polar_bear, not a polar

"""Split files: one picture a line, by name or as image and mask."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from segbench.core.errors import DataError
from segbench.data.files.items import Item, without_suffix
from segbench.data.files.texts import read_text
from segbench.data.problems import Problems, shown_name
from segbench.data.rasters import RASTER_SUFFIXES


def read_list(path: Path, names: Collection[str] = ()) -> list[list[str]]:
    """Return the words of each line: one name, or an image and its mask.

    Empty lines, `#` comments and several numbers behind a name are left out.

    Args:
        path: The split file.
        names: Known names; a line that is one of them is a name, even if it has spaces in it.

    Raises:
        DataError: if the file is missing or a line has more than two words.
    """
    lines = read_text(path, "the split file").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        words = [text] if _name(text) in names else text.split()
        if len(words) > 2 and all(
            word.isdigit() for word in words[1:]
        ):  # Oxford-IIIT Pet has ids of species and breed there
            words = words[:1]
        if len(words) > 2:
            raise DataError(
                f"line {number} of {path} must be a name, or an image and its mask, got '{shown_name(text)}'"
            )
        found.append(words)
    if not found:
        raise DataError(f"the split file {path} names no pictures")
    return found


def resolve(
    lines: list[list[str]],
    images: dict[str, Path],
    *,
    masks: dict[str, Path],
    suffixes: tuple[str, ...],
    problems: Problems,
    where: str,
) -> list[Item]:
    """Return the items that a split file names, sorted by name.

    A line may name any mask for an image, unless a mask of the image's own name exists: two lists that were shuffled
    apart look just like that.

    Args:
        lines: As `read_list` returns them.
        images: All images by name.
        masks: All masks by name, without their suffixes.
        suffixes: The suffixes of masks.
        problems: Takes note of names that do not exist, of repetitions and of masks that belong to another image.
        where: Name of the split file.
    """
    items: dict[str, Item] = {}
    for words in lines:
        name = _find(_name(words[0]), images)
        mask = name
        if len(words) == 2:
            stem = _name(words[1])
            mask = _find(without_suffix(stem, suffixes) or stem, masks)
        if name is None or mask is None or mask not in masks:
            missing = words[0] if name is None else words[-1]
            kind = "an image" if name is None else "a mask"
            problems.add("missing", f"{where} lists {kind} that is not there", name=missing, among="lines")
        elif name in items:
            problems.add("list", f"{where} lists it more than once", name=name, among="lines")
        elif mask != name and name in masks:
            what = f"{where} pairs it with the mask {{}}, but there is a mask of its own name"
            problems.add("list", what, name=name, among="lines", detail=mask)
        else:
            items[name] = Item(name, images[name], masks[mask])
    return [items[name] for name in sorted(items)]


def _name(word: str) -> str:
    path = Path(word.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in RASTER_SUFFIXES else path).as_posix()


def _find(name: str, known: Collection[str]) -> str | None:
    """Return the known name that `name` ends with: lists give names, or paths from root or from elsewhere."""
    parts = name.strip("/").split("/")
    return next((tail for k in range(len(parts)) if (tail := "/".join(parts[k:])) in known), None)

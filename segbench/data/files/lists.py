"""Split files: one picture a line, by name or as image and mask."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from segbench.core.errors import DataError
from segbench.data.files.items import Item, Problems, without_suffix
from segbench.data.pictures import SUFFIXES


def read_list(path: Path, names: Collection[str] = ()) -> list[list[str]]:
    """Return the words of each line: one name, or an image and its mask; empty lines and `#` comments are left out.

    Args:
        path: The split file.
        names: Known names; a line that is one of them is a name, even if it has spaces in it.

    Raises:
        DataError: if the file is missing or a line has more than two words.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the split file {path} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        words = [text] if _name(text) in names else text.split()
        if len(words) > 2:
            raise DataError(f"line {number} of {path} must be a name, or an image and its mask, got '{text}'")
        found.append(words)
    if not found:
        raise DataError(f"the split file {path} names no pictures")
    return found


def resolve(
    lines: list[list[str]],
    images: dict[str, Path],
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
            kind = "image" if name is None else "mask"
            problems.add("missing", f"{where}: there is no {kind} called {missing}")
        elif name in items:
            problems.add("list", f"{where}: {name} is listed twice")
        elif mask != name and name in masks:
            problems.add("list", f"{where}: {name} is paired with the mask {mask}, but there is a mask called {name}")
        else:
            items[name] = Item(name, images[name], masks[mask])
    return [items[name] for name in sorted(items)]


def _name(word: str) -> str:
    path = Path(word.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES else path).as_posix()


def _find(name: str, known: Collection[str]) -> str | None:
    """Return the known name that `name` ends with: lists give names, or paths from root or from elsewhere."""
    parts = name.strip("/").split("/")
    return next((tail for k in range(len(parts)) if (tail := "/".join(parts[k:])) in known), None)
